//! `[disclosure]`: what the answers of models tell of them, and how many questions they are asked.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Secret;
use crate::config::words::Preset;

/// `[disclosure]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct DisclosureSettings {
    pub secret: Secret,
    pub secret_file: PathBuf,
}

/// `disclosure` of a model; what is absent is as the preset has it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct ModelDisclosureSettings {
    pub preset: Option<Preset>,
    pub top: Option<usize>,
    pub decimals: Option<u8>,
    pub noise: Option<f64>,
    pub embedding_decimals: Option<u8>,
    pub embedding_noise: Option<f64>,
    pub outputs: Vec<String>,
    pub top_logprobs: Option<usize>,
    pub logprob_decimals: Option<u32>,
    pub queries: Option<String>,
    pub warn_at: Option<u64>,
    pub parameters: Option<u64>,
    pub numbers: Option<u32>,
}
