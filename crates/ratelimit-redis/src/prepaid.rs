//! Units taken in advance, so that most decisions need no call: less exact, by a bound that is known.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::charge::{Actual, Charge, Held, merge};
use crate::decision::{Decision, Permit, Reservation, Standing};
use crate::limiter::{BoxFuture, Limiter, LimiterError};

/// How long units are kept that nobody needs.
const KEPT: Duration = Duration::from_secs(1);
/// Most other purses that are given back with one call, when their time is over.
const SWEPT: usize = 16;

/// A limiter in front of another one. Of quotas that are [`prepaid`](crate::Quota::prepaid) it takes units in advance
/// and spends them here; everything else it passes on.
///
/// What is taken in all stays within the quota, but units may be spent up to a second after they were taken:
/// with R such limiters of N units each, at most R x N more than the quota says are allowed in any stretch of
/// time, and up to R x N wait for a second where nobody needs them. So let R x N be a small part of the burst, a
/// hundredth say, and never prepay money. What is decided here tells no standings. Call
/// [`give_back`](Self::give_back) before the end, or what waits stays charged.
///
/// A decision here takes one lock and two hash lookups for each charge, about a microsecond. Memory: about 300
/// bytes for each bucket that is in use.
#[derive(Debug)]
pub struct PrepaidLimiter<L> {
    inner: L,
    purses: Purses,
}

type Purses = Mutex<HashMap<Name, Purse>>;
/// A bucket and a unit.
type Name = (Arc<str>, &'static str);

#[derive(Debug)]
enum Purse {
    /// Somebody asks for units; others do not.
    Asked,
    Filled(Filled),
}

/// Units of one bucket that are paid for.
#[derive(Debug)]
struct Filled {
    held: Held,
    permit: Permit,
    spent: u64,
    until: Instant,
}

impl Filled {
    /// Whether it pays for this charge.
    fn pays(&self, charge: &Held, now: Instant) -> bool {
        let left = self.held.cost.saturating_sub(self.spent);
        self.held.quota == charge.quota && now < self.until && charge.cost <= left
    }
}

impl<L: Limiter> PrepaidLimiter<L> {
    /// In front of `inner`.
    pub fn new(inner: L) -> Self {
        Self { inner, purses: Mutex::default() }
    }

    /// Gives back whatever waits here.
    ///
    /// # Errors
    /// The first error of the limiter behind; what it did not take stays charged.
    pub async fn give_back(&self) -> Result<(), LimiterError> {
        let names: Vec<Name> = lock(&self.purses).keys().cloned().collect();
        let filled = names.iter().filter_map(|name| take_filled(&mut lock(&self.purses), name)).collect();
        self.settle_all(filled).await
    }

    /// Settles purses to what was spent of them.
    async fn settle_all(&self, filled: Vec<Filled>) -> Result<(), LimiterError> {
        let mut first = Ok(());
        for Filled { held, permit, spent, .. } in filled {
            let actual = Actual::as_charged().unit(held.unit, spent);
            let held = Reservation { held: vec![held], standings: Vec::new(), permit };
            first = first.and(self.inner.settle(held, &actual).await);
        }
        first
    }

    /// Takes all charges from their purses, or none.
    fn spend(&self, charges: &[Held]) -> Option<Permit> {
        let now = Instant::now();
        let mut purses = lock(&self.purses);
        let mut permit = None;
        let costly = || charges.iter().filter(|charge| charge.cost > 0);
        for charge in costly() {
            match purses.get(&name(charge)) {
                Some(Purse::Filled(filled)) if filled.pays(charge, now) => permit = Some(filled.permit),
                _ => return None,
            }
        }
        for charge in costly() {
            if let Some(Purse::Filled(filled)) = purses.get_mut(&name(charge)) {
                filled.spent += charge.cost;
            }
        }
        permit
    }

    /// Pays for the charges, and for units in advance if there are enough.
    async fn pay(&self, charges: Vec<Held>) -> Result<Decision, LimiterError> {
        let (claim, ended) = claim(&self.purses, &charges);
        let ahead = charges.iter().filter(|charge| claim.names.contains(&name(charge)));
        let ahead: Vec<Held> =
            ahead.map(|charge| Held { cost: charge.quota.prepaid_units(), ..charge.clone() }).collect();
        let asked: Vec<Charge<'_>> = charges.iter().chain(&ahead).map(Held::as_charge).collect();
        // A purse that cannot be given back stays charged, until its bucket has refilled.
        let (_, decided) = tokio::join!(self.settle_all(ended), self.inner.reserve(&asked));
        match decided? {
            Decision::Allow(held) => Ok(Decision::Allow(claim.fill(held, charges))),
            Decision::Deny(_) | Decision::NeverFits(_) if !ahead.is_empty() => {
                drop(claim);
                // Too little is left to take some in advance: from here on it is exact.
                let asked: Vec<Charge<'_>> = charges.iter().map(Held::as_charge).collect();
                self.inner.reserve(&asked).await
            }
            refused => Ok(refused),
        }
    }

    /// Replaces what purses can; gives the rest.
    fn replace(&self, held: &Reservation, actual: impl Fn(&Held) -> u64) -> Reservation {
        let mut purses = lock(&self.purses);
        let mut is_done = |charge: &Held| match purses.get_mut(&name(charge)) {
            Some(Purse::Filled(filled)) if charge.quota.prepaid_units() > 0 => {
                let spent = filled.spent.saturating_add(actual(charge)).checked_sub(charge.cost);
                if let Some(spent) = spent {
                    filled.spent = spent;
                }
                spent.is_some()
            }
            _ => false,
        };
        let rest = held.held.iter().filter(|charge| !is_done(charge)).cloned().collect();
        Reservation { held: rest, standings: Vec::new(), permit: held.permit }
    }
}

fn lock(purses: &Purses) -> MutexGuard<'_, HashMap<Name, Purse>> {
    purses.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name(held: &Held) -> Name {
    (held.bucket.clone(), held.unit)
}

fn take_filled(purses: &mut HashMap<Name, Purse>, name: &Name) -> Option<Filled> {
    match purses.remove(name) {
        Some(Purse::Filled(filled)) => Some(filled),
        Some(asked) => {
            purses.insert(name.clone(), asked);
            None
        }
        None => None,
    }
}

/// Purses that one call fills; if it does not, others may try.
struct Claim<'a> {
    purses: &'a Purses,
    names: Vec<Name>,
}

/// Claims the purses of these charges that nobody else is filling, and takes out what they held before and some
/// others whose time is over.
fn claim<'a>(purses: &'a Purses, charges: &[Held]) -> (Claim<'a>, Vec<Filled>) {
    let (now, mut names, mut ended) = (Instant::now(), Vec::new(), Vec::new());
    let mut locked = lock(purses);
    for charge in charges.iter().filter(|charge| charge.cost > 0) {
        let name = name(charge);
        ended.extend(take_filled(&mut locked, &name));
        if !locked.contains_key(&name) {
            locked.insert(name.clone(), Purse::Asked);
            names.push(name);
        }
    }
    let is_over = |purse: &Purse| matches!(purse, Purse::Filled(filled) if filled.until <= now);
    let over = locked.iter().filter(|(_, purse)| is_over(purse)).take(SWEPT).map(|(name, _)| name.clone());
    for name in over.collect::<Vec<Name>>() {
        ended.extend(take_filled(&mut locked, &name));
    }
    (Claim { purses, names }, ended)
}

impl Claim<'_> {
    /// Puts what was paid beyond the charges into the purses; gives the charges.
    fn fill(mut self, paid: Reservation, mut charges: Vec<Held>) -> Reservation {
        let until = Instant::now() + KEPT;
        let Reservation { held, standings, permit } = paid;
        charges.retain(|charge| held.iter().any(|held| name(held) == name(charge)));
        let mut purses = lock(self.purses);
        for held in held {
            let name = name(&held);
            if let Some(at) = self.names.iter().position(|claimed| *claimed == name) {
                self.names.swap_remove(at);
                let held = Held { cost: held.quota.prepaid_units(), ..held };
                purses.insert(name, Purse::Filled(Filled { held, permit, spent: 0, until }));
            }
        }
        drop(purses);
        Reservation { held: charges, standings, permit }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut purses = lock(self.purses);
        for name in &self.names {
            purses.remove(name);
        }
    }
}

impl<L: Limiter> Limiter for PrepaidLimiter<L> {
    fn reserve<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        Box::pin(async move {
            let merged = merge(charges)?;
            let is_prepaid =
                |charge: &Held| charge.cost == 0 || (charge.quota.prepaid_units() > 0 && charge.floor == 0);
            if !merged.iter().all(is_prepaid) || merged.iter().all(|charge| charge.cost == 0) {
                return self.inner.reserve(charges).await;
            }
            match self.spend(&merged) {
                Some(permit) => Ok(Decision::Allow(Reservation { held: merged, standings: Vec::new(), permit })),
                None => self.pay(merged).await,
            }
        })
    }

    fn charge<'a>(&'a self, held: &'a mut Reservation, so_far: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        Box::pin(async move {
            let mut rest = self.replace(held, |charge| so_far.of(charge));
            let is_of_rest = |charge: &Held| rest.held.iter().any(|other| name(other) == name(charge));
            for charge in held.held.iter_mut().filter(|charge| !is_of_rest(charge)) {
                charge.cost = so_far.of(charge);
            }
            let told = self.inner.charge(&mut rest, so_far).await;
            // What the limiter behind is not sure of is not sure here either.
            for other in rest.held {
                if let Some(charge) = held.held.iter_mut().find(|charge| name(charge) == name(&other)) {
                    *charge = other;
                }
            }
            told
        })
    }

    fn settle<'a>(&'a self, held: Reservation, actual: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        Box::pin(async move {
            let rest = self.replace(&held, |charge| actual.of(charge));
            self.inner.settle(rest, actual).await
        })
    }

    fn cancel(&self, held: Reservation) -> BoxFuture<'_, Result<(), LimiterError>> {
        Box::pin(async move {
            let rest = self.replace(&held, |_| 0);
            self.inner.cancel(rest).await
        })
    }

    fn penalize<'a>(&'a self, charges: &'a [Charge<'a>], wait: Duration) -> BoxFuture<'a, Result<(), LimiterError>> {
        Box::pin(async move {
            let merged = merge(charges)?;
            let filled = merged.iter().filter_map(|held| take_filled(&mut lock(&self.purses), &name(held)));
            let settled = self.settle_all(filled.collect()).await;
            self.inner.penalize(charges, wait).await.and(settled)
        })
    }

    /// As the limiter behind sees it: what was taken in advance is used.
    fn peek<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Vec<Standing>, LimiterError>> {
        self.inner.peek(charges)
    }
}
