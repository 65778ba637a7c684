//! A new key, as the admin API and the command line ask for it.

use keys::{KeyLimits, NewKey, Scopes, Tenant};
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
    /// The key to issue at `now`; `None` when the tenant's name is not one.
    pub(crate) fn into_new_key(self, now: u64) -> Option<NewKey> {
        let tenant = match self.tenant {
            Some(tenant) => tenant.parse().ok()?,
            None => Tenant::default(),
        };
        let expires_at = self.expires_in_seconds.map(|seconds| now.saturating_add(seconds.saturating_mul(1_000)));
        Some(NewKey { name: self.name, tenant, scopes: self.scopes, limits: self.limits, expires_at })
    }
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
