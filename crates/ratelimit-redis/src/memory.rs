//! Buckets in this process's memory, for a single node.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::bucket::{Bucket, Taken};
use crate::limiter::{
    Actual, BoxFuture, Charge, Decision, Denial, Held, Limiter, LimiterError, Reservation, Standing, TooDear,
};
use crate::quota::Quota;

/// Fewest buckets before full ones are swept out.
const SWEEP_FROM: usize = 4_096;

/// A limiter in memory. Exact within its process; a restart forgets what was used.
///
/// Takes about a microsecond a call, under one lock. Memory: about 100 bytes for each bucket that is
/// not full; full ones are swept out as the map grows.
#[derive(Debug)]
pub struct MemoryLimiter {
    start: Instant,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    map: HashMap<(String, &'static str), (Bucket, Quota)>,
    sweep_at: usize,
}

impl Default for MemoryLimiter {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLimiter {
    /// An empty limiter: every bucket is full.
    pub fn new() -> Self {
        let buckets = Buckets { map: HashMap::new(), sweep_at: SWEEP_FROM };
        Self { start: Instant::now(), buckets: Mutex::new(buckets) }
    }

    /// Buckets that are kept at the moment.
    pub fn len(&self) -> usize {
        self.lock().map.len()
    }

    /// Whether no bucket is kept: all of them are full.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Microseconds since the start. 2^53 of them are 285 years.
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Bucket arithmetic cannot fail half way, so a poisoned lock guards whole values.
    fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buckets {
    fn current(&self, charge: &Charge<'_>, now: u64) -> Bucket {
        let key = (charge.bucket.to_owned(), charge.unit);
        let mut bucket = self.map.get(&key).map(|(bucket, _)| *bucket).unwrap_or_default();
        bucket.refill(charge.quota, now);
        bucket
    }

    fn put(&mut self, bucket: String, unit: &'static str, quota: Quota, state: Bucket) {
        self.map.insert((bucket, unit), (state, quota));
    }

    fn sweep(&mut self, now: u64) {
        if self.map.len() < self.sweep_at {
            return;
        }
        self.map.retain(|_, (bucket, quota)| {
            bucket.refill(*quota, now);
            !bucket.is_full()
        });
        self.sweep_at = (self.map.len() * 2).max(SWEEP_FROM);
    }

    fn reserve(&mut self, charges: &[Charge<'_>], now: u64) -> Decision {
        let mut taken: Vec<(&Charge<'_>, Bucket)> = Vec::with_capacity(charges.len());
        let mut wait: Option<(Duration, &'static str)> = None;
        for charge in charges {
            let same = |(other, _): &&(&Charge<'_>, Bucket)| other.bucket == charge.bucket && other.unit == charge.unit;
            let mut bucket = taken.iter().rfind(same).map_or_else(|| self.current(charge, now), |(_, bucket)| *bucket);
            match bucket.take(charge.quota, charge.cost) {
                Taken::Yes => {}
                Taken::After(ticks) => {
                    let after = charge.quota.wait(ticks);
                    if wait.is_none_or(|(longest, _)| after > longest) {
                        wait = Some((after, charge.unit));
                    }
                }
                Taken::Never => {
                    let most = charge.quota.most();
                    return Decision::NeverFits(TooDear { unit: charge.unit, cost: charge.cost, most });
                }
            }
            taken.push((charge, bucket));
        }
        let standings = taken.iter().map(|(charge, bucket)| standing(charge, bucket)).collect();
        if let Some((retry_after, unit)) = wait {
            return Decision::Deny(Denial { unit, retry_after, standings });
        }
        let mut held = Vec::with_capacity(taken.len());
        for (charge, bucket) in taken {
            self.put(charge.bucket.to_owned(), charge.unit, charge.quota, bucket);
            held.push(Held::of(charge));
        }
        self.sweep(now);
        Decision::Allow(Reservation { held, standings })
    }

    fn settle(&mut self, held: Vec<Held>, actual: impl Fn(&Held) -> u64, now: u64) {
        for held in held {
            let actual = actual(&held);
            let Held { bucket, unit, quota, cost } = held;
            let mut state = self.current(&Charge { bucket: &bucket, unit, quota, cost }, now);
            state.settle(quota, cost, actual);
            self.put(bucket, unit, quota, state);
        }
    }
}

fn standing(charge: &Charge<'_>, bucket: &Bucket) -> Standing {
    let quota = charge.quota;
    Standing {
        unit: charge.unit,
        quota,
        remaining: bucket.left(quota),
        reset_after: quota.wait(bucket.until_more(quota)),
    }
}

impl Limiter for MemoryLimiter {
    fn reserve<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        let now = self.now();
        let decision = self.lock().reserve(charges, now);
        Box::pin(std::future::ready(Ok(decision)))
    }

    fn settle<'a>(&'a self, held: Reservation, actual: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        let now = self.now();
        self.lock().settle(held.held, |held| actual.of(held.unit).unwrap_or(held.cost), now);
        Box::pin(std::future::ready(Ok(())))
    }

    fn cancel(&self, held: Reservation) -> BoxFuture<'_, Result<(), LimiterError>> {
        let now = self.now();
        self.lock().settle(held.held, |_| 0, now);
        Box::pin(std::future::ready(Ok(())))
    }

    fn peek<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Vec<Standing>, LimiterError>> {
        let now = self.now();
        let buckets = self.lock();
        let standings = charges.iter().map(|charge| standing(charge, &buckets.current(charge, now))).collect();
        Box::pin(std::future::ready(Ok(standings)))
    }
}
