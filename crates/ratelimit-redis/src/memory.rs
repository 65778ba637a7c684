//! Buckets in this process's memory, for a single node.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::charge::{Actual, Charge, Held, merge};
use crate::decision::{Decision, Permit, Reservation, Standing, allowed, denied, standings, too_dear};
use crate::ledger::Ledger;
use crate::limiter::{BoxFuture, Limiter, LimiterError};
use crate::op::{Done, Op, Slots};

/// A limiter in memory. Exact within its process; a restart forgets what was used.
///
/// Takes about a microsecond a call, under one lock. Memory: about 150 bytes for each bucket that is
/// not full; full ones are swept out as the map grows.
#[derive(Debug)]
pub struct MemoryLimiter {
    clock: Clock,
    ledger: Mutex<Ledger>,
    permits: AtomicU64,
}

#[derive(Debug)]
enum Clock {
    /// Since then.
    Own(Instant),
    #[cfg(feature = "testing")]
    Test(crate::testing::Clock),
}

impl Clock {
    /// In microseconds. 2^53 of them are 285 years.
    fn now(&self) -> u64 {
        match self {
            Self::Own(start) => u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
            #[cfg(feature = "testing")]
            Self::Test(clock) => clock.now(),
        }
    }
}

impl Default for MemoryLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLimiter {
    /// An empty limiter: every bucket is full.
    pub fn new() -> Self {
        Self::on(Clock::Own(Instant::now()))
    }

    /// The same, on a clock that a test moves.
    #[cfg(feature = "testing")]
    pub fn with_clock(clock: crate::testing::Clock) -> Self {
        Self::on(Clock::Test(clock))
    }

    fn on(clock: Clock) -> Self {
        Self { clock, ledger: Mutex::default(), permits: AtomicU64::new(0) }
    }

    /// Buckets that are kept at the moment.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether no bucket is kept: all of them are full.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bucket arithmetic cannot fail half way, so a poisoned lock guards whole values.
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, op: &Op) -> Done {
        let mut ledger = self.lock();
        ledger.run(op, self.clock.now())
    }

    pub(crate) fn take(&self, charges: Vec<Held>) -> Decision {
        if let Some(too_dear) = too_dear(&charges) {
            return Decision::NeverFits(too_dear);
        }
        let permit = self.permits.fetch_add(1, Ordering::Relaxed);
        let Done { is_taken, seen } = self.run(&Op::take(&charges, permit));
        if is_taken { allowed(charges, &seen, Permit::Local(permit)) } else { Decision::Deny(denied(&charges, &seen)) }
    }

    pub(crate) fn replace(&self, held: &Reservation, actual: impl Fn(&Held) -> u64, slots: Slots) {
        let Permit::Local(permit) = held.permit else { return };
        let op = Op::replace(&held.held, actual, slots, permit);
        if !op.is_idle() {
            self.run(&op);
        }
    }
}

impl Limiter for MemoryLimiter {
    fn reserve<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        Box::pin(async move { Ok(self.take(merge(charges)?)) })
    }

    fn charge<'a>(&'a self, held: &'a mut Reservation, so_far: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        Box::pin(async move {
            self.replace(held, |held| so_far.of(held), Slots::Renew);
            held.note(so_far);
            Ok(())
        })
    }

    fn settle<'a>(&'a self, held: Reservation, actual: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        Box::pin(async move {
            self.replace(&held, |held| actual.of(held), Slots::Release);
            Ok(())
        })
    }

    fn cancel(&self, held: Reservation) -> BoxFuture<'_, Result<(), LimiterError>> {
        Box::pin(async move {
            self.replace(&held, |_| 0, Slots::Release);
            Ok(())
        })
    }

    fn penalize<'a>(&'a self, charges: &'a [Charge<'a>], wait: Duration) -> BoxFuture<'a, Result<(), LimiterError>> {
        Box::pin(async move {
            self.run(&Op::penalize(&merge(charges)?, wait));
            Ok(())
        })
    }

    fn peek<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Vec<Standing>, LimiterError>> {
        Box::pin(async move {
            let merged = merge(charges)?;
            let done = self.run(&Op::look(&merged));
            Ok(standings(&merged, &done.seen))
        })
    }
}
