//! `[disclosure]`: what the answers of models tell of them, and how many questions they are asked.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use zeroize::Zeroizing;

use crate::config::words::{OnSuspicion, Preset};
use crate::config::{InvalidSettings, Secret};

/// The shortest secret, in bytes.
const MIN_SECRET: usize = 16;

/// `[disclosure]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct DisclosureSettings {
    pub secret: Secret,
    pub secret_file: PathBuf,
}

impl DisclosureSettings {
    /// Thirty-two bytes for one purpose that follow from the secret. `at` is the setting that needs them.
    ///
    /// # Errors
    /// [`InvalidSettings`] when there is no secret, or not a usable one.
    pub(crate) fn derive(&self, at: &str, purpose: &str) -> Result<Zeroizing<[u8; 32]>, InvalidSettings> {
        let Some(secret) = self.secret.or_file("disclosure.secret", &self.secret_file)? else {
            let problem = "needs disclosure.secret_file, such as `portcullis setup` makes it as disclosure-key";
            return Err(InvalidSettings::new(at, problem));
        };
        if secret.len() < MIN_SECRET {
            return Err(InvalidSettings::new("disclosure.secret", format!("expected at least {MIN_SECRET} bytes")));
        }
        Ok(Zeroizing::new(blake3::derive_key(purpose, secret.as_bytes())))
    }
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
    pub monitor: Option<MonitorSettings>,
}

/// `disclosure.monitor` of a model
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct MonitorSettings {
    pub then: Vec<OnSuspicion>,
    pub decimals: Option<u8>,
    pub budget_percent: Option<u8>,
    pub scale: Vec<f64>,
    pub learn_from: Vec<String>,
}

impl Default for MonitorSettings {
    fn default() -> Self {
        let (then, scale, learn_from) = (vec![OnSuspicion::Alert], Vec::new(), Vec::new());
        Self { then, decimals: None, budget_percent: None, scale, learn_from }
    }
}
