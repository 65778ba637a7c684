//! Servers that are gone, callers that leave, holders that die.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ratelimit_redis::*;
use testkit::RedisServer;

const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();
const SLOW: Quota = Quota::per_day(TEN);

async fn connect(server: &RedisServer, deadline: Duration) -> RedisLimiter {
    let mut config = RedisConfig::new(&server.url());
    config.deadline = deadline;
    config.remember_denials = false;
    RedisLimiter::connect(&config).await.unwrap()
}

async fn left(limiter: &RedisLimiter, bucket: &str) -> u64 {
    let peeked = limiter.peek(&[Charge::new(bucket, "requests", SLOW, 0)]).await;
    peeked.unwrap().first().unwrap().remaining
}

#[tokio::test]
async fn each_quota_says_what_an_outage_means() {
    let mut server = RedisServer::start().await;
    let limiter = connect(&server, Duration::from_secs(2)).await;
    server.kill().await;
    let ask = async |on_outage| limiter.check("a", SLOW.on_outage(on_outage)).await;
    assert_eq!(ask(OnOutage::AskCaller).await.unwrap_err(), LimiterError::Unavailable);
    let Decision::Deny(denial) = ask(OnOutage::Deny).await.unwrap() else { panic!("denied") };
    assert!(denial.is_outage() && denial.policy() == "requests" && denial.retry_after() > Some(Duration::ZERO));
    for _ in 0..100 {
        assert!(matches!(ask(OnOutage::DangerAllow).await.unwrap(), Decision::Allow(_)));
    }
    // A half of ten is five.
    let mut allowed = 0;
    for _ in 0..20 {
        let asked = ask(OnOutage::LocalShare { replicas: TWO }).await.unwrap();
        allowed += usize::from(matches!(asked, Decision::Allow(_)));
    }
    assert_eq!(allowed, 5);
    // The strictest word of a call holds.
    let mixed = [
        Charge::new("a", "requests", SLOW.on_outage(OnOutage::DangerAllow), 1),
        Charge::new("b", "spend", SLOW.on_outage(OnOutage::Deny), 1),
    ];
    let Decision::Deny(denial) = limiter.reserve(&mixed).await.unwrap() else { panic!("denied") };
    assert_eq!(denial.policy(), "spend");
}

#[tokio::test]
async fn what_was_used_in_an_outage_is_charged_once_it_is_over() {
    let mut server = RedisServer::start().await;
    let limiter = connect(&server, Duration::from_secs(2)).await;
    let quota = SLOW.on_outage(OnOutage::LocalShare { replicas: NonZeroU32::MIN });
    server.kill().await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let Decision::Allow(reservation) = limiter.check("a", quota).await.unwrap() else { panic!("fits") };
        held.push(reservation);
    }
    let more = Actual::as_charged().unit("requests", 2);
    limiter.settle(held.pop().unwrap(), &more).await.unwrap();
    server.restart().await;
    let mut tries = 0;
    while left_or_none(&limiter).await != Some(5) {
        // The breaker is open for a quarter of a second.
        tokio::time::sleep(Duration::from_millis(20)).await;
        tries += 1;
        assert!(tries < 200, "{:?}", left_or_none(&limiter).await);
    }
    for reservation in held {
        limiter.cancel(reservation).await.unwrap();
    }
    assert_eq!(left(&limiter, "a").await, 5, "what happened elsewhere is not given back here");
}

async fn left_or_none(limiter: &RedisLimiter) -> Option<u64> {
    let peeked = limiter.peek(&[Charge::new("a", "requests", SLOW, 0)]).await.ok()?;
    peeked.first().map(|standing| standing.remaining)
}

#[tokio::test]
async fn after_some_failures_nobody_waits_any_more() {
    let server = RedisServer::start().await;
    let limiter = connect(&server, Duration::from_millis(100)).await;
    assert!(limiter.check("a", SLOW).await.is_ok());
    server.freeze(true).await;
    let started = std::time::Instant::now();
    for _ in 0..1_000 {
        assert_eq!(limiter.check("a", SLOW).await.unwrap_err(), LimiterError::Unavailable);
    }
    // A hundred seconds, if each had waited.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    server.freeze(false).await;
    let mut tries = 0;
    while limiter.check("b", SLOW).await.is_err() {
        // The breaker is open for a quarter of a second.
        tokio::time::sleep(Duration::from_millis(20)).await;
        tries += 1;
        assert!(tries < 200, "it never comes back");
    }
}

#[tokio::test]
async fn a_caller_who_leaves_gets_back_what_was_taken() {
    let server = RedisServer::start().await;
    let limiter = connect(&server, Duration::from_secs(5)).await;
    assert_eq!(left(&limiter, "a").await, 10);
    server.freeze(true).await;
    for _ in 0..3 {
        let asked = tokio::time::timeout(Duration::from_millis(50), limiter.check("a", SLOW)).await;
        assert!(asked.is_err(), "it is still under way");
    }
    server.freeze(false).await;
    let mut tries = 0;
    while left(&limiter, "a").await != 10 {
        tries += 1;
        assert!(tries < 1_000, "{} left", left(&limiter, "a").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_slot_leaks_however_callers_leave() {
    let server = RedisServer::start().await;
    let limiter = Arc::new(connect(&server, Duration::from_secs(5)).await);
    let slots = Quota::at_once(NonZeroU32::new(50).unwrap(), Duration::from_secs(3_600));
    let callers: Vec<_> = (0..64_u64)
        .map(|caller| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                // A hundred thousand in all.
                for turn in 0..1_600_u64 {
                    let charges = [Charge::new("a", "slots", slots, 1)];
                    let patience = Duration::from_micros((caller * 37 + turn * 101) % 900);
                    let asked = tokio::time::timeout(patience, limiter.reserve(&charges)).await;
                    if let Ok(Ok(Decision::Allow(held))) = asked {
                        limiter.cancel(held).await.unwrap();
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let mut tries = 0;
    loop {
        let standings = limiter.peek(&[Charge::new("a", "slots", slots, 0)]).await.unwrap();
        if standings.first().unwrap().remaining == 50 {
            break;
        }
        tries += 1;
        assert!(tries < 10_000, "{standings:?}");
    }
}

#[tokio::test]
async fn slots_of_a_holder_that_died_are_free_at_the_end_of_the_lease() {
    let server = RedisServer::start().await;
    let mut config = RedisConfig::new(&server.url()).clock("clock");
    config.deadline = Duration::from_secs(5);
    config.remember_denials = false;
    let limiter = RedisLimiter::connect(&config).await.unwrap();
    let charges = [Charge::new("a", "slots", Quota::at_once(TWO, Duration::from_secs(30)), 1)];
    let at = async |second: u64| server.ask(&format!("HSET clock s {second} us 0")).await;
    at(1_700_000_000).await;
    let Decision::Allow(mut streaming) = limiter.reserve(&charges).await.unwrap() else { panic!("fits") };
    let Decision::Allow(died) = limiter.reserve(&charges).await.unwrap() else { panic!("fits") };
    // As kill -9 would: nobody gives it back.
    drop(died);
    for second in (10..=600).step_by(10) {
        at(1_700_000_000 + second).await;
        limiter.charge(&mut streaming, &Actual::as_charged()).await.unwrap();
        let next = limiter.reserve(&charges).await.unwrap();
        assert_eq!(matches!(next, Decision::Allow(_)), second >= 30, "after {second} seconds");
        if let Decision::Allow(held) = next {
            limiter.settle(held, &Actual::as_charged()).await.unwrap();
        }
    }
    limiter.settle(streaming, &Actual::as_charged()).await.unwrap();
    assert_eq!(server.ask("ZCARD rl1:s:slots{:a}").await.trim(), ":0");
}

#[tokio::test]
async fn a_decision_that_came_too_late_took_nothing() {
    let server = RedisServer::start().await;
    let limiter = connect(&server, Duration::from_millis(50)).await;
    assert_eq!(left(&limiter, "a").await, 10);
    server.ask("CONFIG RESETSTAT").await;
    server.freeze(true).await;
    assert_eq!(limiter.check("a", SLOW).await.unwrap_err(), LimiterError::Unavailable);
    // The server has it, and does it once it can.
    server.freeze(false).await;
    let mut tries = 0;
    while left_or_none(&limiter).await != Some(10) {
        // The server has to answer, and to be told what to give back; nothing tells when.
        tokio::time::sleep(Duration::from_millis(5)).await;
        tries += 1;
        assert!(tries < 400, "{:?}", left_or_none(&limiter).await);
    }
    let sets = r#"EVAL "return tonumber(string.match(redis.call('INFO','commandstats'),'cmdstat_set:calls=(%d+)'))" 0"#;
    assert_eq!(server.ask(sets).await, ":1", "it was taken, and given back");
}

#[tokio::test]
async fn a_key_of_another_type_stops_only_its_own_act() {
    let server = RedisServer::start().await;
    let limiter = connect(&server, Duration::from_secs(2)).await;
    server.ask("SET rl1:s:slots{:bad} x").await;
    let slots = Quota::at_once(TWO, Duration::from_secs(30));
    let (bad, good) = ([Charge::new("bad", "slots", slots, 1)], [Charge::new("good", "slots", slots, 1)]);
    let (bad, good) = tokio::join!(limiter.reserve(&bad), limiter.reserve(&good));
    assert_eq!(bad.unwrap_err(), LimiterError::Corrupt);
    assert!(matches!(good.unwrap(), Decision::Allow(_)));
}

#[tokio::test]
async fn what_may_have_been_charged_is_neither_charged_again_nor_given_back() {
    let server = RedisServer::start().await;
    let limiter = connect(&server, Duration::from_millis(200)).await;
    let thousand = Quota::per_day(NonZeroU32::new(1_000).unwrap());
    for (bucket, actual, left) in [("a", 50, 750), ("b", 200, 700), ("c", 350, 650)] {
        let charge = |cost| [Charge::new(bucket, "requests", thousand, cost)];
        let Decision::Allow(mut held) = limiter.reserve(&charge(100)).await.unwrap() else { panic!("fits") };
        // The server gets it, and does it when it can: nobody hears that 300 are charged now.
        server.freeze(true).await;
        let told = limiter.charge(&mut held, &Actual::as_charged().unit("requests", 300)).await;
        assert_eq!(told.unwrap_err(), LimiterError::Unavailable);
        server.freeze(false).await;
        limiter.settle(held, &Actual::as_charged().unit("requests", actual)).await.unwrap();
        let standings = limiter.peek(&charge(0)).await.unwrap();
        assert_eq!(standings.first().unwrap().remaining, left, "100 to 300 were charged, {actual} used");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_and_started_under_load_allows_as_much_once_more_at_most() {
    let mut server = RedisServer::start().await;
    let limiter = Arc::new(connect(&server, Duration::from_secs(1)).await);
    let quota = Quota::per_day(NonZeroU32::new(5_000).unwrap());
    let (allowed, failed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..32 {
        let (limiter, allowed, failed, is_over) = (limiter.clone(), allowed.clone(), failed.clone(), is_over.clone());
        tasks.spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                match limiter.check("a", quota).await {
                    Ok(Decision::Allow(_)) => allowed.fetch_add(1, Ordering::Relaxed),
                    Ok(_) => 0,
                    Err(error) => {
                        assert_eq!(error, LimiterError::Unavailable);
                        failed.fetch_add(1, Ordering::Relaxed)
                    }
                };
                // Neither a denial from memory nor an open breaker waits for anything.
                tokio::task::yield_now().await;
            }
        });
    }
    let until = async |wanted: &dyn Fn() -> bool| {
        for _ in 0..2_000 {
            if wanted() {
                return;
            }
            // The breaker is open for a quarter of a second; nothing tells when it lets somebody ask.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{allowed:?} were allowed, {failed:?} failed");
    };
    until(&|| allowed.load(Ordering::Relaxed) >= 500).await;
    server.kill().await;
    until(&|| failed.load(Ordering::Relaxed) > 0).await;
    let before = allowed.load(Ordering::Relaxed);
    server.restart().await;
    until(&|| allowed.load(Ordering::Relaxed) >= before + 5_000).await;
    is_over.store(true, Ordering::Relaxed);
    while tasks.join_next().await.is_some_and(|task| task.is_ok()) {}
    let allowed = allowed.load(Ordering::Relaxed);
    // Each task may have had its answer already, and not counted it yet, when the others failed.
    let again = allowed - before;
    assert!(before <= 5_000 && (5_000..=5_000 + 32).contains(&again), "{before} and {allowed}");
}
