//! `[data_sets]` and `release` of a model: of whose data answers tell, and how they are made private.

use serde::{Deserialize, Serialize};

use crate::config::words::Noise;

/// `[data_sets.NAME]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct DataSetSettings {
    pub budget: String,
    pub budget_per_key: String,
    #[serde(default)]
    pub danger_in_memory: bool,
}

/// `release` of a model
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct ReleaseSettings {
    pub aggregates: Option<AggregatesSettings>,
    pub vote: Option<VoteSettings>,
}

impl ReleaseSettings {
    /// The data that answers tell of.
    pub(crate) fn data_set(&self) -> Option<&str> {
        let aggregates = self.aggregates.as_ref().map(|aggregates| aggregates.data_set.as_str());
        aggregates.or_else(|| self.vote.as_ref().map(|vote| vote.data_set.as_str()))
    }
}

/// `release.aggregates` of a model
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct AggregatesSettings {
    pub data_set: String,
    pub output: String,
    pub count: u32,
    pub low: f64,
    pub high: f64,
    pub step: f64,
    pub mechanism: Noise,
    #[serde(default)]
    pub rho: Option<String>,
    #[serde(default)]
    pub epsilon: Option<String>,
    #[serde(default)]
    pub danger_sensitivity: Option<f64>,
}

/// `release.vote` of a model
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "explained in config/default.toml")]
pub struct VoteSettings {
    pub data_set: String,
    pub output: String,
    pub labels: Vec<String>,
    pub quorum: usize,
    pub epsilon: String,
}
