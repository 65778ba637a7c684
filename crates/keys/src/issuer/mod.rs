//! Making, changing, replacing and withdrawing keys, by those who may.

mod change;
mod make;
mod tenants;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::UnixMillis;
use crate::cache::Cache;
use crate::error::{IssueError, StoreError};
use crate::format;
use crate::id::KeyId;
use crate::lanes::Lanes;
use crate::pepper::Peppers;
use crate::principal::Principal;
use crate::record::KeyRecord;
use crate::revocations::{Changed, Revocations};
use crate::scopes::AdminAct;
use crate::store::KeyStore;
use crate::tenant::Tenant;
use crate::terms::Terms;

pub use change::{Change, Updated};
pub use make::{IssuedKey, NewKey};

/// Longest grace of a rotated key.
pub const MAX_GRACE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MAX_NAME_BYTES: usize = 128;
/// Most keys, or tenants, of one list.
pub const MAX_LIST: usize = 1_000;
/// How soon others are told again who could not be told.
const TELL_AGAIN: Duration = Duration::from_secs(1);

/// Issues, changes, rotates, revokes and lists keys, and makes tenants. What it does is not written to an audit
/// trail here; its caller does that. Cheap to clone.
///
/// Nobody hands on more than they have: neither scopes nor limits, addresses, time, or another tenant. What
/// lies in a tenant out of reach is not there for the caller.
#[derive(Clone)]
pub struct Issuer {
    store: Arc<dyn KeyStore>,
    peppers: Peppers,
    lanes: Arc<Lanes>,
    cache: Option<Arc<Cache>>,
    told: Option<Told>,
}

/// The others, and whether they are owed something that they could not be told.
#[derive(Clone)]
struct Told {
    revocations: Arc<dyn Revocations>,
    owes: Arc<AtomicBool>,
}

impl Issuer {
    /// An issuer on its own, for a command line. Beside a verifier, use
    /// [`Verifier::issuer`](crate::Verifier::issuer).
    pub fn new(store: Arc<dyn KeyStore>, peppers: Peppers) -> Self {
        Self::sharing(store, peppers, Arc::new(Lanes::new(1, 64)), None, None)
    }

    /// Tells the verifiers of the same keys what it changes; when it cannot, again every second until it can, for
    /// as long as the Tokio runtime lives.
    #[must_use]
    pub fn telling(mut self, revocations: Arc<dyn Revocations>) -> Self {
        self.told = Some(Told { revocations, owes: Arc::default() });
        self
    }

    pub(crate) fn sharing(
        store: Arc<dyn KeyStore>,
        peppers: Peppers,
        lanes: Arc<Lanes>,
        cache: Option<Arc<Cache>>,
        revocations: Option<Arc<dyn Revocations>>,
    ) -> Self {
        let issuer = Self { store, peppers, lanes, cache, told: None };
        match revocations {
            Some(revocations) => issuer.telling(revocations),
            None => issuer,
        }
    }

    /// The key of this id.
    ///
    /// # Errors
    /// [`IssueError::Forbidden`] unless `by` holds `keys:read`; [`IssueError::NotFound`].
    pub async fn find(&self, by: &Principal, id: &KeyId, now: UnixMillis) -> Result<KeyRecord, IssueError> {
        permit(by, AdminAct::KeysRead, now)?;
        self.reach(by, id).await
    }

    /// Up to `limit` keys, at most [`MAX_LIST`], in the order of their ids: of one tenant, or of all that the caller
    /// reaches.
    ///
    /// # Errors
    /// [`IssueError::Forbidden`] unless `by` holds `keys:read`; [`IssueError::NoTenant`] for a tenant out of
    /// reach.
    pub async fn list(
        &self,
        by: &Principal,
        tenant: Option<&Tenant>,
        after: Option<&KeyId>,
        limit: usize,
        now: UnixMillis,
    ) -> Result<Vec<KeyRecord>, IssueError> {
        permit(by, AdminAct::KeysRead, now)?;
        let is_everywhere = by.scopes().permits_admin(AdminAct::TenantsAll);
        let tenant = match tenant {
            Some(tenant) if !by.reaches(tenant) => return Err(IssueError::NoTenant),
            Some(tenant) => Some(tenant),
            None => (!is_everywhere).then(|| by.tenant()),
        };
        Ok(self.store.list(tenant, after, limit.min(MAX_LIST)).await?)
    }

    /// Up to `limit` keys, at most [`MAX_LIST`], that are not revoked and end within this time, in the order of their
    /// ids. For warnings, which are for whoever runs the gateway.
    ///
    /// # Errors
    /// [`IssueError::Store`].
    pub async fn ending(
        &self,
        within: Range<UnixMillis>,
        after: Option<&KeyId>,
        limit: usize,
    ) -> Result<Vec<KeyRecord>, IssueError> {
        Ok(self.store.ending(within, after, limit.min(MAX_LIST)).await?)
    }

    /// The peppers that keys were made with and that are not loaded: those keys are refused, all of them.
    ///
    /// # Errors
    /// [`IssueError::Store`].
    pub async fn missing_peppers(&self) -> Result<Vec<char>, IssueError> {
        let used = self.store.peppers().await?;
        Ok(used.into_iter().filter(|kid| !self.peppers.has(*kid)).collect())
    }

    /// Forgets requests that came too long ago to come again.
    ///
    /// # Errors
    /// [`IssueError::Store`].
    pub async fn forget_once(&self, now: UnixMillis) -> Result<(), IssueError> {
        Ok(self.store.forget_once(now).await?)
    }

    /// The key, if the caller may know of it.
    async fn reach(&self, by: &Principal, id: &KeyId) -> Result<KeyRecord, IssueError> {
        let record = self.store.find(id).await?.ok_or(IssueError::NotFound)?;
        if by.reaches(&record.tenant) { Ok(record) } else { Err(IssueError::NotFound) }
    }

    /// Whether the caller's key is still there and not revoked. A request may have been under way for long; what
    /// makes or changes keys is held against the row once more by the store, in one step.
    async fn still(&self, by: &Principal) -> Result<(), IssueError> {
        if asker(by).is_none() {
            return Ok(());
        }
        let record = self.store.find(by.key_id()).await?;
        record.filter(|record| record.revoked_at.is_none()).map(drop).ok_or(IssueError::Forbidden)
    }

    /// Rows have changed: here, and wherever else they are remembered.
    async fn changed(&self, changed: &Changed) {
        if let Some(cache) = &self.cache {
            cache.forget(changed);
        }
        if let Some(told) = &self.told
            && told.revocations.announce(changed).await.is_err()
            && !told.owes.swap(true, Ordering::SeqCst)
        {
            tokio::spawn(told.clone().tell_again());
        }
    }
}

impl Told {
    /// One task tells, however much there is: everything may have changed.
    async fn tell_again(self) {
        loop {
            tokio::time::sleep(TELL_AGAIN).await;
            self.owes.store(false, Ordering::SeqCst);
            let is_told = self.revocations.announce(&Changed::All).await.is_ok();
            // Whoever failed meanwhile has a task of its own.
            if is_told || self.owes.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }
}

/// The key that asks; the command line has none.
fn asker(by: &Principal) -> Option<&KeyId> {
    (*by.key_id() != KeyId::SYSTEM).then(|| by.key_id())
}

fn permit(by: &Principal, act: AdminAct, now: UnixMillis) -> Result<(), IssueError> {
    let is_over = by.expires_at().is_some_and(|end| now >= end);
    if is_over || !by.scopes().permits_admin(act) { Err(IssueError::Forbidden) } else { Ok(()) }
}

/// Whether the caller may give these terms to a key.
fn within(by: &Principal, terms: &Terms) -> Result<(), IssueError> {
    terms.beyond(by.terms()).map_or(Ok(()), |what| Err(IssueError::WiderThanMaker(what)))
}

/// Also a store that failed may have done it before.
fn may_have_changed<T>(done: &Result<T, StoreError>) -> bool {
    !matches!(done, Err(StoreError::Conflict | StoreError::AskerRevoked))
}

fn check_name(name: &str, least: usize) -> Result<(), IssueError> {
    let is_name = (least..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
    (is_name && !format::is_in(name)).then_some(()).ok_or(IssueError::Name)
}

/// A key that ends must still have time to work in.
fn check_time(terms: &Terms, now: UnixMillis) -> Result<(), IssueError> {
    let begins = terms.not_before.map_or(now, |start| start.max(now));
    if terms.expires_at.is_some_and(|end| end <= begins) { Err(IssueError::ExpiryInPast) } else { Ok(()) }
}

/// What cannot be changed as things stand, in the words of the caller's question.
fn or_store(conflict: IssueError) -> impl FnOnce(StoreError) -> IssueError {
    move |error| match error {
        StoreError::Conflict => conflict,
        StoreError::AskerRevoked => IssueError::Forbidden,
        error => error.into(),
    }
}
