//! What the limiter says.

use std::time::Duration;

use crate::bucket::{until_more, wait};
use crate::charge::{Actual, Held};
use crate::quota::{Kind, Quota};

/// A slot is free when its holder gives it back, which nobody can foresee: look again then.
const SLOT_WAIT: Duration = Duration::from_secs(1);

/// How one bucket stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The name of the quota.
    pub policy: &'static str,
    /// The quota.
    pub quota: Quota,
    /// Whole units left.
    pub remaining: u64,
    /// Time until more is left, as far as that is known; zero for a full bucket, none for a budget and for
    /// slots.
    pub reset_after: Option<Duration>,
}

/// What the limiter says to a set of charges.
#[must_use]
#[derive(Debug)]
pub enum Decision {
    /// All charges are held.
    Allow(Reservation),
    /// At least one does not fit now; none is held.
    Deny(Denial),
    /// At least one is more than its bucket ever holds; none is held, and waiting is useless.
    NeverFits(TooDear),
}

/// Charges that do not fit now.
#[derive(Debug, Clone)]
pub struct Denial {
    pub(crate) policy: &'static str,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) standings: Vec<Standing>,
    pub(crate) is_outage: bool,
}

impl Denial {
    /// After this time the same charges fit, if nobody else charges the buckets; for slots, when to look
    /// again. None when a budget is spent: waiting is useless.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The quota that has to wait longest.
    pub fn policy(&self) -> &'static str {
        self.policy
    }

    /// Whether slots deny, which are free when their holders give them back.
    pub fn is_of_slots(&self) -> bool {
        let mut denying = self.standings.iter().filter(|standing| standing.policy == self.policy);
        denying.any(|standing| standing.quota.lease().is_some())
    }

    /// How the buckets stand; only the one that denies when that is known without asking.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// Whether nobody knows how the bucket stands: the quota says [`Deny`](crate::OnOutage::Deny), or this
    /// process's share is used up.
    pub fn is_outage(&self) -> bool {
        self.is_outage
    }
}

/// A charge that is more than its bucket ever holds.
#[derive(Debug, Clone, Copy)]
pub struct TooDear {
    pub(crate) policy: &'static str,
    pub(crate) cost: u64,
    pub(crate) most: u64,
}

impl TooDear {
    /// The quota in question.
    pub fn policy(&self) -> &'static str {
        self.policy
    }

    /// What it would cost.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// What the bucket holds at most for it.
    pub fn most(&self) -> u64 {
        self.most
    }
}

/// Charges that are held until they are settled or cancelled. Dropped, they stay charged, and slots are
/// free again at the end of their lease.
#[derive(Debug)]
pub struct Reservation {
    pub(crate) held: Vec<Held>,
    pub(crate) standings: Vec<Standing>,
    pub(crate) permit: Permit,
}

/// Whose slots they are, and where the charges were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Permit {
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "nobody shares buckets without a server"))]
    Shared(u64),
    /// In this process, while the others could not be reached.
    Local(u64),
}

impl Reservation {
    /// How every bucket stood once the charges were taken.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// What is held is what it has cost so far.
    pub(crate) fn note(&mut self, so_far: &Actual) {
        for held in &mut self.held {
            (held.cost, held.doubt) = (so_far.of(held), 0);
        }
    }

    #[cfg(feature = "redis")]
    /// The same, when nobody knows whether it was heard: what is given back must have been charged, and what is
    /// charged must not be charged already.
    pub(crate) fn doubt(&mut self, so_far: &Actual) {
        for held in &mut self.held {
            let (so_far, most) = (so_far.of(held), held.cost.saturating_add(held.doubt));
            held.cost = held.cost.min(so_far);
            held.doubt = most.max(so_far) - held.cost;
        }
    }
}

/// What was seen of the buckets of a call, in the order of its charges, before it took anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Microseconds since the epoch of whoever keeps the buckets.
    pub(crate) now: u64,
    /// Ticks in use, or slots held.
    pub(crate) used: Vec<u64>,
}

/// The decision, for charges that cannot be made whatever is in the buckets.
pub(crate) fn too_dear(charges: &[Held]) -> Option<TooDear> {
    let is_too_dear = |held: &&Held| held.cost > held.as_charge().most();
    charges.iter().find(is_too_dear).map(|held| {
        let most = held.as_charge().most();
        TooDear { policy: held.policy, cost: held.cost, most }
    })
}

/// The reservation of charges that were taken.
pub(crate) fn allowed(charges: Vec<Held>, seen: &Seen, permit: Permit) -> Decision {
    let standings = charges.iter().zip(&seen.used).map(|(held, used)| {
        let taken = match held.quota.kind() {
            Kind::Bucket(refill) => used.saturating_add(refill.ticks(held.cost)),
            Kind::Slots { .. } => used.saturating_add(held.cost),
        };
        standing(held, taken, seen.now)
    });
    let standings = standings.collect();
    Decision::Allow(Reservation { held: charges, standings, permit })
}

/// The denial of charges that were not.
pub(crate) fn denied(charges: &[Held], seen: &Seen) -> Denial {
    let mut longest: Option<(&'static str, Option<Duration>)> = None;
    for (held, used) in charges.iter().zip(&seen.used) {
        let after = match held.quota.kind() {
            Kind::Bucket(refill) => {
                let over = used.saturating_add(refill.ticks(held.cost)).saturating_sub(capacity(held));
                if held.cost == 0 { Some(Duration::ZERO) } else { wait(over, seen.now, refill) }
            }
            Kind::Slots { .. } => {
                let is_over = held.cost > 0 && used.saturating_add(held.cost) > held.as_charge().most();
                Some(if is_over { SLOT_WAIT } else { Duration::ZERO })
            }
        };
        // None is for ever.
        let rank = |after: Option<Duration>| after.unwrap_or(Duration::MAX);
        if after != Some(Duration::ZERO) && longest.is_none_or(|(_, other)| rank(after) > rank(other)) {
            longest = Some((held.policy, after));
        }
    }
    let (policy, retry_after) = longest.unwrap_or(("", Some(Duration::ZERO)));
    let standings = standings(charges, seen);
    Denial { policy, retry_after, standings, is_outage: false }
}

pub(crate) fn standings(charges: &[Held], seen: &Seen) -> Vec<Standing> {
    charges.iter().zip(&seen.used).map(|(held, used)| standing(held, *used, seen.now)).collect()
}

/// Ticks that a charge may find in its bucket.
pub(crate) fn capacity(held: &Held) -> u64 {
    match held.quota.kind() {
        Kind::Bucket(refill) => refill.ticks(held.as_charge().most()).min(refill.capacity()),
        Kind::Slots { .. } => held.as_charge().most(),
    }
}

fn standing(held: &Held, used: u64, now: u64) -> Standing {
    let (remaining, reset_after) = match held.quota.kind() {
        Kind::Bucket(refill) => {
            let left = refill.units_of(refill.capacity().saturating_sub(used));
            (left, wait(until_more(used, refill), now, refill))
        }
        Kind::Slots { most, .. } => (u64::from(most).saturating_sub(used), (used == 0).then_some(Duration::ZERO)),
    };
    Standing { policy: held.policy, quota: held.quota, remaining, reset_after }
}
