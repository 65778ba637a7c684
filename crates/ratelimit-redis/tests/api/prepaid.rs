//! Units taken in advance: fewer calls, never more in all, and a bound on what is spent late.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ratelimit_redis::*;
use testkit::RedisServer;

const fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

/// Nothing comes back while a test runs.
const SLOW: Quota = Quota::per_day(number(100)).prepaid(number(10));

/// Counts the calls that get through.
#[derive(Debug, Default)]
struct Counting {
    inner: MemoryLimiter,
    calls: AtomicU64,
}

impl Counting {
    fn noted(&self) -> &MemoryLimiter {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &self.inner
    }
}

impl Limiter for Counting {
    fn reserve<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        self.noted().reserve(charges)
    }
    fn charge<'a>(&'a self, held: &'a mut Reservation, so_far: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        self.inner.charge(held, so_far)
    }
    fn settle<'a>(&'a self, held: Reservation, actual: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        self.inner.settle(held, actual)
    }
    fn cancel(&self, held: Reservation) -> BoxFuture<'_, Result<(), LimiterError>> {
        self.inner.cancel(held)
    }
    fn penalize<'a>(&'a self, charges: &'a [Charge<'a>], wait: Duration) -> BoxFuture<'a, Result<(), LimiterError>> {
        self.inner.penalize(charges, wait)
    }
    fn peek<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Vec<Standing>, LimiterError>> {
        self.inner.peek(charges)
    }
}

async fn left(limiter: &impl Limiter, quota: Quota) -> u64 {
    limiter.peek(&[Charge::new("a", "requests", quota, 0)]).await.unwrap().first().unwrap().remaining
}

async fn take(limiter: &impl Limiter, cost: u64) -> Option<Reservation> {
    match limiter.reserve(&[Charge::new("a", "requests", SLOW, cost)]).await.unwrap() {
        Decision::Allow(held) => Some(held),
        _ => None,
    }
}

#[tokio::test]
async fn the_contract_holds_in_front_of_another_limiter() {
    testing::suite(async || PrepaidLimiter::new(MemoryLimiter::new())).await;
}

#[tokio::test]
async fn one_call_in_eleven_gets_through_and_the_last_units_are_exact() {
    let shared = Arc::new(Counting::default());
    let limiter = PrepaidLimiter::new(shared.clone());
    let mut taken = 0;
    while take(&limiter, 1).await.is_some() {
        taken += 1;
    }
    assert_eq!(taken, 100, "all of it, and no more");
    let calls = shared.calls.load(Ordering::Relaxed);
    assert!(calls < 25, "{calls}");
}

#[tokio::test]
async fn what_a_request_did_not_use_goes_back_into_the_purse() {
    let shared = Arc::new(Counting::default());
    let limiter = PrepaidLimiter::new(shared.clone());
    let first = take(&limiter, 1).await.unwrap();
    let second = take(&limiter, 8).await.unwrap();
    assert_eq!(left(&limiter, SLOW).await, 89, "1 was asked for and 10 more");
    limiter.settle(second, &Actual::as_charged().unit("requests", 2)).await.unwrap();
    assert!(take(&limiter, 8).await.is_some(), "2 of 10 are spent");
    limiter.cancel(first).await.unwrap();
    limiter.give_back().await.unwrap();
    assert_eq!(left(&limiter, SLOW).await, 90);
    assert_eq!(shared.calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_stream_that_uses_more_than_was_taken_is_charged_in_full() {
    let limiter = PrepaidLimiter::new(MemoryLimiter::new());
    take(&limiter, 1).await.unwrap();
    let mut held = take(&limiter, 5).await.unwrap();
    limiter.charge(&mut held, &Actual::as_charged().unit("requests", 30)).await.unwrap();
    limiter.settle(held, &Actual::as_charged().unit("requests", 40)).await.unwrap();
    limiter.give_back().await.unwrap();
    assert_eq!(left(&limiter, SLOW).await, 59);
}

#[tokio::test(start_paused = true)]
async fn purses_are_given_back_after_a_second() {
    let limiter = PrepaidLimiter::new(MemoryLimiter::new());
    for n in 0..20 {
        let name = format!("b{n}");
        let taken = limiter.reserve(&[Charge::new(&name, "requests", SLOW, 1)]).await.unwrap();
        assert!(matches!(taken, Decision::Allow(_)));
    }
    tokio::time::advance(Duration::from_secs(2)).await;
    for n in 20..23 {
        let name = format!("b{n}");
        let taken = limiter.reserve(&[Charge::new(&name, "requests", SLOW, 1)]).await.unwrap();
        assert!(matches!(taken, Decision::Allow(_)));
    }
    for n in 0..20 {
        let name = format!("b{n}");
        let standings = limiter.peek(&[Charge::new(&name, "requests", SLOW, 0)]).await.unwrap();
        assert_eq!(standings.first().unwrap().remaining, 99, "{name}");
    }
}

#[tokio::test]
async fn budgets_slots_floors_and_changed_quotas_are_exact() {
    let shared = Arc::new(Counting::default());
    let limiter = PrepaidLimiter::new(shared.clone());
    for quota in [Quota::total(number(100)).prepaid(number(10)), Quota::at_once(number(100), Duration::from_secs(9))] {
        assert!(matches!(limiter.check("a", quota.prepaid(number(10))).await.unwrap(), Decision::Allow(_)));
        assert_eq!(left(&limiter, quota).await, 99);
    }
    let floored = [Charge::new("b", "requests", SLOW, 1).floor(95)];
    for _ in 0..5 {
        assert!(matches!(limiter.reserve(&floored).await.unwrap(), Decision::Allow(_)));
    }
    assert!(matches!(limiter.reserve(&floored).await.unwrap(), Decision::Deny(_)));
    let before = shared.calls.load(Ordering::Relaxed);
    assert!(matches!(limiter.check("c", SLOW).await.unwrap(), Decision::Allow(_)));
    let other = Quota::per_day(number(5)).prepaid(number(1));
    assert!(matches!(limiter.check("c", other).await.unwrap(), Decision::Allow(_)));
    assert_eq!(shared.calls.load(Ordering::Relaxed), before + 2, "a purse is of one quota");
}

#[tokio::test(flavor = "multi_thread")]
async fn four_limiters_together_never_let_more_through_than_the_quota() {
    let server = RedisServer::start().await;
    let mut config = RedisConfig::new(&server.url());
    config.deadline = Duration::from_secs(2);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let limiter = Arc::new(PrepaidLimiter::new(RedisLimiter::connect(&config).await.unwrap()));
        for _ in 0..8 {
            let limiter = limiter.clone();
            tasks.spawn(async move {
                let mut taken = 0_u64;
                for _ in 0..50 {
                    taken += u64::from(take(limiter.as_ref(), 1).await.is_some());
                }
                taken
            });
        }
    }
    let taken: u64 = tasks.join_all().await.into_iter().sum();
    assert!((60..=100).contains(&taken), "at most 10 of each are stranded: {taken}");
}

#[tokio::test]
async fn what_the_limiter_behind_is_not_sure_of_is_not_given_back() {
    let server = RedisServer::start().await;
    let mut config = RedisConfig::new(&server.url());
    config.deadline = Duration::from_millis(200);
    let limiter = PrepaidLimiter::new(RedisLimiter::connect(&config).await.unwrap());
    let exact = Quota::per_day(number(1_000));
    for (bucket, actual, left) in [("a", 50, 750), ("b", 200, 700), ("c", 350, 650)] {
        let charge = |cost| [Charge::new(bucket, "requests", exact, cost)];
        let Decision::Allow(mut held) = limiter.reserve(&charge(100)).await.unwrap() else { panic!("fits") };
        server.freeze(true).await;
        let told = limiter.charge(&mut held, &Actual::as_charged().unit("requests", 300)).await;
        assert_eq!(told.unwrap_err(), LimiterError::Unavailable);
        server.freeze(false).await;
        limiter.settle(held, &Actual::as_charged().unit("requests", actual)).await.unwrap();
        assert_eq!(limiter.peek(&charge(0)).await.unwrap().first().unwrap().remaining, left);
    }
}
