//! Settings of model servers, of models and of the quotas over them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{
    BackendKind, ModelDisclosureSettings, OperationSetting, QuotaCounts, QuotaOf, QuotaOnOutage, ReleaseSettings,
    Secret, TensorsFrom,
};

/// `[backends.NAME]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct BackendSettings {
    pub kind: BackendKind,
    #[serde(default)]
    pub url: String,
    #[serde(default)]
    pub api_key: Secret,
    #[serde(default)]
    pub api_key_file: PathBuf,
    #[serde(default = "two")]
    pub connect_seconds: u64,
    #[serde(default = "two_minutes")]
    pub answer_seconds: u64,
    #[serde(default = "half_a_minute")]
    pub idle_seconds: u64,
    #[serde(default = "half_an_hour")]
    pub total_seconds: u64,
    #[serde(default)]
    pub check_seconds: u64,
    #[serde(default = "sixteen_mebibytes")]
    pub max_answer_bytes: usize,
}

fn two() -> u64 {
    2
}

fn half_a_minute() -> u64 {
    30
}

fn two_minutes() -> u64 {
    120
}

fn half_an_hour() -> u64 {
    1_800
}

fn sixteen_mebibytes() -> usize {
    16 << 20
}

/// `[models.NAME]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct ModelSettings {
    pub backends: Vec<String>,
    #[serde(default)]
    pub backend_model: String,
    #[serde(default)]
    pub fallbacks: Vec<FallbackSettings>,
    pub operations: Vec<OperationSetting>,
    #[serde(default = "four_thousand")]
    pub max_output_tokens: u32,
    #[serde(default)]
    pub price: Option<PriceSettings>,
    #[serde(default)]
    pub extensions: Option<Vec<String>>,
    #[serde(default)]
    pub allow_fields: Vec<String>,
    #[serde(default)]
    pub allow_parameters: Vec<String>,
    #[serde(default)]
    pub max_body_bytes: Option<usize>,
    #[serde(default)]
    pub max_messages: Option<usize>,
    #[serde(default)]
    pub max_choices: Option<u32>,
    #[serde(default)]
    pub max_elements: Option<u64>,
    #[serde(default = "servers")]
    pub tensors: TensorsFrom,
    #[serde(default)]
    pub inputs: Vec<TensorSettings>,
    #[serde(default)]
    pub outputs: Vec<TensorSettings>,
    #[serde(default)]
    pub optional_inputs: Vec<String>,
    #[serde(default)]
    pub disclosure: Option<ModelDisclosureSettings>,
    #[serde(default)]
    pub release: Option<ReleaseSettings>,
}

/// One element of `fallbacks`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct FallbackSettings {
    pub backends: Vec<String>,
    #[serde(default)]
    pub backend_model: String,
}

/// `price` of a model
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct PriceSettings {
    pub input: u64,
    pub output: u64,
}

/// `[quotas.NAME]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct QuotaSettings {
    pub of: QuotaOf,
    pub counts: QuotaCounts,
    pub limit: String,
    #[serde(default)]
    pub models: Vec<String>,
    #[serde(default)]
    pub each_model: bool,
    #[serde(default)]
    pub on_outage: Option<QuotaOnOutage>,
}

fn servers() -> TensorsFrom {
    TensorsFrom::Servers
}

fn four_thousand() -> u32 {
    4_096
}

/// One element of `inputs` or `outputs`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct TensorSettings {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<i64>,
    #[serde(default)]
    pub min: Option<f64>,
    #[serde(default)]
    pub max: Option<f64>,
    #[serde(default)]
    pub max_elements: Option<u64>,
    #[serde(default)]
    pub allowed: Option<Vec<f64>>,
    #[serde(default)]
    pub normalised: Option<f64>,
    #[serde(default)]
    pub texts: Option<Vec<String>>,
    #[serde(default)]
    pub max_text_bytes: Option<usize>,
}
