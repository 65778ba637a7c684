//! What is decided while the server cannot be reached, and what is told to it afterwards.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::LimiterError;
use crate::charge::Held;
use crate::decision::{Decision, Denial, Permit, Reservation};
use crate::memory::MemoryLimiter;
use crate::op::{Op, Slots};
use crate::quota::{Kind, OnOutage, Quota};
use crate::redis::groups::slot_in;
use crate::redis::link::Server;

/// When to look again.
const AGAIN: Duration = Duration::from_secs(1);
/// Most buckets whose local use is remembered.
const MOST: usize = 65_536;
/// Buckets that are told of after one decision.
const PIECE: usize = 64;

/// A bucket and a unit.
type Name = (Arc<str>, &'static str);

pub(crate) struct Outage {
    server: Arc<Server>,
    local: MemoryLimiter,
    spent: Mutex<Spent>,
    is_owing: AtomicBool,
}

/// What was used here and is not told yet, slot by slot; the quota is the whole one.
#[derive(Debug, Default)]
struct Spent {
    slots: HashMap<u16, HashMap<Name, (Quota, u64)>>,
    count: usize,
}

impl Outage {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self { server, local: MemoryLimiter::new(), spent: Mutex::default(), is_owing: AtomicBool::new(false) }
    }

    /// What each quota says of an outage: the strictest word holds.
    pub(crate) fn decide(&self, charges: Vec<Held>) -> Result<Decision, LimiterError> {
        let asks = |held: &Held| held.cost > 0 && held.quota.outage() == OnOutage::AskCaller;
        if charges.iter().any(asks) {
            return Err(LimiterError::Unavailable);
        }
        if let Some(held) = charges.iter().find(|held| held.cost > 0 && held.quota.outage() == OnOutage::Deny) {
            return Ok(Decision::Deny(denial(held.policy)));
        }
        let shared: Vec<Held> = charges.into_iter().filter(|held| replicas(held).is_some()).collect();
        let permit = if shared.is_empty() {
            Permit::Local(0)
        } else {
            match self.local.take(shared.iter().map(share).collect()) {
                Decision::Allow(reservation) => reservation.permit,
                // A share never holds it; the whole might.
                Decision::NeverFits(too_dear) => return Ok(Decision::Deny(denial(too_dear.policy))),
                Decision::Deny(denied) => {
                    let retry_after = denied.retry_after.or(Some(AGAIN));
                    return Ok(Decision::Deny(Denial { retry_after, ..denial(denied.policy) }));
                }
            }
        };
        self.spend(&shared);
        Ok(Decision::Allow(Reservation { held: shared, standings: Vec::new(), permit }))
    }

    /// Replaces what was taken here. Only more is told later: a refund is not worth a mistake.
    pub(crate) fn replace(&self, held: &Reservation, actual: impl Fn(&Held) -> u64, slots: Slots) {
        let more = |held: &Held| Held { cost: actual(held).saturating_sub(held.cost), ..held.clone() };
        self.spend(&held.held.iter().map(more).collect::<Vec<_>>());
        let whole = |share: &Held| held.held.iter().find(|held| held.bucket == share.bucket && held.unit == share.unit);
        let local =
            Reservation { held: held.held.iter().map(share).collect(), standings: Vec::new(), permit: held.permit };
        let scaled = |share: &Held| {
            whole(share).map_or(share.cost, |held| actual(held).saturating_mul(replicas(held).unwrap_or(1)))
        };
        self.local.replace(&local, scaled, slots);
    }

    fn spend(&self, charges: &[Held]) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let Spent { slots, count } = &mut *spent;
        for held in charges.iter().filter(|held| held.cost > 0 && matches!(held.quota.kind(), Kind::Bucket(_))) {
            let slot = slots.entry(slot_in(&self.server.place, &held.bucket)).or_default();
            let name = (held.bucket.clone(), held.unit);
            let is_known = slot.contains_key(&name);
            if is_known || *count < MOST {
                *count += usize::from(!is_known);
                let entry = slot.entry(name).or_insert((held.quota, 0));
                entry.1 = entry.1.saturating_add(held.cost);
                self.is_owing.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Tells the server of a slot what was used of its buckets here, once, a piece at a time; what it does not
    /// take is kept.
    pub(crate) fn tell(&self, slot: u16, take: impl Fn(Op) -> bool) {
        if !self.is_owing.load(Ordering::Relaxed) {
            return;
        }
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let Spent { slots, count } = &mut *spent;
        let Some(owed) = slots.get_mut(&slot) else { return };
        let piece: Vec<Name> = owed.keys().take(PIECE).cloned().collect();
        for name in piece {
            let Some((quota, units)) = owed.get(&name).copied() else { continue };
            let (bucket, unit) = name.clone();
            let held = Held { bucket, unit, policy: unit, quota, cost: 0, doubt: 0, floor: 0 };
            if !take(Op::replace(&[held], |_| units, Slots::Leave, 0)) {
                break;
            }
            owed.remove(&name);
            *count = count.saturating_sub(1);
        }
        if owed.is_empty() {
            slots.remove(&slot);
        }
        self.is_owing.store(!slots.is_empty(), Ordering::Relaxed);
    }
}

fn replicas(held: &Held) -> Option<u64> {
    match held.quota.outage() {
        OnOutage::LocalShare { replicas } => Some(u64::from(replicas.get())),
        _ => None,
    }
}

/// A charge on this process's share: it costs as many times more as there are shares, which is exact where
/// a divided quota would not be. Of slots, those of the others are left.
fn share(held: &Held) -> Held {
    let replicas = replicas(held).unwrap_or(1);
    let most = held.quota.most();
    match held.quota.kind() {
        Kind::Bucket(_) => Held { cost: held.cost.saturating_mul(replicas), ..held.clone() },
        Kind::Slots { .. } => {
            let others = most - most.checked_div(replicas).unwrap_or(most);
            Held { floor: held.floor.max(others), ..held.clone() }
        }
    }
}

fn denial(policy: &'static str) -> Denial {
    Denial { policy, retry_after: Some(AGAIN), standings: Vec::new(), is_outage: true }
}
