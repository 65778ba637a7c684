//! A master that sentinels know, and the next one.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use ratelimit_redis::*;
use testkit::RedisSentinels;

use crate::users::rule;

const MANY: Quota = Quota::per_day(NonZeroU32::new(1_000_000).unwrap());

async fn connect(servers: &RedisSentinels) -> RedisLimiter {
    let mut config = RedisConfig::new(&servers.url());
    config.deadline = Duration::from_millis(250);
    RedisLimiter::connect(&config).await.unwrap()
}

#[tokio::test]
async fn redis_keeps_the_contract_behind_sentinels() {
    let servers = RedisSentinels::start(Some("watch")).await;
    servers.master().await.unwrap().ask(&rule()).await;
    let url = servers.url().replace("://", "://limits:secret@");
    let mut config = RedisConfig::new(&url).sentinel_login("", "watch");
    config.deadline = Duration::from_secs(2);
    testing::suite(async || {
        servers.master().await.unwrap().ask("FLUSHALL").await;
        RedisLimiter::connect(&config).await.unwrap()
    })
    .await;
    let without = RedisLimiter::connect(&RedisConfig::new(&servers.url())).await;
    assert_eq!(without.unwrap_err(), LimiterError::Refused);
    let other = servers.url().replace("/main", "/other");
    let other = RedisLimiter::connect(&RedisConfig::new(&other).sentinel_login("", "watch")).await;
    assert_eq!(other.unwrap_err(), LimiterError::UnknownMaster);
}

/// Asks until a charge is taken on another server; how long that was after a sentinel named it.
async fn until_back(servers: &RedisSentinels, limiter: &RedisLimiter) -> Duration {
    let (started, mut promoted) = (Instant::now(), None);
    loop {
        let asked = limiter.check("a", MANY).await;
        if promoted.is_none() && servers.know_the_next().await {
            promoted = Some(Instant::now());
        }
        match asked {
            Ok(_) => {
                // What is copied from the old master is no script.
                let done = servers.replica().ask_lines("INFO commandstats").await;
                let is_asked = done.iter().any(|line| line.starts_with("cmdstat_eval"));
                if let Some(promoted) = promoted.filter(|_| is_asked) {
                    return promoted.elapsed();
                }
            }
            Err(error) => assert_eq!(error, LimiterError::Unavailable),
        }
        assert!(started.elapsed() < Duration::from_secs(20), "it never comes back");
        // The servers agree among themselves, and tell nobody when they have.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn after_a_failover_the_new_master_decides() {
    let servers = RedisSentinels::start(None).await;
    let limiter = connect(&servers).await;
    assert!(limiter.check("a", MANY).await.is_ok());
    servers.failover().await;
    let back = until_back(&servers, &limiter).await;
    println!("asked for: back {back:?} after a sentinel named the new master");
    assert!(back < Duration::from_secs(5), "{back:?}");
}

#[tokio::test]
async fn after_the_masters_machine_died_the_new_master_decides() {
    let mut servers = RedisSentinels::start(None).await;
    let limiter = connect(&servers).await;
    assert!(limiter.check("a", MANY).await.is_ok());
    servers.kill_master().await;
    let back = until_back(&servers, &limiter).await;
    println!("died: back {back:?} after a sentinel named the new master");
    assert!(back < Duration::from_secs(5), "{back:?}");
}
