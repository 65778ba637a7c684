//! The Redis limiter on servers of its own.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use ratelimit_redis::*;
use testkit::RedisServer;

const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// Nothing comes back while a test runs.
const SLOW: Quota = Quota::per_day(TEN);

async fn connect(server: &RedisServer) -> RedisLimiter {
    let mut config = RedisConfig::new(&server.url());
    config.deadline = Duration::from_secs(2);
    RedisLimiter::connect(&config).await.unwrap()
}

fn charge(bucket: &str, cost: u64) -> [Charge<'_>; 1] {
    [Charge::new(bucket, "requests", SLOW, cost)]
}

async fn left(limiter: &impl Limiter, bucket: &str) -> u64 {
    limiter.peek(&charge(bucket, 0)).await.unwrap().first().unwrap().remaining
}

#[tokio::test]
async fn redis_keeps_the_contract() {
    let server = RedisServer::start().await;
    testing::suite(async || {
        server.ask("FLUSHALL").await;
        connect(&server).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_share_one_bucket_exactly() {
    let server = RedisServer::start().await;
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let limiter = std::sync::Arc::new(connect(&server).await);
        for _ in 0..25 {
            let limiter = limiter.clone();
            tasks.push(tokio::spawn(
                async move { matches!(limiter.check("a", SLOW).await.unwrap(), Decision::Allow(_)) },
            ));
        }
    }
    let mut allowed = 0;
    for task in tasks {
        allowed += usize::from(task.await.unwrap());
    }
    assert_eq!(allowed, 10);
}

#[tokio::test]
async fn what_is_used_comes_back_by_the_servers_clock() {
    let server = RedisServer::start().await;
    let limiter = connect(&server).await;
    let quota = Quota::per_second(NonZeroU32::new(50).unwrap()).burst(TEN);
    while matches!(limiter.check("a", quota).await.unwrap(), Decision::Allow(_)) {}
    let Decision::Deny(denial) = limiter.check("a", quota).await.unwrap() else { return };
    assert!(denial.retry_after() > Some(Duration::ZERO) && denial.retry_after() <= Some(Duration::from_millis(20)));
    // The server's clock is the only one, and nobody can move it: what it promised has to pass.
    tokio::time::sleep(denial.retry_after().unwrap()).await;
    assert!(matches!(limiter.check("a", quota).await.unwrap(), Decision::Allow(_)));
    assert_eq!(server.ask("TTL rl1:b{:a}").await, ":1", "a bucket ends a second after it is full");
}

#[tokio::test]
async fn a_server_that_is_gone_decides_nothing_and_one_that_is_back_does() {
    let mut server = RedisServer::start().await;
    let limiter = connect(&server).await;
    assert!(limiter.check("a", SLOW).await.is_ok());
    server.kill().await;
    assert_eq!(limiter.check("a", SLOW).await.unwrap_err(), LimiterError::Unavailable);
    assert_eq!(limiter.check("a", SLOW).await.unwrap_err(), LimiterError::Unavailable);
    server.restart().await;
    assert!(limiter.check("a", SLOW).await.is_ok());
    server.ask("SCRIPT FLUSH").await;
    assert!(limiter.check("a", SLOW).await.is_ok(), "the script is sent again");
    assert_eq!(left(&limiter, "a").await, 8);
}

#[tokio::test]
async fn a_server_that_does_not_answer_costs_one_deadline() {
    let server = RedisServer::start().await;
    let mut config = RedisConfig::new(&server.url());
    config.deadline = Duration::from_millis(50);
    let limiter = RedisLimiter::connect(&config).await.unwrap();
    server.freeze(true).await;
    let started = Instant::now();
    assert_eq!(limiter.check("a", SLOW).await.unwrap_err(), LimiterError::Unavailable);
    assert!(started.elapsed() < Duration::from_secs(5), "it does not hang");
    server.freeze(false).await;
    let limiter = connect(&server).await;
    assert!(limiter.check("a", SLOW).await.is_ok());
}

#[tokio::test]
async fn a_demoted_server_is_left() {
    let server = RedisServer::start().await;
    let limiter = connect(&server).await;
    server.ask("REPLICAOF 127.0.0.1 1").await;
    assert_eq!(limiter.check("a", SLOW).await.unwrap_err(), LimiterError::Unavailable);
    server.ask("REPLICAOF NO ONE").await;
    assert!(limiter.check("a", SLOW).await.is_ok());
}

#[tokio::test]
async fn foreign_bytes_under_a_buckets_name_are_no_decision() {
    let server = RedisServer::start().await;
    let limiter = connect(&server).await;
    for value in [
        "short",
        "0123456789abcdef0",
        "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff",
    ] {
        server.ask(&format!("SET rl1:b{{:a}} \"{value}\"")).await;
        assert_eq!(limiter.check("a", SLOW).await.unwrap_err(), LimiterError::Corrupt, "{value}");
    }
}

#[tokio::test]
async fn addresses_that_are_none_are_named() {
    for url in ["", "http://localhost", "redis://"] {
        let error = RedisLimiter::connect(&RedisConfig::new(url)).await.unwrap_err();
        assert!(matches!(error, LimiterError::Settings(_) | LimiterError::Unavailable), "{url}: {error}");
    }
    let nobody = RedisLimiter::connect(&RedisConfig::new("redis://127.0.0.1:1")).await;
    assert_eq!(nobody.unwrap_err(), LimiterError::Unavailable);
}

#[tokio::test]
async fn what_is_given_back_ends_a_denial() {
    let server = RedisServer::start().await;
    let limiter = connect(&server).await;
    let Decision::Allow(held) = limiter.reserve(&charge("a", 10)).await.unwrap() else { panic!("fits") };
    assert!(matches!(limiter.check("a", SLOW).await.unwrap(), Decision::Deny(_)));
    limiter.settle(held, &Actual::as_charged().unit("requests", 9)).await.unwrap();
    assert!(matches!(limiter.check("a", SLOW).await.unwrap(), Decision::Allow(_)), "not denied from memory");
}
