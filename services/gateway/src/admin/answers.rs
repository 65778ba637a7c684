//! What the operators' routes answer.

use keys::{KeyId, KeyRecord, Tenant, TenantRecord};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Whether the gateway lives, or is ready.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    pub(super) status: &'static str,
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
