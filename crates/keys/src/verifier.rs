//! From a presented key to a principal, the cheap checks before the dear ones.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::UnixMillis;
use crate::cache::{Cache, Digest, Found, Known, Landed};
use crate::error::{AuthError, StoreError};
use crate::format::{PresentedKey, parse};
use crate::hash::{Cost, SecretHash};
use crate::issuer::Issuer;
use crate::lanes::{Full, Lanes};
use crate::lineage::Lineage;
use crate::pepper::Peppers;
use crate::principal::Principal;
use crate::record::KeyRecord;
use crate::revocations::{Changed, Heard, Revocations};
use crate::store::{KeyStore, Rehash};
use crate::throttle::Throttle;

type Outcome = Result<Principal, AuthError>;
/// The key that a check is of, and the generation of what is remembered when it began: who comes after a change does
/// not join a check from before it.
type Flight = (Digest, u64);

/// The longest that a row counts as read while other verifiers cannot be heard.
pub const AWAY_TTL: Duration = Duration::from_secs(4);

/// Checks presented keys. Cheap to clone; clones share everything.
///
/// A key seen lately costs under a microsecond and no I/O. A new one costs a read of its row and
/// about 14 ms in an Argon2 lane, once, however many requests bring it at the same time; who comes after some key
/// has changed begins a check of its own.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    store: Arc<dyn KeyStore>,
    peppers: Peppers,
    cache: Arc<Cache>,
    /// Failures of any kind.
    throttle: Throttle,
    /// Failures of keys that carry our tag, which cost an Argon2 hash: nobody can make such keys, so
    /// a neighbour's nonsense does not count against them.
    costly: Throttle,
    lanes: Arc<Lanes>,
    soft_ttl: Duration,
    revocations: Option<Arc<dyn Revocations>>,
    flights: Mutex<HashMap<Flight, watch::Receiver<Option<Landed>>>>,
}

/// Settings of a [`Verifier`].
#[must_use]
pub struct VerifierBuilder {
    store: Arc<dyn KeyStore>,
    peppers: Peppers,
    lanes: usize,
    queue: usize,
    cache_capacity: usize,
    hard_ttl: Duration,
    soft_ttl: Duration,
    failures_per_minute: u32,
    revocations: Option<Arc<dyn Revocations>>,
}

/// Settings that cannot work.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidVerifier {
    /// Something that must be at least one is zero.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
    /// Rows would be read again after the whole check is made again.
    #[error("soft_ttl must not be longer than hard_ttl")]
    SoftAfterHard,
    /// The operating system has no randomness.
    #[error("the operating system gives no randomness")]
    NoRandomness,
}

impl VerifierBuilder {
    /// Argon2 threads, each with 19 MiB; half the cores, at least one, by default.
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes;
        self
    }

    /// How many checks may wait for a lane, 256 by default; more are shed as [`AuthError::Busy`].
    pub fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// How many keys are remembered, 100,000 by default.
    pub fn cache_capacity(mut self, keys: usize) -> Self {
        self.cache_capacity = keys;
        self
    }

    /// How long a secret is remembered as right, 300 s by default.
    pub fn hard_ttl(mut self, ttl: Duration) -> Self {
        self.hard_ttl = ttl;
        self
    }

    /// After how long the row is read again, 30 s by default: so late may another process's
    /// revocation be seen, unless it is [heard](Self::revocations).
    pub fn soft_ttl(mut self, ttl: Duration) -> Self {
        self.soft_ttl = ttl;
        self
    }

    /// How many failures one address (IPv6: one /64) may make in a minute, 60 by default.
    pub fn failures_per_minute(mut self, failures: u32) -> Self {
        self.failures_per_minute = failures;
        self
    }

    /// How verifiers of the same keys tell each other what has changed. [`Verifier::follow`] listens.
    pub fn revocations(mut self, revocations: Arc<dyn Revocations>) -> Self {
        self.revocations = Some(revocations);
        self
    }

    /// Starts nothing yet: threads start with the first check.
    ///
    /// # Errors
    /// [`InvalidVerifier`] when a setting cannot work.
    pub fn build(self) -> Result<Verifier, InvalidVerifier> {
        let sizes = [("lanes", self.lanes), ("queue", self.queue), ("cache_capacity", self.cache_capacity)];
        if let Some((name, _)) = sizes.into_iter().find(|(_, size)| *size == 0) {
            return Err(InvalidVerifier::Zero(name));
        }
        let failures = NonZeroU32::new(self.failures_per_minute).ok_or(InvalidVerifier::Zero("failures_per_minute"))?;
        if self.soft_ttl > self.hard_ttl {
            return Err(InvalidVerifier::SoftAfterHard);
        }
        let cache = Cache::new(self.cache_capacity, millis(self.hard_ttl), millis(self.soft_ttl));
        Ok(Verifier(Arc::new(Inner {
            store: self.store,
            peppers: self.peppers,
            cache: Arc::new(cache.map_err(|_| InvalidVerifier::NoRandomness)?),
            throttle: Throttle::new(failures),
            costly: Throttle::new(failures),
            lanes: Arc::new(Lanes::new(self.lanes, self.queue)),
            soft_ttl: self.soft_ttl,
            revocations: self.revocations,
            flights: Mutex::default(),
        })))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Verifier {
    /// A verifier over this store, with the default settings.
    pub fn builder(store: Arc<dyn KeyStore>, peppers: Peppers) -> VerifierBuilder {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        VerifierBuilder {
            store,
            peppers,
            lanes: (cores / 2).max(1),
            queue: 256,
            cache_capacity: 100_000,
            hard_ttl: Duration::from_secs(300),
            soft_ttl: Duration::from_secs(30),
            failures_per_minute: 60,
            revocations: None,
        }
    }

    /// An issuer over the same store, peppers and lanes. What it revokes or rotates is forgotten
    /// here at once.
    pub fn issuer(&self) -> Issuer {
        let Inner { store, peppers, cache, lanes, revocations, .. } = &*self.0;
        Issuer::sharing(store.clone(), peppers.clone(), lanes.clone(), Some(cache.clone()), revocations.clone())
    }

    /// Listens to what other verifiers of the same keys have changed, until it is dropped; returns at once when
    /// there are no [`revocations`](VerifierBuilder::revocations). While nothing can be heard, rows are read
    /// again after [`AWAY_TTL`], if that is sooner than the soft TTL. `notice` is told what was heard, to count it.
    pub async fn follow(&self, notice: &(dyn Fn(&Heard) + Send + Sync)) {
        let Some(revocations) = &self.0.revocations else { return };
        let near = millis(self.0.soft_ttl);
        let cache = &self.0.cache;
        let deaf = Deaf { cache, soft_ms: near.min(millis(AWAY_TTL)) };
        deaf.set();
        let hear = |heard| {
            match &heard {
                Heard::Changed(changed) => cache.forget(changed),
                Heard::Here => {
                    cache.read_again();
                    cache.set_soft(near);
                }
                Heard::Away => deaf.set(),
            }
            notice(&heard);
        };
        revocations.listen(&hear).await;
    }

    /// Checks a presented key, brought from this address at this time.
    ///
    /// Format, checksum and tag first; then what is remembered; then the address's failures; only
    /// then the row, and Argon2 before the row's status, so that wrong, revoked and expired take the
    /// same time. Dropping the future leaves the check running for others who wait for it.
    ///
    /// # Errors
    /// [`AuthError`]; see [`AuthError::is_callers_fault`].
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub async fn verify(&self, presented: &str, from: IpAddr, now: UnixMillis) -> Result<Principal, AuthError> {
        let inner = &self.0;
        let (outcome, is_ours) = match parse(presented, &inner.peppers) {
            Ok(key) => (inner.known_or_checked(key, from, now).await, true),
            Err(reason) => (Err(reason.into()), false),
        };
        match outcome {
            Err(error) if error.is_callers_fault() && !matches!(error, AuthError::Throttled { .. }) => {
                if is_ours {
                    inner.costly.charge(from, now);
                }
                let throttled = inner.throttle.charge(from, now);
                Err(throttled.map_or(error, |retry_after| AuthError::Throttled { retry_after }))
            }
            other => other,
        }
    }

    /// Reads these rows again, after something else than an issuer of this verifier has changed them.
    pub fn forget(&self, changed: &Changed) {
        self.0.cache.forget(changed);
    }

    /// Tells the store which keys were used since the last call. Call it every half minute.
    ///
    /// # Errors
    /// [`StoreError`]; the times are lost then, until the keys are used again.
    pub async fn note_used(&self) -> Result<(), StoreError> {
        let used = self.0.cache.take_used();
        if used.is_empty() { Ok(()) } else { self.0.store.touch(&used).await }
    }

    /// How many Argon2 hashes were made, its issuers' included.
    pub fn hashes(&self) -> u64 {
        self.0.lanes.hashes()
    }
}

impl Inner {
    async fn known_or_checked(self: &Arc<Self>, key: PresentedKey, from: IpAddr, now: UnixMillis) -> Outcome {
        let (digest, generation) = (self.cache.digest(&key), self.cache.generation());
        match self.cache.look(key.id(), &digest, now) {
            Found::Fresh(landed) => {
                let outcome = landed?.at(now, from);
                if matches!(outcome, Err(AuthError::Expired)) {
                    // From now on as fast as every other refusal.
                    self.cache.keep(key.id(), digest, Err(AuthError::Expired), now, generation);
                }
                return outcome;
            }
            Found::Stale(_) | Found::Outdated(_) => {}
            Found::Missing => {
                if let Some(retry_after) = self.costly.wait(from, now) {
                    return Err(AuthError::Throttled { retry_after });
                }
            }
        }
        let mut flight = self.join(key, (digest, generation), now);
        let landed = flight.wait_for(Option::is_some).await;
        landed.ok().and_then(|outcome| outcome.clone()).unwrap_or(Err(busy()))?.at(now, from)
    }

    /// The check of this key that is under way, or a new one.
    fn join(self: &Arc<Self>, key: PresentedKey, of: Flight, now: UnixMillis) -> watch::Receiver<Option<Landed>> {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(&of) {
            return flight.clone();
        }
        let (land, flight) = watch::channel(None);
        flights.insert(of, flight.clone());
        let landing = Landing { inner: self.clone(), of };
        tokio::spawn(async move {
            let outcome = landing.inner.check(&key, of, now).await;
            land.send_replace(Some(outcome));
            drop(landing);
        });
        flight
    }

    async fn check(self: &Arc<Self>, key: &PresentedKey, of: Flight, now: UnixMillis) -> Landed {
        let (digest, generation) = of;
        // Another flight may have landed between the caller's look and this one's start.
        let found = self.cache.look(key.id(), &digest, now);
        let is_outdated = matches!(found, Found::Outdated(_));
        match found {
            Found::Fresh(landed) => landed,
            Found::Stale(known) | Found::Outdated(known) => match Lineage::find(&*self.store, key.id()).await {
                Ok(Some(lineage)) if lineage.record.hash == known.hash => {
                    let landed = Known::of(&lineage);
                    self.cache.refresh(key.id(), digest, landed.clone(), now, generation);
                    landed
                }
                Ok(_) => self.check_in_full(key, digest, now, generation).await,
                Err(StoreError::Unavailable) if !is_outdated => {
                    tracing::warn!(key = %key.id(), "key store unavailable, a remembered key is accepted");
                    self.cache.postpone(key.id(), now, generation);
                    Ok(known)
                }
                Err(error) => Err(error.into()),
            },
            Found::Missing => self.check_in_full(key, digest, now, generation).await,
        }
    }

    async fn check_in_full(
        self: &Arc<Self>,
        key: &PresentedKey,
        digest: Digest,
        now: UnixMillis,
        generation: u64,
    ) -> Landed {
        let lineage = Lineage::find(&*self.store, key.id()).await?;
        let kid = lineage.as_ref().map_or(key.id().pepper_kid(), |lineage| lineage.record.pepper_kid);
        let pepper = u8::try_from(kid).ok().and_then(|kid| self.peppers.get(kid)).ok_or(AuthError::PepperMissing)?;
        // Without a row, the same work for nothing.
        let hash = lineage.as_ref().map(|lineage| &lineage.record.hash);
        let (cost, salt) = hash.map_or((Cost::OWASP, [0; 16]), |hash| (hash.cost, hash.salt));
        let output = self.lanes.hash(key.secret(), pepper, cost, salt).await.map_err(|Full| busy())?;
        let landed = match &lineage {
            Some(lineage) if output.ct_eq(&lineage.record.hash.output).into() => {
                self.renew_hash(key, &lineage.record);
                Known::of(lineage)
            }
            _ => Err(AuthError::Unknown),
        };
        self.cache.keep(key.id(), digest, landed.clone(), now, generation);
        landed
    }

    /// Hashes a secret anew, beside everything else, when its hash is of an older pepper or cost. What fails is
    /// tried again after the next check in full.
    fn renew_hash(self: &Arc<Self>, key: &PresentedKey, record: &KeyRecord) {
        let Some(pepper) = self.peppers.newest() else { return };
        let pepper_kid = char::from(pepper.kid);
        if (record.pepper_kid, record.hash.cost) == (pepper_kid, Cost::OWASP) || record.revoked_at.is_some() {
            return;
        }
        let (inner, id, from) = (self.clone(), record.id, record.hash.clone());
        let secret = Zeroizing::new(key.secret().to_vec());
        tokio::spawn(async move {
            let Some(pepper) = inner.peppers.newest() else { return };
            let mut salt = [0; 16];
            if getrandom::fill(&mut salt).is_err() {
                return;
            }
            let Ok(output) = inner.lanes.hash(&secret, pepper, Cost::OWASP, salt).await else { return };
            let to = SecretHash { cost: Cost::OWASP, salt, output };
            match inner.store.rehash(Rehash { id: &id, from: &from, to: &to, pepper_kid }).await {
                Ok(true) => inner.cache.rehashed(&id, &from, &to),
                Ok(false) => {}
                Err(error) => tracing::warn!(key = %id, %error, "an old hash is not renewed"),
            }
        });
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Flight, watch::Receiver<Option<Landed>>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How rows are read while nothing can be heard, and once nobody listens any more.
struct Deaf<'a> {
    cache: &'a Cache,
    soft_ms: u64,
}

impl Deaf<'_> {
    fn set(&self) {
        self.cache.set_soft(self.soft_ms);
    }
}

impl Drop for Deaf<'_> {
    fn drop(&mut self) {
        self.set();
    }
}

/// Takes a flight off the list, also when its check panics.
struct Landing {
    inner: Arc<Inner>,
    of: Flight,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.inner.flights().remove(&self.of);
    }
}

fn busy() -> AuthError {
    AuthError::Busy { retry_after: Duration::from_secs(1) }
}
