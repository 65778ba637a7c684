//! Keys and tenants, as the admin API and the command line ask for them.

use std::time::Duration;

use keys::{Change, InvalidTenant, KeyId, KeyLimits, Networks, NewKey, Per, Rate, Scopes, Tenant, Terms};
use pipeline::to_quota;
use ratelimit_redis::TooLarge;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Most keys by name in one record.
const MAX_NAMED: usize = 1_000;

/// A new key: the body of `POST /admin/keys`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyForm {
    /// What the key is for: 1 to 128 bytes without control characters.
    pub(crate) name: String,
    /// Whose key it is; `default` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// How much it may use.
    #[serde(default)]
    pub(crate) limits: KeyLimits,
    /// From where it may be used.
    #[serde(default, skip_serializing_if = "Networks::is_anywhere")]
    pub(crate) addresses: Networks,
    /// Not valid before, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_before: Option<u64>,
    /// Not valid from here on, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<u64>,
    /// The same, from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_in_seconds: Option<u64>,
}

/// What shall change: the body of `PATCH /admin/keys/{id}`. What is not named stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) scopes: Option<Scopes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<KeyLimits>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) addresses: Option<Networks>,
    /// `null` takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "even_null")]
    #[schema(value_type = Option<u64>)]
    pub(crate) not_before: Option<Option<u64>>,
    /// `null` takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "even_null")]
    #[schema(value_type = Option<u64>)]
    pub(crate) expires_at: Option<Option<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_in_seconds: Option<u64>,
    /// The version that was seen; without it, whatever is there changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
}

/// A `null` that was sent, as against nothing.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The body of `POST /admin/keys/{id}/rotate`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateForm {
    /// How long the old key goes on working. Default: a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 604_800)]
    pub(crate) grace_seconds: Option<u64>,
}

/// The body of `POST /admin/keys/{id}/revoke`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeForm {
    /// Also every key it was rotated from and into.
    #[serde(default)]
    pub(crate) family: bool,
}

/// A new tenant: the body of `POST /admin/tenants`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantForm {
    /// Its name, which stays: letters, digits, dots, hyphens and underscores.
    pub(crate) id: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) title: String,
}

/// A form that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidForm {
    /// The tenant's name is not one.
    #[error("tenant: {0}")]
    Tenant(#[from] InvalidTenant),
    /// A bucket cannot count the limit.
    #[error("limits: {0}")]
    Limit(#[from] TooLarge),
    /// The end is said twice.
    #[error("say either expires_at or expires_in_seconds")]
    TwoEnds,
}

impl KeyForm {
    /// The key to issue at `now`.
    ///
    /// # Errors
    /// What cannot be used: a tenant that is none, a limit that cannot be counted.
    pub(crate) fn into_new_key(self, now: u64) -> Result<NewKey, InvalidForm> {
        let tenant = match self.tenant {
            Some(tenant) => tenant.parse()?,
            None => Tenant::default(),
        };
        check_limits(&self.limits)?;
        let expires_at = match (self.expires_at, self.expires_in_seconds) {
            (Some(_), Some(_)) => return Err(InvalidForm::TwoEnds),
            (at, in_seconds) => at.or(in_seconds.map(|seconds| after(now, seconds))),
        };
        let terms = Terms::new(self.scopes).limits(self.limits).addresses(self.addresses);
        Ok(NewKey::new(self.name, terms.not_before(self.not_before).expires_at(expires_at)).tenant(tenant))
    }
}

impl ChangeForm {
    /// What shall change at `now`.
    ///
    /// # Errors
    /// A limit that cannot be counted, an end that is said twice.
    pub(crate) fn into_change(self, now: u64) -> Result<Change, InvalidForm> {
        let Self { name, scopes, limits, addresses, not_before, expires_at, expires_in_seconds, version } = self;
        if let Some(limits) = &limits {
            check_limits(limits)?;
        }
        let mut change = Change::default();
        change.expires_at = match (expires_at, expires_in_seconds) {
            (Some(_), Some(_)) => return Err(InvalidForm::TwoEnds),
            (at, in_seconds) => at.or(in_seconds.map(|seconds| Some(after(now, seconds)))),
        };
        (change.name, change.scopes, change.limits) = (name, scopes, limits);
        (change.addresses, change.not_before, change.version) = (addresses, not_before, version);
        Ok(change)
    }
}

impl RotateForm {
    const DAY: u64 = 24 * 60 * 60;

    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_seconds.unwrap_or(Self::DAY))
    }
}

/// The keys that were revoked, for the trail: all of them in number, and by name as many as a record holds.
pub(crate) fn which(revoked: &[KeyId]) -> Value {
    json!({"revoked": revoked.len(), "keys": revoked.iter().take(MAX_NAMED).collect::<Vec<_>>()})
}

fn after(now: u64, seconds: u64) -> u64 {
    now.saturating_add(seconds.saturating_mul(1_000))
}

fn check_limits(limits: &KeyLimits) -> Result<(), TooLarge> {
    let KeyLimits { requests, tokens, input_tokens, output_tokens, spend, budget, concurrent: _ } = limits;
    let budget = budget.map(|units| Rate { units, per: Per::Total, burst: units });
    for rate in [requests, tokens, input_tokens, output_tokens, spend, &budget].into_iter().flatten() {
        to_quota(rate)?;
    }
    Ok(())
}
