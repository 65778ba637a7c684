//! Who is calling.

use std::fmt;
use std::sync::Arc;

use crate::UnixMillis;
use crate::id::{FamilyId, KeyId, Tenant};
use crate::limits::KeyLimits;
use crate::record::KeyRecord;
use crate::scopes::{AdminScopes, Scopes};

/// Who is calling, as the key says. Holds no secret; cheap to clone.
#[derive(Clone)]
pub struct Principal(Arc<Inner>);

struct Inner {
    key_id: KeyId,
    family: FamilyId,
    tenant: Tenant,
    name: String,
    scopes: Scopes,
    limits: KeyLimits,
    expires_at: Option<UnixMillis>,
}

impl Principal {
    /// Whoever starts the program or works its command line: may administer everything.
    pub fn system() -> Self {
        Self(Arc::new(Inner {
            key_id: KeyId::SYSTEM,
            family: KeyId::SYSTEM.into(),
            tenant: Tenant::default(),
            name: "system".to_owned(),
            scopes: Scopes::Admin(AdminScopes::all()),
            limits: KeyLimits::default(),
            expires_at: None,
        }))
    }

    pub(crate) fn of(record: &KeyRecord) -> Self {
        Self(Arc::new(Inner {
            key_id: record.id,
            family: record.family,
            tenant: record.tenant.clone(),
            name: record.name.clone(),
            scopes: record.scopes.clone(),
            limits: record.limits.clone(),
            expires_at: record.ends_at(),
        }))
    }

    /// The key.
    pub fn key_id(&self) -> &KeyId {
        &self.0.key_id
    }

    /// The key's family, which shares quotas.
    pub fn family(&self) -> &FamilyId {
        &self.0.family
    }

    /// Whose key it is.
    pub fn tenant(&self) -> &Tenant {
        &self.0.tenant
    }

    /// What its maker called it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it may do.
    pub fn scopes(&self) -> &Scopes {
        &self.0.scopes
    }

    /// How much it may use.
    pub fn limits(&self) -> &KeyLimits {
        &self.0.limits
    }

    /// When it ends, by expiry or by rotation.
    pub fn expires_at(&self) -> Option<UnixMillis> {
        self.0.expires_at
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("key_id", self.key_id())
            .field("tenant", self.tenant())
            .finish_non_exhaustive()
    }
}
