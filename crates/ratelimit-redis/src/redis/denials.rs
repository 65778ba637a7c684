//! Denials that still hold: a flood on an empty bucket is refused without asking the server.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::charge::Held;
use crate::decision::{Denial, Standing, capacity};
use crate::quota::{Kind, Quota};

/// How long a denial holds at most: somebody may give back what they held.
const HOLDS: Duration = Duration::from_millis(50);
/// Most denials that are kept.
const MOST: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Denials {
    kept: Mutex<HashMap<(Arc<str>, &'static str), Kept>>,
    /// When something was last given back to a bucket of this hash, in microseconds since the start: what was
    /// denied before that must not be kept after it.
    given_back: Box<[AtomicU64; 256]>,
    hasher: RandomState,
    start: Instant,
}

impl Default for Denials {
    fn default() -> Self {
        let given_back = Box::new([const { AtomicU64::new(0) }; 256]);
        Self { kept: Mutex::default(), given_back, hasher: RandomState::new(), start: Instant::now() }
    }
}

#[derive(Debug, Clone)]
struct Kept {
    quota: Quota,
    floor: u64,
    /// What did not fit; whatever costs as much does not fit either.
    cost: u64,
    until: Instant,
    /// When it would fit.
    fits_at: Option<Instant>,
    standing: Standing,
}

impl Denials {
    /// The denial of charges one of which is known not to fit.
    pub(crate) fn find(&self, charges: &[Held], now: Instant) -> Option<Denial> {
        let kept = self.lock();
        let known = |held: &Held| {
            let kept = kept.get(&(held.bucket.clone(), held.unit))?;
            let is_same = kept.quota == held.quota && kept.floor == held.floor && held.cost >= kept.cost;
            (is_same && now < kept.until).then(|| kept.clone())
        };
        let kept = charges.iter().find_map(known)?;
        let left = |at: Instant| at.saturating_duration_since(now);
        let retry_after = kept.fits_at.map(left);
        Some(Denial { policy: kept.standing.policy, retry_after, standings: vec![kept.standing], is_outage: false })
    }

    /// Forgets what was denied of a bucket to which something is given back.
    pub(crate) fn forget<'h>(&self, given_back: impl Iterator<Item = &'h Held>) {
        let now = self.micros(Instant::now());
        for held in given_back {
            if let Some(place) = self.place(held) {
                place.store(now, Ordering::Relaxed);
            }
            let mut kept = self.lock();
            if !kept.is_empty() {
                kept.remove(&(held.bucket.clone(), held.unit));
            }
        }
    }

    /// There is one for every byte.
    fn place(&self, held: &Held) -> Option<&AtomicU64> {
        let [place, ..] = self.hasher.hash_one(&held.bucket).to_le_bytes();
        self.given_back.get(usize::from(place))
    }

    fn micros(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_micros()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Arc<str>, &'static str), Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what was denied. `asked_at` is before the server was asked, so that nothing holds too long.
    pub(crate) fn note(&self, charges: &[Held], denial: &Denial, used: &[u64], asked_at: Instant) {
        let mut kept = self.lock();
        if kept.len() >= MOST {
            kept.retain(|_, kept| asked_at < kept.until);
        }
        for ((held, used), standing) in charges.iter().zip(used).zip(&denial.standings) {
            let Kind::Bucket(refill) = held.quota.kind() else { continue };
            let is_over = held.cost > 0 && used.saturating_add(refill.ticks(held.cost)) > capacity(held);
            let given_back = self.place(held).map_or(0, |place| place.load(Ordering::Relaxed));
            let is_old = given_back >= self.micros(asked_at);
            if is_over && !is_old && held.policy == denial.policy && kept.len() < MOST {
                let wait = denial.retry_after.unwrap_or(HOLDS);
                let entry = Kept {
                    quota: held.quota,
                    floor: held.floor,
                    cost: held.cost,
                    until: asked_at + wait.min(HOLDS),
                    fits_at: denial.retry_after.map(|wait| asked_at + wait),
                    standing: standing.clone(),
                };
                kept.insert((held.bucket.clone(), held.unit), entry);
            }
        }
    }
}
