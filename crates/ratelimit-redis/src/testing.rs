//! What every [`Limiter`] must do. Run it over your own implementation.

#![expect(clippy::panic, reason = "a conformance suite fails by panicking")]

use std::num::NonZeroU32;

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
}

fn charge(bucket: &str, cost: u64) -> Charge<'_> {
    Charge { bucket, unit: "requests", quota: SLOW, cost }
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
