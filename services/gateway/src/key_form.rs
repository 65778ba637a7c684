//! A new key, as the admin API and the command line ask for it.

use keys::{InvalidTenant, KeyLimits, NewKey, Scopes, Tenant};
use pipeline::to_quota;
use ratelimit_redis::TooLarge;
use serde::{Deserialize, Serialize};

/// The body of `POST /admin/keys`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyForm {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
    pub(crate) scopes: Scopes,
    #[serde(default)]
    pub(crate) limits: KeyLimits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_in_seconds: Option<u64>,
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
        let KeyLimits { requests, tokens, input_tokens, output_tokens, spend, .. } = &self.limits;
        for rate in [requests, tokens, input_tokens, output_tokens, spend].into_iter().flatten() {
            to_quota(rate)?;
        }
        let expires_at = self.expires_in_seconds.map(|seconds| now.saturating_add(seconds.saturating_mul(1_000)));
        Ok(NewKey { name: self.name, tenant, scopes: self.scopes, limits: self.limits, expires_at })
    }
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
}

/// The body of `POST /admin/keys/{id}/rotate`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateForm {
    /// How long the old key goes on working. Default: a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grace_seconds: Option<u64>,
}

impl RotateForm {
    const DAY: u64 = 24 * 60 * 60;

    pub(crate) fn grace(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.grace_seconds.unwrap_or(Self::DAY))
    }
}

/// The body of `POST /admin/keys/{id}/revoke`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeForm {
    /// Also every key it was rotated from and into.
    #[serde(default)]
    pub(crate) family: bool,
}
