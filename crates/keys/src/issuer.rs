//! Making, replacing and withdrawing keys.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::UnixMillis;
use crate::cache::Cache;
use crate::error::{IssueError, StoreError};
use crate::format::PresentedKey;
use crate::hash::{Cost, SecretHash};
use crate::id::{KeyId, Tenant};
use crate::lanes::{Full, Lanes};
use crate::limits::KeyLimits;
use crate::pepper::Peppers;
use crate::principal::Principal;
use crate::record::KeyRecord;
use crate::scopes::{AdminAct, AdminScopes, Scopes};
use crate::store::{KeyStore, Revoke};

/// Longest grace of a rotated key.
pub const MAX_GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MAX_NAME_BYTES: usize = 128;
/// Most keys of one list.
const MAX_LIST: usize = 1_000;

/// Issues, rotates, revokes and lists keys. What it does is not written to an audit trail here; its
/// caller does that. Cheap to clone.
#[derive(Clone)]
pub struct Issuer {
    store: Arc<dyn KeyStore>,
    peppers: Peppers,
    lanes: Arc<Lanes>,
    cache: Option<Arc<Cache>>,
}

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// 1 to 128 bytes without control characters.
    pub name: String,
    /// Whose key it is.
    pub tenant: Tenant,
    /// What it may do.
    pub scopes: Scopes,
    /// How much it may use.
    pub limits: KeyLimits,
    /// When it ends.
    pub expires_at: Option<UnixMillis>,
}

/// A key that was just made. The only time its secret is there to be shown; erased from memory when
/// dropped.
pub struct IssuedKey {
    record: KeyRecord,
    key: PresentedKey,
}

impl IssuedKey {
    /// What is stored of it.
    pub fn record(&self) -> &KeyRecord {
        &self.record
    }

    /// The whole key, to be given to its holder and kept nowhere.
    pub fn secret(&self) -> &str {
        self.key.as_str()
    }
}

impl fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuedKey({})", self.record.id)
    }
}

impl Issuer {
    /// An issuer on its own, for a command line. Beside a verifier, use
    /// [`Verifier::issuer`](crate::Verifier::issuer).
    pub fn new(store: Arc<dyn KeyStore>, peppers: Peppers) -> Self {
        Self::sharing(store, peppers, Arc::new(Lanes::new(1, 64)), None)
    }

    pub(crate) fn sharing(
        store: Arc<dyn KeyStore>,
        peppers: Peppers,
        lanes: Arc<Lanes>,
        cache: Option<Arc<Cache>>,
    ) -> Self {
        Self { store, peppers, lanes, cache }
    }

    /// Makes a key. `by` must hold `keys:write`; an admin key must be within the scopes of `by` and
    /// end no later.
    ///
    /// # Errors
    /// [`IssueError`]; nothing is stored then.
    pub async fn issue(&self, by: &Principal, new: NewKey, now: UnixMillis) -> Result<IssuedKey, IssueError> {
        permit(by, AdminAct::KeysWrite, now)?;
        within(by, &new.scopes, new.expires_at)?;
        let issued = self.make(new, now).await?;
        self.store.insert(&issued.record).await?;
        Ok(issued)
    }

    /// Makes the first admin key, which holds every act. For the first start: of several processes
    /// that start at once, one gets a key.
    ///
    /// # Errors
    /// [`IssueError::AlreadyBootstrapped`] when an admin key works at `now`.
    pub async fn bootstrap(&self, name: &str, now: UnixMillis) -> Result<IssuedKey, IssueError> {
        let scopes = Scopes::Admin(AdminScopes::all());
        let (tenant, limits) = (Tenant::default(), KeyLimits::default());
        let issued = self.make(NewKey { name: name.to_owned(), tenant, scopes, limits, expires_at: None }, now).await?;
        match self.store.insert_first_admin(&issued.record, now).await {
            Ok(()) => Ok(issued),
            Err(StoreError::Conflict) => Err(IssueError::AlreadyBootstrapped),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a key that replaces another: same family, tenant, scopes, limits and end. The old one
    /// works until the grace is over.
    ///
    /// # Errors
    /// [`IssueError`]; nothing has changed then. A key is rotated once, and only by someone who
    /// could have issued it.
    pub async fn rotate(
        &self,
        by: &Principal,
        id: &KeyId,
        grace: Duration,
        now: UnixMillis,
    ) -> Result<IssuedKey, IssueError> {
        permit(by, AdminAct::KeysWrite, now)?;
        if grace > MAX_GRACE {
            return Err(IssueError::GraceTooLong);
        }
        let old = self.store.find(id).await?.ok_or(IssueError::NotFound)?;
        within(by, &old.scopes, old.expires_at)?;
        let is_over = old.ends_at().is_some_and(|end| now >= end);
        if old.revoked_at.is_some() || old.rotated_to.is_some() || is_over {
            return Err(IssueError::NotActive);
        }
        let KeyRecord { name, tenant, scopes, limits, expires_at, .. } = old;
        let mut issued = self.make(NewKey { name, tenant, scopes, limits, expires_at }, now).await?;
        issued.record.family = old.family;
        issued.record.not_before = old.not_before;
        let grace_until = now.saturating_add(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        match self.store.replace(id, grace_until, &issued.record).await {
            Ok(()) => {}
            Err(StoreError::Conflict) => return Err(IssueError::NotActive),
            Err(error) => return Err(error.into()),
        }
        self.forget(&Revoke::Key(*id));
        Ok(issued)
    }

    /// Revokes a key or a family, for good. Gives how many keys are revoked now that were not
    /// before; revoking again is no error.
    ///
    /// # Errors
    /// [`IssueError::NotFound`] for a key that is not there.
    pub async fn revoke(&self, by: &Principal, target: Revoke, now: UnixMillis) -> Result<u64, IssueError> {
        permit(by, AdminAct::KeysWrite, now)?;
        let revoked = self.store.revoke(&target, now).await;
        // Also after an error: the store may have changed before it failed.
        self.forget(&target);
        let revoked = revoked?;
        if let (0, Revoke::Key(id)) = (revoked, target) {
            self.store.find(&id).await?.ok_or(IssueError::NotFound)?;
        }
        Ok(revoked)
    }

    /// Up to `limit` keys, at most 1,000, in the order of their ids.
    ///
    /// # Errors
    /// [`IssueError::Forbidden`] unless `by` holds `keys:read`.
    pub async fn list(
        &self,
        by: &Principal,
        after: Option<&KeyId>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Vec<KeyRecord>, IssueError> {
        permit(by, AdminAct::KeysRead, now)?;
        Ok(self.store.list(after, limit.min(MAX_LIST)).await?)
    }

    async fn make(&self, new: NewKey, now: UnixMillis) -> Result<IssuedKey, IssueError> {
        if !(1..=MAX_NAME_BYTES).contains(&new.name.len()) || new.name.chars().any(char::is_control) {
            return Err(IssueError::Name);
        }
        if new.expires_at.is_some_and(|end| end <= now) {
            return Err(IssueError::ExpiryInPast);
        }
        let pepper = self.peppers.newest().ok_or(IssueError::NoRandomness)?;
        let key = PresentedKey::generate(pepper).map_err(|_| IssueError::NoRandomness)?;
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| IssueError::NoRandomness)?;
        let cost = Cost::OWASP;
        let output = self.lanes.hash(key.secret(), pepper, cost, salt).await.map_err(|Full| IssueError::Busy)?;
        let mut record = KeyRecord::new(*key.id(), new.name, SecretHash { cost, salt, output }, new.scopes, now);
        record.tenant = new.tenant;
        record.limits = new.limits;
        record.expires_at = new.expires_at;
        Ok(IssuedKey { record, key })
    }

    fn forget(&self, target: &Revoke) {
        if let Some(cache) = &self.cache {
            match target {
                Revoke::Key(id) => cache.forget(id),
                Revoke::Family(family) => cache.forget_family(family),
            }
        }
    }
}

fn permit(by: &Principal, act: AdminAct, now: UnixMillis) -> Result<(), IssueError> {
    let is_over = by.expires_at().is_some_and(|end| now >= end);
    if is_over || !by.scopes().permits_admin(act) { Err(IssueError::Forbidden) } else { Ok(()) }
}

fn within(by: &Principal, scopes: &Scopes, expires_at: Option<UnixMillis>) -> Result<(), IssueError> {
    let outlives = match (by.expires_at(), expires_at) {
        (Some(own), Some(end)) => end > own,
        (Some(_), None) => true,
        (None, _) => false,
    };
    let is_within = by.scopes().may_issue(scopes) && !(outlives && matches!(scopes, Scopes::Admin(_)));
    is_within.then_some(()).ok_or(IssueError::WiderThanMaker)
}
