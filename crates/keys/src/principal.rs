//! Who is calling.

use std::fmt;
use std::sync::Arc;

use crate::UnixMillis;
use crate::id::{FamilyId, KeyId};
use crate::limits::KeyLimits;
use crate::record::KeyRecord;
use crate::scopes::{AdminAct, AdminScopes, Scopes};
use crate::tenant::Tenant;
use crate::terms::Terms;

/// Who is calling, as the key says. Holds no secret; cheap to clone.
#[derive(Clone)]
pub struct Principal(Arc<Inner>);

struct Inner {
    key_id: KeyId,
    family: FamilyId,
    tenant: Tenant,
    name: String,
    terms: Terms,
    ends_at: Option<UnixMillis>,
    rotated_at: Option<UnixMillis>,
    makers: usize,
}

impl Principal {
    /// Whoever starts the program or works its command line: may administer everything.
    pub fn system() -> Self {
        Self(Arc::new(Inner {
            key_id: KeyId::SYSTEM,
            family: KeyId::SYSTEM.into(),
            tenant: Tenant::default(),
            name: "system".to_owned(),
            terms: Terms::new(Scopes::Admin(AdminScopes::all())),
            ends_at: None,
            rotated_at: None,
            makers: 0,
        }))
    }

    /// The holder of a key, under what its makers leave of its terms.
    pub(crate) fn of(record: &KeyRecord, terms: Terms, makers: usize) -> Self {
        let ends_at = match (record.ends_at(), terms.expires_at) {
            (Some(end), Some(last)) => Some(end.min(last)),
            (end, last) => end.or(last),
        };
        Self(Arc::new(Inner {
            key_id: record.id,
            family: record.family,
            tenant: record.tenant.clone(),
            name: record.name.clone(),
            terms,
            ends_at,
            rotated_at: record.rotated_at,
            makers,
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

    /// What it may do, as far as those who made it still may.
    pub fn scopes(&self) -> &Scopes {
        &self.0.terms.scopes
    }

    /// How much it may use.
    pub fn limits(&self) -> &KeyLimits {
        &self.0.terms.limits
    }

    /// When it ends, by expiry or by rotation.
    pub fn expires_at(&self) -> Option<UnixMillis> {
        self.0.ends_at
    }

    /// When the key was replaced by another, if it was. It ends at [`expires_at`](Self::expires_at).
    pub fn rotated_at(&self) -> Option<UnixMillis> {
        self.0.rotated_at
    }

    /// Whether it may look at, or change, what belongs to this tenant.
    pub fn reaches(&self, tenant: &Tenant) -> bool {
        self.0.tenant == *tenant || self.scopes().permits_admin(AdminAct::TenantsAll)
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.0.terms
    }

    /// How many keys stand between this one and the command line.
    pub(crate) fn makers(&self) -> usize {
        self.0.makers
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
