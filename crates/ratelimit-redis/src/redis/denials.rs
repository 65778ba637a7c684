//! Denials that still hold: a flood on an empty bucket is refused without asking the server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::charge::Held;
use crate::decision::{Denial, Standing, capacity};
use crate::quota::{Kind, Quota};

/// How long a denial holds at most: somebody may give back what they held.
const HOLDS: Duration = Duration::from_millis(50);
/// Most denials that are kept.
const MOST: usize = 16_384;

#[derive(Debug, Default)]
pub(crate) struct Denials(Mutex<HashMap<(Arc<str>, &'static str), Kept>>);

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
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

    /// Keeps what was denied. `asked_at` is before the server was asked, so that nothing holds too long.
    pub(crate) fn note(&self, charges: &[Held], denial: &Denial, used: &[u64], asked_at: Instant) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST {
            kept.retain(|_, kept| asked_at < kept.until);
        }
        for ((held, used), standing) in charges.iter().zip(used).zip(&denial.standings) {
            let Kind::Bucket(refill) = held.quota.kind() else { continue };
            let is_over = held.cost > 0 && used.saturating_add(refill.ticks(held.cost)) > capacity(held);
            if is_over && held.policy == denial.policy && kept.len() < MOST {
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
