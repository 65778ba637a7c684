//! What the operators' routes answer.

use keys::{KeyId, KeyRecord, Tenant, TenantRecord};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Whether the gateway lives, or is ready.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    pub(super) status: &'static str,
    /// That the audit trail cannot be written, and what happens to its records; absent if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trail: Option<&'static str>,
}

/// A key that was just made. The only time that it is shown.
#[derive(Serialize, ToSchema)]
pub(super) struct Issued<'a> {
    /// The whole key, to be given to its holder and kept nowhere.
    pub(super) key: &'a str,
    pub(super) record: &'a KeyRecord,
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Key<'a> {
    pub(super) record: &'a KeyRecord,
}

/// Keys in the order of their ids.
#[derive(Serialize, ToSchema)]
pub(super) struct Keys {
    pub(super) keys: Vec<KeyRecord>,
    /// Ask for more with `after`; there are no more when it is null.
    pub(super) next: Option<KeyId>,
}

/// What was revoked.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    /// How many keys are revoked now that were not before.
    pub(super) revoked: usize,
}

/// Tenants in the order of their names.
#[derive(Serialize, ToSchema)]
pub(super) struct Tenants {
    pub(super) tenants: Vec<TenantRecord>,
    /// Ask for more with `after`; there are no more when it is null.
    pub(super) next: Option<Tenant>,
}

/// The tenant.
#[derive(Serialize, ToSchema)]
pub(super) struct OneTenant<'a> {
    pub(super) tenant: &'a TenantRecord,
}

/// All that is on record of a request.
#[derive(Serialize, ToSchema)]
pub(super) struct Records {
    pub(super) records: Vec<Value>,
}

/// The models that are watched.
#[derive(Serialize, ToSchema)]
pub(super) struct Monitors {
    pub(super) monitors: Vec<Monitored>,
}

/// How a model is watched.
#[derive(Serialize, ToSchema)]
pub(super) struct Monitored {
    pub(super) model: String,
    /// Whether it is known what honest questions are. Without that nobody is suspected.
    pub(super) is_calibrated: bool,
    /// When that was learnt or forgotten; null if never.
    pub(super) since: Option<u64>,
    /// How many key families of all tenants asked enough to be learnt from; null once it is calibrated.
    pub(super) learnable: Option<usize>,
    /// How many key families within reach were seen.
    pub(super) families: usize,
    /// The most suspicious of them, at most 50.
    pub(super) suspects: Vec<Suspect>,
}

/// A key family that asks a model.
#[derive(Serialize, ToSchema)]
pub(super) struct Suspect {
    pub(super) tenant: String,
    pub(super) family: String,
    /// From 0 to 1. Above one half it is more than of those who were learnt from.
    pub(super) suspicion: f64,
    /// What differs most from honest questions: near, far, uneven, coverage, boundary or repeats.
    pub(super) reason: Option<&'static str>,
    /// Whether it has consequences.
    pub(super) is_raised: bool,
    /// Different questions that were seen; of those that are learnt from at most 512.
    pub(super) queries: u64,
}

/// What holds after a reload.
#[derive(Serialize, ToSchema)]
pub(super) struct Reloaded {
    /// The models by name.
    pub(super) models: Vec<String>,
}

/// Why not: RFC 9457.
#[derive(ToSchema)]
#[expect(dead_code, reason = "rendered by the one exit; here for its schema")]
pub(super) struct Problem {
    #[schema(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    detail: String,
    /// The stable word.
    code: String,
}
