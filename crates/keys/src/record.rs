//! What is stored of a key: everything but the key.

use serde::Serialize;

use crate::UnixMillis;
use crate::hash::SecretHash;
use crate::id::{FamilyId, KeyId};
use crate::scopes::AdminAct;
use crate::tenant::Tenant;
use crate::terms::Terms;

/// What is stored of a key. Serialized without the hash, for lists and audit records.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyRecord {
    /// The public part of the key.
    pub id: KeyId,
    /// The first key it was rotated from, or itself.
    pub family: FamilyId,
    /// The family of the key that made it; none for the command line.
    pub made_by: Option<FamilyId>,
    /// Whose key it is.
    pub tenant: Tenant,
    /// What it is called.
    pub name: String,
    /// Argon2id over the secret.
    #[serde(skip)]
    pub hash: SecretHash,
    /// The name of the pepper in `hash`.
    pub pepper_kid: char,
    /// What it may do, how much, from where and when.
    #[serde(flatten)]
    pub terms: Terms,
    /// Grows with every change of the name or the terms, which the family shares.
    pub version: u64,
    /// When it was made.
    pub created_at: UnixMillis,
    /// The key that replaces it.
    pub rotated_to: Option<KeyId>,
    /// When it was replaced.
    pub rotated_at: Option<UnixMillis>,
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
    /// The record of a key that founds its own family and belongs to the default tenant; nobody made it.
    pub fn new(id: KeyId, name: String, hash: SecretHash, terms: Terms, created_at: UnixMillis) -> Self {
        Self {
            id,
            family: id.into(),
            made_by: None,
            tenant: Tenant::default(),
            name,
            hash,
            pepper_kid: char::from(id.pepper()),
            terms,
            version: 1,
            created_at,
            rotated_to: None,
            rotated_at: None,
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
        match (self.terms.expires_at, self.grace_until) {
            (Some(expiry), Some(grace)) => Some(expiry.min(grace)),
            (expiry, grace) => expiry.or(grace),
        }
    }

    /// Whether it works at `now` and may make keys for every tenant: with such a key, nobody is locked out.
    pub fn is_active_admin(&self, now: UnixMillis) -> bool {
        [AdminAct::KeysWrite, AdminAct::TenantsAll].iter().all(|act| self.terms.scopes.permits_admin(*act))
            && self.revoked_at.is_none()
            && self.terms.not_before.is_none_or(|start| now >= start)
            && self.ends_at().is_none_or(|end| now < end)
    }
}
