//! What is stored of a key: everything but the key.

use serde::Serialize;

use crate::UnixMillis;
use crate::hash::SecretHash;
use crate::id::{FamilyId, KeyId, Tenant};
use crate::limits::KeyLimits;
use crate::scopes::Scopes;

/// What is stored of a key. Serialized without the hash, for lists and audit records.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyRecord {
    /// The public part of the key.
    pub id: KeyId,
    /// The first key it was rotated from, or itself.
    pub family: FamilyId,
    /// Whose key it is.
    pub tenant: Tenant,
    /// What its maker called it.
    pub name: String,
    /// Argon2id over the secret.
    #[serde(skip)]
    pub hash: SecretHash,
    /// The name of the pepper in `hash`.
    pub pepper_kid: char,
    /// What it may do.
    pub scopes: Scopes,
    /// How much it may use.
    pub limits: KeyLimits,
    /// When it was made.
    pub created_at: UnixMillis,
    /// Not valid before.
    pub not_before: Option<UnixMillis>,
    /// Not valid from here on.
    pub expires_at: Option<UnixMillis>,
    /// The key that replaces it.
    pub rotated_to: Option<KeyId>,
    /// When a replaced key stops working.
    pub grace_until: Option<UnixMillis>,
    /// When it was revoked.
    pub revoked_at: Option<UnixMillis>,
    /// When it was last used; may be half a minute behind.
    pub last_used_at: Option<UnixMillis>,
}

/// Whether somebody has withdrawn a key. Time is another question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Not revoked.
    Active,
    /// Revoked, for good.
    Revoked,
}

impl KeyRecord {
    /// The record of a key that founds its own family, belongs to the default tenant and has no end.
    pub fn new(id: KeyId, name: String, hash: SecretHash, scopes: Scopes, created_at: UnixMillis) -> Self {
        Self {
            id,
            family: id.into(),
            tenant: Tenant::default(),
            name,
            hash,
            pepper_kid: char::from(id.pepper()),
            scopes,
            limits: KeyLimits::default(),
            created_at,
            not_before: None,
            expires_at: None,
            rotated_to: None,
            grace_until: None,
            revoked_at: None,
            last_used_at: None,
        }
    }

    /// Whether it was revoked.
    pub fn status(&self) -> Status {
        if self.revoked_at.is_some() { Status::Revoked } else { Status::Active }
    }

    /// When it ends, by expiry or by rotation, whichever comes first.
    pub fn ends_at(&self) -> Option<UnixMillis> {
        match (self.expires_at, self.grace_until) {
            (Some(expiry), Some(grace)) => Some(expiry.min(grace)),
            (expiry, grace) => expiry.or(grace),
        }
    }

    /// Whether it is an admin key that works at `now`.
    pub fn is_active_admin(&self, now: UnixMillis) -> bool {
        matches!(self.scopes, Scopes::Admin(_))
            && self.revoked_at.is_none()
            && self.ends_at().is_none_or(|end| now < end)
    }
}
