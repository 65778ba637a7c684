//! `[screening]`: what happens to the texts of requests and answers, and for whom it is otherwise.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::config::words::{JudgeApi, JudgeOutage, Reaction};
use crate::config::{InvalidSettings, Secret, explain_value};

/// `[screening]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScreeningSettings {
    /// Over requests.
    pub input: InputSettings,
    /// Over answers.
    pub output: OutputSettings,
    /// Words that are planted in system texts.
    pub canary: CanarySettings,
    /// A judge elsewhere.
    pub judge: JudgeSettings,
    /// For whom it is otherwise; the first that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<ExceptionSettings>,
}

/// `[screening.input]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct InputSettings {
    pub injection: Reaction,
    pub score: Reaction,
    pub score_threshold: f32,
    pub control_tokens: Reaction,
    pub secrets: Reaction,
    pub personal: Reaction,
    pub repetition: Reaction,
    pub rules: BTreeMap<String, Reaction>,
    pub trusted_texts: Vec<String>,
    pub remembered_texts: usize,
}

/// `[screening.output]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct OutputSettings {
    pub injection: Reaction,
    pub control_tokens: Reaction,
    pub secrets: Reaction,
    pub personal: Reaction,
    pub links: Reaction,
    pub link_hosts: Vec<String>,
    pub repetition: Reaction,
    pub prompt_leak: Reaction,
    pub protected: Reaction,
    pub protected_file: PathBuf,
    pub canary: Reaction,
    pub rules: BTreeMap<String, Reaction>,
    pub restore: bool,
    pub max_bytes: usize,
}

/// `[screening.canary]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct CanarySettings {
    pub secret: Secret,
    pub secret_file: PathBuf,
}

/// `[screening.judge]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct JudgeSettings {
    pub url: String,
    pub api: JudgeApi,
    pub model: String,
    pub api_key: Secret,
    pub api_key_file: PathBuf,
    pub reaction: Reaction,
    pub on_outage: JudgeOutage,
    pub deadline_milliseconds: u64,
    pub max_bytes: usize,
}

/// One of `[[screening.exceptions]]`: settings that hold for some in the place of those above.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct ExceptionSettings {
    pub tenants: Vec<String>,
    pub keys: Vec<String>,
    pub models: Vec<String>,
    pub input: Map<String, Value>,
    pub output: Map<String, Value>,
}

impl ExceptionSettings {
    /// The settings that hold where this exception fits.
    ///
    /// # Errors
    /// [`InvalidSettings`] for the first setting that cannot be used. `at` is the exception itself.
    pub fn over(&self, all: &ScreeningSettings, at: &str) -> Result<(InputSettings, OutputSettings), InvalidSettings> {
        let input = overlaid(&all.input, &self.input, &format!("{at}.input"))?;
        Ok((input, overlaid(&all.output, &self.output, &format!("{at}.output"))?))
    }
}

/// `base` with what is said in `over` in its place; of `rules`, each by itself.
fn overlaid<T: Serialize + DeserializeOwned>(
    base: &T,
    over: &Map<String, Value>,
    at: &str,
) -> Result<T, InvalidSettings> {
    let unreadable = |_| InvalidSettings::new(at, "not usable settings");
    let mut settings = serde_json::to_value(base).map_err(unreadable)?;
    if let Some(fields) = settings.as_object_mut() {
        for (name, value) in over {
            match (fields.get_mut(name).and_then(Value::as_object_mut), value) {
                (Some(rules), Value::Object(more)) => rules.extend(more.clone()),
                _ => {
                    fields.insert(name.clone(), value.clone());
                }
            }
        }
    }
    serde_path_to_error::deserialize(settings).map_err(|error| explain_value(at, &error))
}
