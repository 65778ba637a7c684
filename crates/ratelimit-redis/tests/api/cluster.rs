//! Buckets on several servers, and slots on the move.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ratelimit_redis::*;
use testkit::RedisCluster;

use crate::users::rule;

const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();
const SLOW: Quota = Quota::per_day(TEN);

async fn connect(cluster: &RedisCluster, deadline: Duration) -> RedisLimiter {
    let mut config = RedisConfig::new(&cluster.url());
    config.deadline = deadline;
    config.remember_denials = false;
    RedisLimiter::connect(&config).await.unwrap()
}

fn charge(bucket: &str, cost: u64) -> Charge<'_> {
    Charge::new(bucket, "requests", SLOW, cost)
}

async fn left(limiter: &RedisLimiter, bucket: &str) -> u64 {
    limiter.peek(&[charge(bucket, 0)]).await.unwrap().first().unwrap().remaining
}

/// The slot of a bucket with a tag of its own.
async fn slot(cluster: &RedisCluster, bucket: &str) -> u16 {
    let said = cluster.server(0).ask(&format!("CLUSTER KEYSLOT rl1:b:{bucket}")).await;
    said.trim_start_matches(':').parse().unwrap()
}

/// A bucket for each server, the first ones by their number.
async fn one_for_each(cluster: &RedisCluster) -> [String; 3] {
    let mut found = [const { String::new() }; 3];
    let mut number = 0;
    while found.iter().any(String::is_empty) {
        let name = format!("{{bucket-{number}}}");
        let owner = usize::from(slot(cluster, &name).await) * 3 / 16_384;
        *found.get_mut(owner).unwrap() = name;
        number += 1;
    }
    found
}

#[tokio::test]
async fn a_cluster_keeps_the_contract() {
    let cluster = RedisCluster::start().await;
    for at in 0..3 {
        cluster.server(at).ask(&rule()).await;
    }
    let mut config = RedisConfig::new(&cluster.url().replace("://", "://limits:secret@"));
    config.deadline = Duration::from_secs(2);
    testing::suite(async || {
        for at in 0..3 {
            cluster.server(at).ask("FLUSHALL").await;
        }
        RedisLimiter::connect(&config).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn key_team_and_model_are_charged_together_wherever_they_are() {
    let cluster = RedisCluster::start().await;
    let limiter = connect(&cluster, Duration::from_secs(2)).await;
    let names = one_for_each(&cluster).await;
    let [key, team, model] = names.each_ref().map(String::as_str);
    let slots = Quota::at_once(TEN, Duration::from_secs(60));
    let all = |cost| [key, model, team].map(|name| [charge(name, cost), Charge::new(name, "slots", slots, 1)]).concat();
    let Decision::Allow(mut held) = limiter.reserve(&all(2)).await.unwrap() else { panic!("fits") };
    let seen: Vec<(&str, u64)> = held.standings().iter().map(|one| (one.policy, one.remaining)).collect();
    assert_eq!(seen, [("requests", 8), ("slots", 9)].repeat(3));
    limiter.charge(&mut held, &Actual::as_charged().unit("requests", 3)).await.unwrap();
    assert_eq!(left(&limiter, model).await, 7);
    limiter.settle(held, &Actual::as_charged().unit("requests", 1)).await.unwrap();
    for name in [key, team, model] {
        let standings = limiter.peek(&all(0)).await.unwrap();
        assert!(
            standings.iter().all(|one| one.remaining == if one.policy == "slots" { 10 } else { 9 }),
            "{standings:?}"
        );
        assert_eq!(left(&limiter, name).await, 9);
    }
    // The longest wait is told, wherever it is.
    let quick = Charge::new(key, "quick", Quota::per_second(TEN), 10);
    assert!(matches!(limiter.reserve(&[quick]).await.unwrap(), Decision::Allow(_)));
    assert!(matches!(limiter.reserve(&[charge(model, 9)]).await.unwrap(), Decision::Allow(_)));
    let Decision::Deny(denial) = limiter.reserve(&[quick, charge(team, 1), charge(model, 1)]).await.unwrap() else {
        panic!("both are spent")
    };
    assert!(denial.policy() == "requests" && denial.retry_after() > Some(Duration::from_secs(60)), "{denial:?}");
    assert_eq!(denial.standings().len(), 3);
    limiter.penalize(&[charge(key, 0), charge(team, 0)], Duration::from_secs(9)).await.unwrap();
    assert_eq!((left(&limiter, key).await, left(&limiter, team).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_slot_denies_costs_nothing_in_the_others() {
    let cluster = RedisCluster::start().await;
    let limiter = Arc::new(connect(&cluster, Duration::from_secs(5)).await);
    let [first, second, third] = one_for_each(&cluster).await;
    assert!(matches!(limiter.reserve(&[charge(&third, 9)]).await.unwrap(), Decision::Allow(_)));
    let mut callers = Vec::new();
    for _ in 0..40 {
        let (limiter, names) = (limiter.clone(), [first.clone(), second.clone(), third.clone()]);
        callers.push(tokio::spawn(async move {
            let charges = names.each_ref().map(|name| charge(name, 1));
            usize::from(matches!(limiter.reserve(&charges).await.unwrap(), Decision::Allow(_)))
        }));
    }
    let mut allowed = 0;
    for caller in callers {
        allowed += caller.await.unwrap();
    }
    // Others may be refused while something is held that is given back, but the third has one unit only.
    assert_eq!(allowed, 1);
    let started = Instant::now();
    while (left(&limiter, &first).await, left(&limiter, &second).await) != (9, 9) {
        assert!(started.elapsed() < Duration::from_secs(5), "what was taken is not given back");
    }
    assert_eq!(left(&limiter, &third).await, 0);
}

#[tokio::test]
async fn a_server_that_is_gone_stops_only_its_own_buckets() {
    let mut cluster = RedisCluster::start().await;
    let limiter = connect(&cluster, Duration::from_millis(500)).await;
    let [first, second, third] = one_for_each(&cluster).await;
    // The others go on deciding without it.
    for at in 0..3 {
        cluster.server(at).ask("CONFIG SET cluster-require-full-coverage no").await;
    }
    assert!(matches!(limiter.reserve(&[charge(&third, 1)]).await.unwrap(), Decision::Allow(_)));
    cluster.kill(2).await;
    let all = [charge(&first, 1), charge(&second, 1), charge(&third, 1)];
    for _ in 0..5 {
        assert_eq!(limiter.reserve(&all).await.unwrap_err(), LimiterError::Unavailable);
        assert!(matches!(limiter.reserve(&all[..1]).await.unwrap(), Decision::Allow(_)));
    }
    let started = Instant::now();
    while (left(&limiter, &first).await, left(&limiter, &second).await) != (5, 10) {
        assert!(started.elapsed() < Duration::from_secs(5), "what was taken is not given back");
    }
}

#[tokio::test]
async fn a_call_without_an_answer_is_not_sent_again() {
    let cluster = RedisCluster::start().await;
    let limiter = connect(&cluster, Duration::from_millis(100)).await;
    let [first, _, third] = one_for_each(&cluster).await;
    assert_eq!((left(&limiter, &first).await, left(&limiter, &third).await), (10, 10));
    let evaluated = async || {
        let said = cluster.server(2).ask_lines("INFO commandstats").await;
        let line = said.iter().find_map(|line| line.strip_prefix("cmdstat_set:calls="));
        line.and_then(|rest| rest.split(',').next()?.parse::<u64>().ok()).unwrap_or_default()
    };
    let before = evaluated().await;
    cluster.server(2).freeze(true).await;
    let both = [charge(&first, 1), charge(&third, 1)];
    assert_eq!(limiter.reserve(&both).await.unwrap_err(), LimiterError::Unavailable);
    // The server has it, and does it once it can.
    cluster.server(2).freeze(false).await;
    let started = Instant::now();
    loop {
        let standings = limiter.peek(&[charge(&first, 0), charge(&third, 0)]).await.unwrap_or_default();
        if standings.len() == 2 && standings.iter().all(|one| one.remaining == 10) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{standings:?}");
        // The server has to answer, and to be told what to give back; nothing tells when.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(evaluated().await - before <= 1, "it was taken once, and given back");
}

#[tokio::test]
async fn a_replica_that_takes_over_is_found() {
    let mut cluster = RedisCluster::start().await;
    cluster.add_replica(2).await;
    let limiter = connect(&cluster, Duration::from_millis(250)).await;
    let [_, _, third] = one_for_each(&cluster).await;
    assert!(limiter.reserve(&[charge(&third, 1)]).await.is_ok());
    cluster.kill(2).await;
    let (started, mut promoted) = (Instant::now(), None);
    loop {
        if promoted.is_none() && cluster.server(3).ask_lines("ROLE").await.first().is_some_and(|role| role == "master")
        {
            promoted = Some(Instant::now());
        }
        match limiter.reserve(&[charge(&third, 1)]).await {
            Ok(_) => break,
            Err(error) => assert_eq!(error, LimiterError::Unavailable),
        }
        assert!(started.elapsed() < Duration::from_secs(20), "it never comes back");
        // The servers agree among themselves, and tell nobody when they have.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let back = promoted.map_or(Duration::ZERO, |promoted| promoted.elapsed());
    println!("cluster: back {back:?} after the promotion");
    assert!(back < Duration::from_secs(5), "{back:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_under_load_admit_no_more_than_there_is() {
    let cluster = RedisCluster::start().await;
    let limiter = Arc::new(connect(&cluster, Duration::from_millis(500)).await);
    let many = Quota::total(NonZeroU32::new(5_000).unwrap());
    let slots = Quota::at_once(NonZeroU32::MAX, Duration::from_millis(20));
    let names = Arc::new(one_for_each(&cluster).await);
    let (is_over, errors, longest) = <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
    let mut callers = Vec::new();
    for caller in 0..16_usize {
        let (limiter, names, is_over) = (limiter.clone(), names.clone(), is_over.clone());
        let (errors, longest) = (errors.clone(), longest.clone());
        callers.push(tokio::spawn(async move {
            let (mut admitted, mut failing_since) = ([0_u64; 3], None::<Instant>);
            while !is_over.load(Ordering::Relaxed) {
                // Some charge one bucket, some all of them, and some take a slot, too, which is another key.
                let which: Vec<usize> = if caller < 12 { vec![caller % 3] } else { vec![0, 1, 2] };
                let slot = Charge::new(&names[which[0]], "slots", slots, 1);
                let charges = which.iter().map(|at| Charge::new(&names[*at], "requests", many, 1));
                let charges: Vec<_> = charges.chain((caller % 2 == 0).then_some(slot)).collect();
                match limiter.reserve(&charges).await {
                    Ok(Decision::Allow(_)) => which.iter().for_each(|at| admitted[*at] += 1),
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error, LimiterError::Unavailable);
                        errors.fetch_add(1, Ordering::Relaxed);
                        let since = failing_since.get_or_insert_with(Instant::now).elapsed();
                        longest.fetch_max(u64::try_from(since.as_millis()).unwrap(), Ordering::Relaxed);
                        continue;
                    }
                }
                failing_since = None;
                // The quota must outlast the moves.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            admitted
        }));
    }
    for round in 0..4 {
        for (at, name) in names.iter().enumerate() {
            let (slot, to) = (slot(&cluster, name).await, (at + round + 1) % 3);
            cluster.begin_move(slot, to).await;
            // Both servers answer for the slot for a while.
            tokio::time::sleep(Duration::from_millis(60)).await;
            cluster.end_move(slot, to).await;
        }
    }
    let mut redirected = 0;
    for at in 0..3 {
        let seen = cluster.server(at).ask_lines("INFO errorstats").await;
        redirected += seen.iter().filter(|line| line.contains("MOVED") || line.contains("ASK")).count();
    }
    assert!(redirected >= 4, "nobody was sent elsewhere");
    let started = Instant::now();
    loop {
        let standings = limiter.peek(&names.each_ref().map(|name| Charge::new(name, "requests", many, 0))).await;
        if standings.is_ok_and(|standings| standings.iter().all(|one| one.remaining == 0)) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "the buckets are never spent");
        // The callers go on meanwhile.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    is_over.store(true, Ordering::Relaxed);
    let mut admitted = [0; 3];
    for caller in callers {
        for (sum, one) in admitted.iter_mut().zip(caller.await.unwrap()) {
            *sum += one;
        }
    }
    let (errors, longest) = (errors.load(Ordering::Relaxed), longest.load(Ordering::Relaxed));
    println!("admitted {admitted:?} of 5000 each; {errors} errors, the longest row of them {longest} ms");
    assert!(admitted.iter().all(|sum| *sum <= 5_000), "{admitted:?}");
    assert!(admitted.iter().all(|sum| *sum >= 4_900), "{admitted:?}");
    assert!(longest < 3_000, "{longest} ms without a decision");
}

#[tokio::test]
async fn a_node_of_a_cluster_is_no_server_of_its_own() {
    let cluster = RedisCluster::start().await;
    for node in cluster.url().trim_start_matches("redis+cluster://").split(',') {
        let alone = RedisLimiter::connect(&RedisConfig::new(&format!("redis://{node}"))).await;
        assert_eq!(alone.unwrap_err(), LimiterError::Cluster, "{node}");
    }
}
