//! K5: three verifiers on one Postgres that hear of each other over one Redis: how long after a revocation by one
//! of them the last still accepts the key; with Redis, and without.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use keys::{AuthError, Principal, Revoke, UnixMillis, Verifier};
use redis_place::RedisTls;
use store::{PostgresStore, RedisRevocations};
use testkit::{PostgresServer, RedisServer};

use crate::goal;
use crate::measure::Times;
use crate::ring::{self, HOME, Key, NO_THROTTLE};

const REPLICAS: usize = 3;
const REVOCATIONS: usize = 200;
/// How often Redis dies, and when keys are revoked after it has.
const KILLS: usize = 2;
const AFTER_KILL: [u64; 3] = [0, 1_300, 2_900];
/// Between two tries of a caller.
const PACE: Duration = Duration::from_millis(1);
/// After which nobody believes that it will ever be refused.
const PATIENCE: Duration = Duration::from_secs(40);

fn now() -> UnixMillis {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A verifier that has its own connections and listens.
async fn replica(postgres: &PostgresServer, redis: &RedisServer) -> Verifier {
    let store = PostgresStore::connect(&postgres.url()).await.unwrap();
    let told = RedisRevocations::new(&redis.url(), &RedisTls::default(), None, "pck:").unwrap();
    let builder = ring::builder(Arc::new(store)).failures_per_minute(NO_THROTTLE);
    let verifier = builder.revocations(Arc::new(told)).build().unwrap();
    let follower = verifier.clone();
    tokio::spawn(async move { follower.follow(&|_| {}).await });
    verifier
}

async fn remember(replicas: &[Verifier], keys: &[Key]) {
    let verify = |key, verifier: &Verifier| {
        let (verifier, key): (Verifier, Key) = (verifier.clone(), key);
        tokio::spawn(async move { verifier.verify(&key.text, HOME, now()).await.unwrap() })
    };
    let checks = keys.iter().flat_map(|key| replicas.iter().map(move |verifier| (key.clone(), verifier)));
    let checks: Vec<_> = checks.map(|(key, verifier)| verify(key, verifier)).collect();
    join_all(checks).await.into_iter().for_each(|known| drop(known.unwrap()));
}

/// Brings the key again and again; how long after `asked` it is refused.
async fn refused(verifier: Verifier, key: Key, asked: Instant) -> Duration {
    loop {
        if let Err(error) = verifier.verify(&key.text, HOME, now()).await {
            assert_eq!(error, AuthError::Revoked, "a revoked key is refused for another reason");
            return asked.elapsed();
        }
        assert!(asked.elapsed() < PATIENCE, "a revoked key is still accepted");
        tokio::time::sleep(PACE).await;
    }
}

/// From the call that revokes to the refusal by the last.
async fn revoke(replicas: &[Verifier], by: usize, key: &Key) -> Duration {
    let (issuer, asked) = (replicas.get(by % REPLICAS).unwrap().issuer(), Instant::now());
    let asking: Vec<_> =
        replicas.iter().map(|verifier| tokio::spawn(refused(verifier.clone(), key.clone(), asked))).collect();
    issuer.revoke(&Principal::system(), Revoke::Key(key.id()), now()).await.unwrap();
    join_all(asking).await.into_iter().map(Result::unwrap).max().unwrap()
}

/// Until all listen: a key that is revoked is refused by all of them soon.
async fn until_all_hear(replicas: &[Verifier], keys: &mut Vec<Key>) {
    loop {
        let key = keys.pop().unwrap();
        remember(replicas, std::slice::from_ref(&key)).await;
        if revoke(replicas, 0, &key).await < Duration::from_secs(1) {
            return;
        }
    }
}

pub(crate) async fn run() {
    let (postgres, mut redis) = (PostgresServer::start().await, RedisServer::start().await);
    let mut replicas = Vec::new();
    for _ in 0..REPLICAS {
        replicas.push(replica(&postgres, &redis).await);
    }
    let issuer = replicas.first().unwrap().issuer();
    let mut keys = ring::issue_by(&issuer, REVOCATIONS + 20 + KILLS * AFTER_KILL.len(), None, now()).await;
    until_all_hear(&replicas, &mut keys).await;
    let mut times = Times::new(REVOCATIONS);
    let with_redis = keys.split_off(keys.len() - REVOCATIONS);
    remember(&replicas, &with_redis).await;
    for (at, key) in with_redis.iter().enumerate() {
        times.push(revoke(&replicas, at, key).await);
    }
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|share| times.at(share) / 1e6);
    println!(
        "{REVOCATIONS} revocations refused by all {REPLICAS}: p50 {p50:.1} ms, p99 {p99:.1} ms, last {most:.1} ms"
    );
    let mut slowest = Duration::ZERO;
    for kill in 0..KILLS {
        if kill > 0 {
            redis.restart().await;
            until_all_hear(&replicas, &mut keys).await;
        }
        let late = keys.split_off(keys.len() - AFTER_KILL.len());
        remember(&replicas, &late).await;
        redis.kill().await;
        let revoking = late.iter().zip(AFTER_KILL).enumerate().map(|(at, (key, after))| {
            let replicas = &replicas;
            async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                revoke(replicas, at, key).await
            }
        });
        let took = join_all(revoking).await;
        println!("redis killed, revoked {AFTER_KILL:?} ms later: refused by all after {took:.2?}");
        slowest = slowest.max(took.into_iter().max().unwrap());
    }
    let slowest = slowest.as_secs_f64();
    println!("K5 p99 {p99:.1} ms (50); without redis {slowest:.2} s (6)");
    goal("K5", (p99 / 50.0).max(slowest / 6.0), 1.0);
}
