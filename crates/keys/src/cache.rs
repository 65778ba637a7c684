//! What is known of keys that were checked lately. Holds digests of secrets under a random key of
//! this process, never a secret.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::UnixMillis;
use crate::error::AuthError;
use crate::format::PresentedKey;
use crate::hash::SecretHash;
use crate::id::KeyId;
use crate::lineage::Lineage;
use crate::principal::Principal;
use crate::record::Status;
use crate::revocations::Changed;

const SHARDS: usize = 16;
/// How many entries are looked at for one to drop.
const SAMPLE: usize = 8;
/// How long a refusal is remembered.
const REFUSAL_MS: u64 = 10_000;
/// How soon a row is asked for again after the store did not answer.
const POSTPONE_MS: u64 = 1_000;

pub(crate) type Digest = [u8; 32];
type Shard = HashMap<KeyId, Entry>;

pub(crate) struct Cache {
    shards: [RwLock<Shard>; SHARDS],
    per_shard: usize,
    hard_ms: u64,
    soft_ms: AtomicU64,
    digest_key: Zeroizing<[u8; 32]>,
    generation: AtomicU64,
    epoch: AtomicU64,
}

/// A key whose secret was right, as its row was then.
#[derive(Clone)]
pub(crate) struct Known {
    principal: Principal,
    pub(crate) hash: SecretHash,
}

struct Entry {
    digest: Digest,
    outcome: Landed,
    /// When the row was read, and in which epoch.
    checked_at: UnixMillis,
    epoch: u64,
    /// While the store is away, what is known holds until then, in this epoch.
    postponed: (UnixMillis, u64),
    hard_until: UnixMillis,
    /// The row is another one by now.
    is_outdated: bool,
    used_at: AtomicU64,
    noted_at: AtomicU64,
}

/// What a check finds; when and from where the key may be used is another question, and each caller's own.
pub(crate) type Landed = Result<Known, AuthError>;

pub(crate) enum Found {
    /// Known well enough to answer.
    Fresh(Landed),
    /// The secret was right; the row must be read again.
    Stale(Known),
    /// The same, and the row has changed: while it cannot be read, nothing is known.
    Outdated(Known),
    /// Not known.
    Missing,
}

impl Known {
    /// What the rows say of a key whose secret is right.
    pub(crate) fn of(lineage: &Lineage) -> Result<Self, AuthError> {
        let record = &lineage.record;
        match record.status() {
            Status::Revoked => Err(AuthError::Revoked),
            Status::Active => {
                let terms = lineage.terms().ok_or(AuthError::NothingLeft)?;
                let principal = Principal::of(record, terms, lineage.makers());
                Ok(Self { principal, hash: record.hash.clone() })
            }
        }
    }

    /// Whether it may be used at this time from this address.
    pub(crate) fn at(self, now: UnixMillis, from: IpAddr) -> Result<Principal, AuthError> {
        let terms = self.principal.terms();
        if terms.not_before.is_some_and(|start| now < start) {
            return Err(AuthError::NotYetValid);
        }
        if self.principal.expires_at().is_some_and(|end| now >= end) {
            return Err(AuthError::Expired);
        }
        if !terms.addresses.contain(from) {
            return Err(AuthError::WrongAddress);
        }
        Ok(self.principal)
    }
}

impl Cache {
    pub(crate) fn new(capacity: usize, hard_ms: u64, soft_ms: u64) -> Result<Self, getrandom::Error> {
        let mut digest_key = Zeroizing::new([0; 32]);
        getrandom::fill(digest_key.as_mut())?;
        let per_shard = capacity.div_ceil(SHARDS);
        let shards = std::array::from_fn(|_| RwLock::default());
        let (soft_ms, generation, epoch) = (AtomicU64::new(soft_ms), AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { shards, per_shard, hard_ms, soft_ms, digest_key, generation, epoch })
    }

    /// How long a row counts as read, from now on and for what is remembered.
    pub(crate) fn set_soft(&self, soft_ms: u64) {
        self.soft_ms.store(soft_ms, Ordering::SeqCst);
    }

    pub(crate) fn digest(&self, key: &PresentedKey) -> Digest {
        *blake3::keyed_hash(&self.digest_key, key.id_and_secret()).as_bytes()
    }

    /// Changes with every [`Cache::forget`]. What was read before is not kept after.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(crate) fn look(&self, id: &KeyId, digest: &Digest, now: UnixMillis) -> Found {
        let shard = self.read(id);
        let Some(entry) = shard.get(id).filter(|entry| bool::from(entry.digest.ct_eq(digest))) else {
            return Found::Missing;
        };
        let epoch = self.epoch.load(Ordering::Relaxed);
        let is_current = entry.epoch == epoch;
        let age = now.checked_sub(entry.checked_at);
        let is_fresh = |ttl| is_current && age.is_some_and(|age| age < ttl);
        let (until, in_epoch) = entry.postponed;
        let is_postponed = age.is_some() && now < until && in_epoch == epoch;
        match &entry.outcome {
            _ if now >= entry.hard_until => Found::Missing,
            Ok(known) if entry.is_outdated => Found::Outdated(known.clone()),
            Ok(known) if is_postponed || is_fresh(self.soft_ms.load(Ordering::Relaxed)) => {
                entry.used_at.store(now, Ordering::Relaxed);
                Found::Fresh(Ok(known.clone()))
            }
            Ok(known) => Found::Stale(known.clone()),
            Err(error) if is_fresh(REFUSAL_MS) => Found::Fresh(Err(error.clone())),
            Err(_) => Found::Missing,
        }
    }

    /// Remembers the outcome of a full check.
    pub(crate) fn keep(&self, id: &KeyId, digest: Digest, outcome: Landed, now: UnixMillis, generation: u64) {
        let hard_ms = if outcome.is_ok() { self.hard_ms } else { REFUSAL_MS };
        let entry = Entry {
            digest,
            outcome,
            checked_at: now,
            epoch: self.epoch.load(Ordering::SeqCst),
            postponed: (0, 0),
            hard_until: now.saturating_add(hard_ms),
            is_outdated: false,
            used_at: AtomicU64::new(now),
            noted_at: AtomicU64::new(0),
        };
        let mut shard = self.write(id);
        // Something has changed meanwhile: of a right secret that is kept, so that only the row is read again.
        let is_outdated = self.generation() != generation;
        if is_outdated && entry.outcome.is_err() {
            return;
        }
        let entry = Entry { is_outdated, ..entry };
        if shard.len() >= self.per_shard && !shard.contains_key(id) {
            let oldest = shard.iter().take(SAMPLE).min_by_key(|(_, entry)| entry.used_at.load(Ordering::Relaxed));
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                shard.remove(&oldest);
            }
        }
        shard.insert(*id, entry);
    }

    /// Remembers what a row says now. The hard end stays, so that the secret is checked again.
    pub(crate) fn refresh(&self, id: &KeyId, digest: Digest, outcome: Landed, now: UnixMillis, generation: u64) {
        if outcome.is_err() {
            return self.keep(id, digest, outcome, now, generation);
        }
        let mut shard = self.write(id);
        if self.generation() != generation {
            return;
        }
        if let Some(entry) = shard.get_mut(id).filter(|entry| entry.digest == digest) {
            entry.outcome = outcome;
            entry.checked_at = now;
            entry.epoch = self.epoch.load(Ordering::SeqCst);
            entry.postponed = (0, 0);
            entry.is_outdated = false;
            entry.hard_until = entry.hard_until.min(now.saturating_add(self.hard_ms));
            entry.used_at.store(now, Ordering::Relaxed);
        }
    }

    /// The store did not answer: what is known holds a little longer, never past the hard end.
    pub(crate) fn postpone(&self, id: &KeyId, now: UnixMillis, generation: u64) {
        let mut shard = self.write(id);
        if self.generation() != generation {
            return;
        }
        if let Some(entry) = shard.get_mut(id) {
            entry.checked_at = entry.checked_at.min(now);
            entry.postponed = (now.saturating_add(POSTPONE_MS), self.epoch.load(Ordering::SeqCst));
        }
    }

    /// The secret hashes to something else from now on.
    pub(crate) fn rehashed(&self, id: &KeyId, from: &SecretHash, to: &SecretHash) {
        if let Some(Ok(known)) = self.write(id).get_mut(id).map(|entry| &mut entry.outcome)
            && known.hash == *from
        {
            known.hash = to.clone();
        }
    }

    /// The rows of these keys must be read again, all that is under way included. Secrets that were right are
    /// still right, so that what is read does not cost an Argon2 for each of them.
    pub(crate) fn forget(&self, changed: &Changed) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        match changed {
            Changed::Key(id) => {
                let mut shard = self.write(id);
                let is_right = shard.get_mut(id).is_some_and(|entry| {
                    entry.is_outdated = true;
                    entry.outcome.is_ok()
                });
                if !is_right {
                    shard.remove(id);
                }
            }
            Changed::Family(family) => self.mark(|principal| principal.family() == family),
            Changed::Tenant(tenant) => self.mark(|principal| principal.tenant() == tenant),
            Changed::All => self.mark(|_| true),
        }
    }

    /// Rows may have changed, for all that is known.
    pub(crate) fn read_again(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Refusals do not say whose they are, so that all of them go.
    fn mark(&self, is_meant: impl Fn(&Principal) -> bool) {
        for shard in &self.shards {
            shard.write().unwrap_or_else(PoisonError::into_inner).retain(|_, entry| {
                entry.is_outdated |= entry.outcome.as_ref().is_ok_and(|known| is_meant(&known.principal));
                entry.outcome.is_ok()
            });
        }
    }

    /// Keys used since the last call, and when.
    pub(crate) fn take_used(&self) -> Vec<(KeyId, UnixMillis)> {
        let mut used = Vec::new();
        for shard in &self.shards {
            for (id, entry) in shard.read().unwrap_or_else(PoisonError::into_inner).iter() {
                let at = entry.used_at.load(Ordering::Relaxed);
                if entry.outcome.is_ok() && entry.noted_at.swap(at, Ordering::Relaxed) != at {
                    used.push((*id, at));
                }
            }
        }
        used
    }

    /// The ids are random, so any hash spreads them.
    fn shard(&self, id: &KeyId) -> &RwLock<Shard> {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let [first, rest @ ..] = &self.shards;
        let at = (hasher.finish() as usize) % SHARDS;
        at.checked_sub(1).and_then(|at| rest.get(at)).unwrap_or(first)
    }

    fn read(&self, id: &KeyId) -> RwLockReadGuard<'_, Shard> {
        self.shard(id).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, id: &KeyId) -> RwLockWriteGuard<'_, Shard> {
        self.shard(id).write().unwrap_or_else(PoisonError::into_inner)
    }
}
