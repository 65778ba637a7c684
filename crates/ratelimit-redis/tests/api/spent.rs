//! A budget that is spent while its server, which writes before it answers, is killed and comes back: a budget of
//! privacy must never be spent twice.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use ratelimit_redis::*;
use testkit::RedisServer;

const UNITS: u64 = 1_000_000_000_000;
const COST: u64 = 1_000_000_000;

fn charges() -> [Charge<'static>; 2] {
    let total = Quota::new(NonZeroU64::new(UNITS).unwrap(), Window::Total).unwrap();
    ["{dp:data}", "{dp:data}:key"].map(|bucket| Charge::new(bucket, "nano_rho", total, COST))
}

async fn connect(server: &RedisServer) -> Arc<RedisLimiter> {
    let mut config = RedisConfig::new(&server.url());
    config.deadline = Duration::from_secs(2);
    Arc::new(RedisLimiter::connect(&config).await.unwrap())
}

/// Reserves until nothing is left; how much was.
async fn spend(limiter: Arc<RedisLimiter>, refused: Arc<tokio::sync::Notify>) -> u64 {
    let mut reserved = 0;
    loop {
        match limiter.reserve(&charges()).await {
            Ok(Decision::Allow(_)) => reserved += COST,
            Ok(_) => return reserved,
            Err(error) => {
                assert_eq!(error, LimiterError::Unavailable);
                refused.notify_one();
                // As clients wait before they try again; nothing is ordered by it.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_never_spent_twice_although_its_server_dies() {
    let mut server = RedisServer::start_durable().await;
    let (watch, refused) = (connect(&server).await, Arc::new(tokio::sync::Notify::new()));
    let mut clients = Vec::new();
    for number in [22, 21, 21] {
        let limiter = connect(&server).await;
        clients.extend((0..number).map(|_| tokio::spawn(spend(limiter.clone(), refused.clone()))));
    }
    while watch.peek(&charges()).await.unwrap()[0].remaining > UNITS / 2 {
        tokio::task::yield_now().await;
    }
    server.kill().await;
    refused.notified().await;
    server.restart().await;
    let mut reserved = 0;
    for client in clients {
        reserved += client.await.unwrap();
    }
    // What was taken by calls whose answer was lost is spent, too. One for each client, at most.
    assert!(reserved <= UNITS, "{reserved}");
    assert!(reserved >= UNITS - 64 * COST, "{reserved}");
}
