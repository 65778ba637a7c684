//! The memory limiter, and the arithmetic both limiters share.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use proptest::prelude::*;
use ratelimit_redis::*;

fn quota(units: u32, window: Window, burst: u32) -> Quota {
    Quota::new(NonZeroU64::from(NonZeroU32::new(units).unwrap()), window)
        .unwrap()
        .burst(NonZeroU32::new(burst).unwrap())
}

fn five_burst_ten() -> Quota {
    quota(5, Window::Second, 10)
}

async fn is_allowed(limiter: &MemoryLimiter, quota: Quota) -> bool {
    matches!(limiter.check("a", quota).await.unwrap(), Decision::Allow(_))
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    testing::suite(async || MemoryLimiter::new()).await;
}

#[tokio::test(start_paused = true)]
async fn five_per_second_with_a_burst_of_ten() {
    let limiter = MemoryLimiter::new();
    let mut allowed = 0;
    for _ in 0..20 {
        allowed += usize::from(is_allowed(&limiter, five_burst_ten()).await);
    }
    assert_eq!(allowed, 10);
    tokio::time::advance(Duration::from_millis(199)).await;
    assert!(!is_allowed(&limiter, five_burst_ten()).await);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(is_allowed(&limiter, five_burst_ten()).await);
    assert!(!is_allowed(&limiter, five_burst_ten()).await);
    tokio::time::advance(Duration::from_secs(60)).await;
    let mut refilled = 0;
    for _ in 0..20 {
        refilled += usize::from(is_allowed(&limiter, five_burst_ten()).await);
    }
    assert_eq!(refilled, 10);
}

#[tokio::test]
async fn twenty_at_once_from_many_tasks() {
    let limiter = std::sync::Arc::new(MemoryLimiter::new());
    let slow = quota(5, Window::Day, 10);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move { is_allowed(&limiter, slow).await })
        })
        .collect();
    let mut allowed = 0;
    for task in tasks {
        allowed += usize::from(task.await.unwrap());
    }
    assert_eq!(allowed, 10);
}

#[tokio::test(start_paused = true)]
async fn full_buckets_are_not_kept() {
    let limiter = MemoryLimiter::new();
    for i in 0..20_000 {
        let _ = limiter.check(&format!("k{i}"), five_burst_ten()).await.unwrap();
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert!(limiter.len() < 5_000, "{} buckets are kept", limiter.len());
}

#[tokio::test(start_paused = true)]
async fn slots_that_were_dropped_are_not_kept() {
    let limiter = MemoryLimiter::new();
    let slots = Quota::at_once(NonZeroU32::MIN, Duration::from_secs(1));
    for _ in 0..1_000 {
        let charges = [Charge::new("a", "slots", slots, 1)];
        assert!(matches!(limiter.reserve(&charges).await.unwrap(), Decision::Allow(_)));
        assert!(matches!(limiter.reserve(&charges).await.unwrap(), Decision::Deny(_)));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(limiter.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn headers_follow_the_draft() {
    let limiter = MemoryLimiter::new();
    let tokens = quota(100_000, Window::Minute, 100_000);
    let charges = [Charge::new("a", "requests", five_burst_ten(), 7), Charge::new("a", "tokens", tokens, 5)];
    let Decision::Allow(held) = limiter.reserve(&charges).await.unwrap() else { panic!("fits") };
    assert_eq!(rate_limit_policy(held.standings()), r#""requests";q=10;w=2, "tokens";q=100000;w=60"#);
    assert_eq!(rate_limit(held.standings()), r#""requests";r=3;t=1, "tokens";r=99995;t=1"#);
    assert_eq!(retry_after(Duration::from_micros(1_000_001)), 2);
    assert_eq!(retry_after(Duration::from_secs(2)), 2);
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_acts_at_once() {
    let limiter = MemoryLimiter::new();
    let small = quota(1, Window::Day, 1);
    assert!(is_allowed(&limiter, small).await);
    assert!(!is_allowed(&limiter, small).await);
    assert!(is_allowed(&limiter, quota(5, Window::Day, 5)).await);
}

fn windows() -> impl Strategy<Value = Window> {
    prop_oneof![Just(Window::Second), Just(Window::Minute), Just(Window::Hour), Just(Window::Day)]
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

proptest! {
    #[test]
    fn retry_after_is_exactly_enough(
        units in 1_u32..1_000_000, window in windows(), burst in 1_u32..1_000_000,
        costs in proptest::collection::vec((1_u64..2_000_000, 0_u64..10_000_000), 1..12),
    ) {
        run(async {
            let quota = quota(units, window, burst);
            let limiter = MemoryLimiter::new();
            for (cost, pause) in costs {
                let charge = [Charge::new("a", "tokens", quota, cost)];
                match limiter.reserve(&charge).await.unwrap() {
                    Decision::Allow(_) => assert!(cost <= u64::from(burst)),
                    Decision::NeverFits(_) => assert!(cost > u64::from(burst)),
                    Decision::Deny(denial) => {
                        let step = Duration::from_micros(match window {
                            Window::Second => 1,
                            Window::Minute => 100,
                            Window::Hour => 10_000,
                            _ => 100_000,
                        });
                        let wait = denial.retry_after().unwrap();
                        // Whatever is left of the step under way is waited for too.
                        tokio::time::advance(wait - step.min(wait)).await;
                        if wait >= step {
                            assert!(matches!(limiter.reserve(&charge).await.unwrap(), Decision::Deny(_)));
                        }
                        tokio::time::advance(step.min(wait)).await;
                        assert!(matches!(limiter.reserve(&charge).await.unwrap(), Decision::Allow(_)));
                    }
                }
                tokio::time::advance(Duration::from_micros(pause)).await;
            }
        });
    }

    #[test]
    fn never_more_than_burst_and_refill(
        units in 1_u32..1_000, burst in 1_u32..1_000,
        steps in proptest::collection::vec((1_u64..50, 0_u64..100), 1..60),
    ) {
        run(async {
            let quota = quota(units, Window::Second, burst);
            let limiter = MemoryLimiter::new();
            let (mut taken, mut millis) = (0_u64, 0_u64);
            for (cost, pause) in steps {
                let charge = [Charge::new("a", "tokens", quota, cost)];
                if matches!(limiter.reserve(&charge).await.unwrap(), Decision::Allow(_)) {
                    taken += cost;
                }
                assert!(taken * 1_000 <= u64::from(burst) * 1_000 + millis * u64::from(units));
                tokio::time::advance(Duration::from_millis(pause)).await;
                millis += pause;
            }
        });
    }

    #[test]
    fn settling_is_the_same_as_charging_the_truth(estimate in 1_u64..100, actual in 0_u64..300) {
        run(async {
            let quota = quota(100, Window::Day, 1_000);
            let (a, b) = (MemoryLimiter::new(), MemoryLimiter::new());
            let charge = |cost| [Charge::new("a", "tokens", quota, cost)];
            let Decision::Allow(held) = a.reserve(&charge(estimate)).await.unwrap() else { panic!("fits") };
            a.settle(held, &Actual::as_charged().unit("tokens", actual)).await.unwrap();
            let _ = b.reserve(&charge(actual)).await.unwrap();
            assert_eq!(a.peek(&charge(0)).await.unwrap(), b.peek(&charge(0)).await.unwrap());
        });
    }
}

#[tokio::test]
async fn units_that_are_stored_alike_are_refused_here_too() {
    let quota = Quota::per_day(NonZeroU32::MIN);
    // Any will do: there are 8,192 numbers for them.
    let names: Vec<&'static str> = (0..400).map(|n| &*Box::leak(format!("u{n}").into_boxed_str())).collect();
    let pairs = names.iter().enumerate().flat_map(|(at, one)| names[at + 1..].iter().map(move |other| (one, other)));
    let (one, other) = pairs.into_iter().find(|(one, other)| is_same_unit(one, other)).unwrap();
    let charges = [Charge::new("a", one, quota, 1), Charge::new("a", other, quota, 1)];
    assert_eq!(MemoryLimiter::new().reserve(&charges).await.unwrap_err(), LimiterError::SameUnit);
    let apart = [Charge::new("a", one, quota, 1), Charge::new("b", other, quota, 1)];
    assert!(matches!(MemoryLimiter::new().reserve(&apart).await.unwrap(), Decision::Allow(_)));
}
