//! New keys: issued, the first of all, or in the place of another.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::UnixMillis;
use crate::error::{IssueError, StoreError};
use crate::format::PresentedKey;
use crate::hash::{Cost, SecretHash};
use crate::id::KeyId;
use crate::issuer::{Issuer, MAX_GRACE, asker, check_name, check_time, may_have_changed, or_store, permit, within};
use crate::lanes::Full;
use crate::lineage::MAX_MAKERS;
use crate::once::{ONCE_TTL, Once, OnceRecord};
use crate::principal::Principal;
use crate::record::KeyRecord;
use crate::revocations::Changed;
use crate::scopes::{AdminAct, AdminScopes, Scopes};
use crate::store::Asked;
use crate::tenant::Tenant;
use crate::terms::Terms;

/// How often a rotation begins anew because the key's terms changed under way.
const ATTEMPTS: usize = 4;

/// What a new key shall be.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct NewKey {
    /// 1 to 128 bytes without control characters.
    pub name: String,
    /// Whose key it is.
    pub tenant: Tenant,
    /// What it may do, how much, from where and when.
    pub terms: Terms,
}

impl NewKey {
    /// A key of the default tenant.
    pub fn new(name: impl Into<String>, terms: Terms) -> Self {
        Self { name: name.into(), tenant: Tenant::default(), terms }
    }

    /// A key of this tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.tenant = tenant;
        self
    }
}

/// A key that was just made. The only time its secret is there to be shown; erased from memory when
/// dropped.
pub struct IssuedKey {
    record: KeyRecord,
    key: PresentedKey,
    is_repeated: bool,
    replaced: Option<Box<KeyRecord>>,
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

    /// The key that it was made in the place of, as it was before; none when it was [repeated](Self::is_repeated).
    pub fn replaced(&self) -> Option<&KeyRecord> {
        self.replaced.as_deref()
    }

    /// Whether it was made before, by the same request.
    pub fn is_repeated(&self) -> bool {
        self.is_repeated
    }
}

impl fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuedKey({})", self.record.id)
    }
}

/// A key that is not stored yet, and what it follows from.
struct Draft {
    issued: IssuedKey,
    nonce: Zeroizing<[u8; 32]>,
}

impl Draft {
    fn once(&self, by: &Principal, once: Option<&Once>) -> Option<OnceRecord> {
        let ttl = u64::try_from(ONCE_TTL.as_millis()).unwrap_or(u64::MAX);
        let KeyRecord { id, created_at, .. } = self.issued.record;
        let expires_at = created_at.saturating_add(ttl);
        once.map(|once| {
            let asked = (once.token.clone(), once.request);
            OnceRecord::new(*by.family(), asked, *self.nonce, id, expires_at)
        })
    }
}

impl Issuer {
    /// Makes a key. `by` must hold `keys:write`, and have all that it gives.
    ///
    /// # Errors
    /// [`IssueError`]; nothing is stored then.
    pub async fn issue(&self, by: &Principal, new: NewKey, now: UnixMillis) -> Result<IssuedKey, IssueError> {
        self.issue_once(by, new, None, now).await
    }

    /// Makes a key, or gives the one that the same maker was given for the same request within
    /// [`ONCE_TTL`].
    ///
    /// # Errors
    /// [`IssueError`]; nothing is stored then.
    pub async fn issue_once(
        &self,
        by: &Principal,
        new: NewKey,
        once: Option<&Once>,
        now: UnixMillis,
    ) -> Result<IssuedKey, IssueError> {
        permit(by, AdminAct::KeysWrite, now)?;
        if let Some(issued) = self.again(by, once, now).await? {
            return Ok(issued);
        }
        if !by.reaches(&new.tenant) {
            return Err(IssueError::WiderThanMaker("tenant"));
        }
        if by.makers() >= MAX_MAKERS {
            return Err(IssueError::TooManyMakers);
        }
        within(by, &new.terms)?;
        let mut draft = self.draft(new, now).await?;
        draft.issued.record.made_by = asker(by).map(|_| *by.family());
        let asked = draft.once(by, once);
        let asked = Asked { by: asker(by), once: asked.as_ref() };
        match self.store.insert(&draft.issued.record, asked).await.map_err(or_store(IssueError::NoTenant)) {
            Ok(()) => Ok(draft.issued),
            // Another like it came first, or there is no such tenant.
            Err(IssueError::NoTenant) => self.again(by, once, now).await?.ok_or(IssueError::NoTenant),
            Err(error) => Err(error),
        }
    }

    /// Makes the first admin key, which holds every act. For the first start: of several processes
    /// that start at once, one gets a key.
    ///
    /// # Errors
    /// [`IssueError::AlreadyBootstrapped`] when a key works at `now` that may make keys for every tenant.
    pub async fn bootstrap(&self, name: &str, now: UnixMillis) -> Result<IssuedKey, IssueError> {
        let terms = Terms::new(Scopes::Admin(AdminScopes::all()));
        let issued = self.draft(NewKey::new(name, terms), now).await?.issued;
        let inserted = self.store.insert_first_admin(&issued.record, now).await;
        inserted.map(|()| issued).map_err(or_store(IssueError::AlreadyBootstrapped))
    }

    /// Makes a key that replaces another: same family, tenant, name and terms. The old one works until the
    /// grace is over.
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
        self.rotate_once(by, id, grace, None, now).await
    }

    /// The same, or gives the key that the same maker was given for the same request within [`ONCE_TTL`].
    ///
    /// # Errors
    /// [`IssueError`]; nothing has changed then.
    pub async fn rotate_once(
        &self,
        by: &Principal,
        id: &KeyId,
        grace: Duration,
        once: Option<&Once>,
        now: UnixMillis,
    ) -> Result<IssuedKey, IssueError> {
        permit(by, AdminAct::KeysWrite, now)?;
        if grace > MAX_GRACE {
            return Err(IssueError::GraceTooLong);
        }
        let grace_until = now.saturating_add(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        for _ in 0..ATTEMPTS {
            if let Some(issued) = self.again(by, once, now).await? {
                return Ok(issued);
            }
            let old = match self.rotatable(by, id, now).await {
                // Another like this one may have come first.
                Err(IssueError::NotActive) => return self.again(by, once, now).await?.ok_or(IssueError::NotActive),
                old => old?,
            };
            let new = NewKey::new(old.name.clone(), old.terms.clone()).tenant(old.tenant.clone());
            let mut draft = self.draft(new, now).await?;
            let record = &mut draft.issued.record;
            (record.family, record.made_by, record.version) = (old.family, old.made_by, old.version);
            draft.issued.replaced = Some(Box::new(old));
            let asked = draft.once(by, once);
            let asked = Asked { by: asker(by), once: asked.as_ref() };
            let replaced = self.store.replace(id, grace_until, &draft.issued.record, asked).await;
            if may_have_changed(&replaced) {
                self.changed(&Changed::Key(*id)).await;
            }
            match replaced.map_err(or_store(IssueError::NotActive)) {
                Ok(()) => return Ok(draft.issued),
                // The next look says what has changed.
                Err(IssueError::NotActive) => {}
                Err(error) => return Err(error),
            }
        }
        Err(IssueError::Busy)
    }

    async fn rotatable(&self, by: &Principal, id: &KeyId, now: UnixMillis) -> Result<KeyRecord, IssueError> {
        let old = self.reach(by, id).await?;
        within(by, &old.terms)?;
        let is_over = old.ends_at().is_some_and(|end| now >= end);
        let is_active = old.revoked_at.is_none() && old.rotated_to.is_none() && !is_over;
        is_active.then_some(old).ok_or(IssueError::NotActive)
    }

    /// The key that was made for this request before.
    async fn again(
        &self,
        by: &Principal,
        once: Option<&Once>,
        now: UnixMillis,
    ) -> Result<Option<IssuedKey>, IssueError> {
        let Some(once) = once else { return Ok(None) };
        let Some(known) = self.store.find_once(by.family(), &once.token, now).await? else { return Ok(None) };
        if known.request != once.request {
            return Err(IssueError::OtherRequest);
        }
        let pepper = self.peppers.get(known.key_id.pepper()).ok_or(IssueError::PepperMissing)?;
        let key = PresentedKey::derive(pepper, &known.nonce);
        let record = self.store.find(&known.key_id).await?.filter(|record| record.id == *key.id());
        let record = record.ok_or(IssueError::Store(StoreError::Corrupt))?;
        // The caller may have less by now than when it asked first.
        self.still(by).await?;
        if !by.reaches(&record.tenant) {
            return Err(IssueError::WiderThanMaker("tenant"));
        }
        within(by, &record.terms)?;
        Ok(Some(IssuedKey { record, key, is_repeated: true, replaced: None }))
    }

    async fn draft(&self, new: NewKey, now: UnixMillis) -> Result<Draft, IssueError> {
        check_name(&new.name, 1)?;
        check_time(&new.terms, now)?;
        let pepper = self.peppers.newest().ok_or(IssueError::NoRandomness)?;
        let (mut nonce, mut salt) = (Zeroizing::new([0; 32]), [0; 16]);
        let filled = getrandom::fill(nonce.as_mut()).and_then(|()| getrandom::fill(&mut salt));
        filled.map_err(|_| IssueError::NoRandomness)?;
        let key = PresentedKey::derive(pepper, &nonce);
        let cost = Cost::OWASP;
        let output = self.lanes.hash(key.secret(), pepper, cost, salt).await.map_err(|Full| IssueError::Busy)?;
        let mut record = KeyRecord::new(*key.id(), new.name, SecretHash { cost, salt, output }, new.terms, now);
        record.tenant = new.tenant;
        Ok(Draft { issued: IssuedKey { record, key, is_repeated: false, replaced: None }, nonce })
    }
}
