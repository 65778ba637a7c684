//! Whose keys they are.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::UnixMillis;

/// Whose key it is: 1 to 64 of `A-Z a-z 0-9 _ . -`, but neither `.` nor `..`. The default tenant is `default`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Tenant(String);

/// A text that is no tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tenant is 1 to 64 letters, digits, dots, hyphens or underscores, and not only one or two dots")]
pub struct InvalidTenant;

/// What is stored of a tenant. Revoked once, it has no keys that work and gets no new ones.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantRecord {
    /// Its name.
    pub id: Tenant,
    /// What people call it; may be empty.
    pub title: String,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was revoked, with all its keys.
    pub revoked_at: Option<UnixMillis>,
}

impl TenantRecord {
    /// A tenant that was just made.
    pub fn new(id: Tenant, title: String, created_at: UnixMillis) -> Self {
        Self { id, title, created_at, revoked_at: None }
    }
}

impl Tenant {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for Tenant {
    type Err = InvalidTenant;

    fn from_str(text: &str) -> Result<Self, InvalidTenant> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        // No client can ask for these in a path.
        let is_path = matches!(text, "." | "..");
        let is_tenant = (1..=64).contains(&text.len()) && text.bytes().all(is_allowed) && !is_path;
        is_tenant.then(|| Self(text.to_owned())).ok_or(InvalidTenant)
    }
}

impl TryFrom<String> for Tenant {
    type Error = InvalidTenant;

    fn try_from(text: String) -> Result<Self, InvalidTenant> {
        text.parse()
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
