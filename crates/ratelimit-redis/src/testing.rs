//! What every [`Limiter`] must do. Run it over your own implementation.

#![expect(clippy::panic, reason = "a conformance suite fails by panicking")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::{Actual, Charge, Decision, Limiter, Quota, Reservation};

const FIVE: NonZeroU32 = NonZeroU32::new(5).unwrap();
const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Slow enough that nothing comes back while a suite runs.
const SLOW: Quota = Quota::per_day(TEN);

/// Runs every case on limiters made by `make`, each fresh.
///
/// # Panics
/// When the implementation breaks the contract; the message names the case.
pub async fn suite<L: Limiter>(make: impl AsyncFn() -> L) {
    burst(&make().await).await;
    all_or_nothing(&make().await).await;
    settling(&make().await).await;
    too_dear(&make().await).await;
    repeated(&make().await).await;
    budgets(&make().await).await;
    slots(&make().await).await;
    in_parts(&make().await).await;
    penalties(&make().await).await;
    floors(&make().await).await;
    changes(&make().await).await;
}

fn charge(bucket: &str, cost: u64) -> Charge<'_> {
    Charge::new(bucket, "requests", SLOW, cost)
}

async fn reserve<L: Limiter>(limiter: &L, charges: &[Charge<'_>]) -> Option<Reservation> {
    match limiter.reserve(charges).await {
        Ok(Decision::Allow(held)) => Some(held),
        Ok(_) => None,
        Err(error) => panic!("reserve: {error}"),
    }
}

async fn left<L: Limiter>(limiter: &L, bucket: &str) -> u64 {
    match limiter.peek(&[charge(bucket, 0)]).await {
        Ok(standings) => standings.first().map_or(0, |standing| standing.remaining),
        Err(error) => panic!("peek: {error}"),
    }
}

async fn burst<L: Limiter>(limiter: &L) {
    let quota = Quota::per_day(FIVE).burst(TEN);
    let mut allowed = 0;
    for _ in 0..20 {
        if let Ok(Decision::Allow(_)) = limiter.check("a", quota).await {
            allowed += 1;
        }
    }
    assert_eq!(allowed, 10, "burst: a burst of 10 allows 10 of 20");
}

async fn all_or_nothing<L: Limiter>(limiter: &L) {
    assert!(reserve(limiter, &[charge("b", 10)]).await.is_some(), "all or nothing: fills b");
    assert!(reserve(limiter, &[charge("a", 1), charge("b", 1)]).await.is_none(), "all or nothing: b is empty");
    assert_eq!(left(limiter, "a").await, 10, "all or nothing: a was not charged");
}

async fn settling<L: Limiter>(limiter: &L) {
    let Some(held) = reserve(limiter, &[charge("a", 4)]).await else { panic!("settling: fits") };
    assert_eq!(left(limiter, "a").await, 6, "settling: held");
    let settled = limiter.settle(held, &Actual::as_charged().unit("requests", 1)).await;
    assert!(settled.is_ok() && left(limiter, "a").await == 9, "settling: down to the actual cost");
    let Some(held) = reserve(limiter, &[charge("a", 2)]).await else { panic!("settling: fits") };
    let settled = limiter.settle(held, &Actual::as_charged().unit("requests", 30)).await;
    assert!(settled.is_ok() && left(limiter, "a").await == 0, "settling: into debt");
    assert!(reserve(limiter, &[charge("a", 1)]).await.is_none(), "settling: debt refuses");
    let Some(held) = reserve(limiter, &[charge("c", 7)]).await else { panic!("settling: fits") };
    assert!(limiter.cancel(held).await.is_ok() && left(limiter, "c").await == 10, "settling: cancelled");
}

async fn too_dear<L: Limiter>(limiter: &L) {
    match limiter.reserve(&[charge("a", 11)]).await {
        Ok(Decision::NeverFits(error)) => assert_eq!((error.cost(), error.most()), (11, 10), "too dear"),
        _ => panic!("too dear: more than the burst never fits"),
    }
}

async fn repeated<L: Limiter>(limiter: &L) {
    assert!(reserve(limiter, &[charge("a", 6), charge("a", 6)]).await.is_none(), "repeated: 12 of 10");
    assert!(reserve(limiter, &[charge("a", 6), charge("a", 4)]).await.is_some(), "repeated: 10 of 10");
    assert_eq!(left(limiter, "a").await, 0, "repeated: both are charged");
}

async fn budgets<L: Limiter>(limiter: &L) {
    let all = |cost| [Charge::new("a", "spend", Quota::total(TEN), cost)];
    assert!(reserve(limiter, &all(10)).await.is_some(), "budgets: all of it at once");
    match limiter.reserve(&all(1)).await {
        Ok(Decision::Deny(denial)) => assert_eq!(denial.retry_after(), None, "budgets: waiting is useless"),
        _ => panic!("budgets: spent is spent"),
    }
    assert!(reserve(limiter, &all(0)).await.is_some(), "budgets: what costs nothing passes");
}

async fn slots<L: Limiter>(limiter: &L) {
    let two = Quota::at_once(NonZeroU32::MIN.saturating_add(1), Duration::from_secs(60));
    let charges = [charge("a", 1), Charge::new("a", "slots", two, 1)];
    let (Some(one), Some(mut other)) = (reserve(limiter, &charges).await, reserve(limiter, &charges).await) else {
        panic!("slots: two at once")
    };
    assert!(reserve(limiter, &charges).await.is_none(), "slots: a third waits");
    assert_eq!(left(limiter, "a").await, 8, "slots: what was refused cost nothing");
    assert!(limiter.settle(one, &Actual::as_charged()).await.is_ok(), "slots: settled");
    let Some(third) = reserve(limiter, &charges).await else { panic!("slots: settling frees one") };
    assert!(limiter.charge(&mut other, &Actual::as_charged()).await.is_ok(), "slots: renewed");
    assert!(reserve(limiter, &charges).await.is_none(), "slots: renewing frees none");
    assert!(limiter.cancel(third).await.is_ok() && limiter.cancel(other).await.is_ok(), "slots: cancelled");
    assert!(reserve(limiter, &charges).await.is_some(), "slots: cancelling frees them");
}

async fn in_parts<L: Limiter>(limiter: &L) {
    let Some(mut held) = reserve(limiter, &[charge("a", 2)]).await else { panic!("in parts: fits") };
    for (so_far, remaining) in [(1, 9), (3, 7), (8, 2)] {
        let charged = limiter.charge(&mut held, &Actual::as_charged().unit("requests", so_far)).await;
        assert!(charged.is_ok() && left(limiter, "a").await == remaining, "in parts: {so_far} so far");
    }
    assert!(limiter.cancel(held).await.is_ok() && left(limiter, "a").await == 10, "in parts: all is given back");
}

async fn penalties<L: Limiter>(limiter: &L) {
    let quota = Quota::per_second(TEN);
    let penalized = limiter.penalize(&[Charge::new("a", "requests", quota, 0)], Duration::from_secs(3_600)).await;
    assert!(penalized.is_ok(), "penalties: made");
    match limiter.check("a", quota).await {
        Ok(Decision::Deny(denial)) => {
            let wait = denial.retry_after().unwrap_or_default();
            let hour = Duration::from_secs(3_540)..=Duration::from_secs(3_600);
            assert!(hour.contains(&wait), "penalties: an hour, {wait:?}");
        }
        _ => panic!("penalties: nothing fits"),
    }
}

async fn floors<L: Limiter>(limiter: &L) {
    let humble = |cost| [charge("a", cost).floor(4)];
    assert!(reserve(limiter, &humble(6)).await.is_some(), "floors: up to the floor");
    assert!(reserve(limiter, &humble(1)).await.is_none(), "floors: not below it");
    assert!(reserve(limiter, &[charge("a", 4)]).await.is_some(), "floors: the rest is for others");
    match limiter.reserve(&humble(7)).await {
        Ok(Decision::NeverFits(error)) => assert_eq!(error.most(), 6, "floors: what never fits"),
        _ => panic!("floors: more than is above the floor never fits"),
    }
}

async fn changes<L: Limiter>(limiter: &L) {
    let tokens = Charge::new("a", "tokens", SLOW, 1);
    assert!(reserve(limiter, &[charge("a", 3)]).await.is_some(), "changes: one quota");
    assert!(reserve(limiter, &[charge("a", 3), tokens]).await.is_some(), "changes: another is added");
    assert_eq!(left(limiter, "a").await, 4, "changes: the first goes on");
    let hourly = Quota::per_hour(TEN);
    match limiter.peek(&[Charge::new("a", "requests", hourly, 0), tokens]).await {
        Ok(standings) => {
            let left: Vec<u64> = standings.iter().map(|standing| standing.remaining).collect();
            assert_eq!(left, [4, 9], "changes: another window fills nothing");
        }
        Err(error) => panic!("changes: {error}"),
    }
    let raised = Quota::per_day(NonZeroU32::MIN.saturating_add(99));
    match limiter.reserve(&[Charge::new("a", "requests", raised, 90), tokens]).await {
        Ok(Decision::Allow(_)) => {}
        _ => panic!("changes: a raised quota acts at once"),
    }
}

/// A clock that a test moves, for [`MemoryLimiter::with_clock`](crate::MemoryLimiter::with_clock).
#[derive(Debug, Clone)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// At so many microseconds since the epoch.
    pub fn new(micros: u64) -> Self {
        Self(Arc::new(AtomicU64::new(micros)))
    }

    /// What it shows.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Moves it forward, or back.
    pub fn advance(&self, micros: i64) {
        let now = self.now().saturating_add_signed(micros);
        self.0.store(now, Ordering::Relaxed);
    }
}
