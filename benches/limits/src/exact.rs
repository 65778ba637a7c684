//! What is right or wrong, not fast or slow: the time to wait, to the microsecond, and slots that nobody holds.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ratelimit_redis::{Charge, Decision, Limiter, Quota, RedisConfig, RedisLimiter};
use redis::aio::MultiplexedConnection;

const START: u64 = 1_700_000_000_000_000;
const QUOTAS: u32 = 500;
const CALLERS: u64 = 64;
const TURNS: u64 = 1_600;

/// How often a caller who waited as long as was told was refused, or one who waited a microsecond less was not.
pub(crate) async fn wrong_waits(url: &str, mut clock: MultiplexedConnection) -> u32 {
    let mut config = RedisConfig::new(url).clock("clock");
    config.deadline = Duration::from_secs(2);
    config.remember_denials = false;
    let limiter = RedisLimiter::connect(&config).await.unwrap();
    let mut at = async |micros: u64| {
        let now = START + micros;
        let mut set = redis::cmd("HSET");
        set.arg("clock").arg("s").arg(now / 1_000_000).arg("us").arg(now % 1_000_000);
        set.exec_async(&mut clock).await.unwrap();
    };
    let mut wrong = 0;
    for number in 1..=QUOTAS {
        let count = |n: u32| NonZeroU32::new(n).unwrap();
        let quota = Quota::per_second(count(number * 7_919 % 9_973 + 1)).burst(count(number % 40 + 1));
        let name = format!("wait:{number}");
        let allows = async || matches!(limiter.check(&name, quota).await.unwrap(), Decision::Allow(_));
        at(0).await;
        while allows().await {}
        let Decision::Deny(denial) = limiter.check(&name, quota).await.unwrap() else { continue };
        let wait = u64::try_from(denial.retry_after().unwrap().as_micros()).unwrap();
        at(wait - 1).await;
        wrong += u32::from(allows().await);
        at(wait).await;
        wrong += u32::from(!allows().await);
    }
    wrong
}

/// Slots that are held after a hundred thousand callers left at any moment.
pub(crate) async fn leaked_slots(url: &str) -> u64 {
    let mut config = RedisConfig::new(url);
    config.deadline = Duration::from_secs(5);
    let limiter = Arc::new(RedisLimiter::connect(&config).await.unwrap());
    let slots = Quota::at_once(NonZeroU32::new(50).unwrap(), Duration::from_secs(3_600));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let limiter = limiter.clone();
        callers.spawn(async move {
            for turn in 0..TURNS {
                let charges = [Charge::new("slots", "slots", slots, 1)];
                let patience = Duration::from_micros((caller * 37 + turn * 101) % 900);
                let asked = tokio::time::timeout(patience, limiter.reserve(&charges)).await;
                if let Ok(Ok(Decision::Allow(held))) = asked {
                    limiter.cancel(held).await.unwrap();
                }
            }
        });
    }
    callers.join_all().await;
    let mut held = u64::MAX;
    // What was taken for those who left is given back as soon as that is known.
    for _ in 0..200 {
        let standings = limiter.peek(&[Charge::new("slots", "slots", slots, 0)]).await.unwrap();
        held = standings.first().map_or(u64::MAX, |standing| 50 - standing.remaining);
        if held == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    held
}
