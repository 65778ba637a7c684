//! `just soak-limits`: four processes ask for more than nine buckets hold, for a minute. What they were allowed
//! together is compared with the one number that is right.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ratelimit_redis::{Decision, Limiter, Quota, RedisConfig, RedisLimiter};
use redis::aio::MultiplexedConnection;
use testkit::RedisServer;

const PROCESSES: usize = 4;
const TASKS: usize = 16;
const BUCKETS: [&str; 9] = ["hot", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8"];
const PER_SECOND: u32 = 500;
const BURST: u32 = 1_000;
const QUOTA: Quota = Quota::per_second(NonZeroU32::new(PER_SECOND).unwrap()).burst(NonZeroU32::new(BURST).unwrap());

/// Starts the others, adds up what they were allowed, and says how near it is to the limit.
pub(crate) async fn run(seconds: u64) {
    let server = RedisServer::start().await;
    let children: Vec<_> = (0..PROCESSES)
        .map(|_| {
            let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
            command.args(["child", &server.url(), &seconds.to_string()]).stdout(Stdio::piped()).kill_on_drop(true);
            command.spawn().unwrap()
        })
        .collect();
    let (mut first, mut last, mut allowed, mut asked) = (u64::MAX, 0, BTreeMap::<String, u64>::new(), 0);
    for child in children {
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "a process failed");
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let (name, number) = line.split_once(' ').unwrap();
            let number: u64 = number.parse().unwrap();
            match name {
                "first" => first = first.min(number),
                "last" => last = last.max(number),
                "asked" => asked += number,
                bucket => *allowed.entry(bucket.to_owned()).or_default() += number,
            }
        }
    }
    let elapsed = last - first;
    let most = u64::from(BURST) + u64::from(PER_SECOND) * elapsed / 1_000_000;
    let counts = || allowed.values().copied();
    println!(
        "{asked} decisions by {PROCESSES} processes in {:.1} s, at most {most} of each bucket",
        elapsed as f64 / 1e6
    );
    println!("allowed: {}", counts().map(|count| count.to_string()).collect::<Vec<_>>().join(" "));
    let over: u64 = counts().map(|count| count.saturating_sub(most)).sum();
    println!("goal G7a {over} <= 0 {}", if over == 0 { "met" } else { "missed" });
    let share = counts().min().unwrap_or(0) as f64 / most as f64;
    println!("goal G7b {share:.5} >= 0.999 {}", if share >= 0.999 { "met" } else { "missed" });
}

/// One of the processes: asks as fast as it can, the first bucket as often as all others.
pub(crate) async fn child(url: &str, seconds: u64) {
    let client = redis::Client::open(url).unwrap();
    let mut clock = client.get_multiplexed_async_connection().await.unwrap();
    let mut config = RedisConfig::new(url);
    config.deadline = Duration::from_secs(5);
    let limiter = Arc::new(RedisLimiter::connect(&config).await.unwrap());
    let allowed: Arc<[AtomicU64; 9]> = Arc::default();
    println!("first {}", now(&mut clock).await);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let (limiter, allowed) = (limiter.clone(), allowed.clone());
        tasks.spawn(async move {
            let mut asked = 0_u64;
            while Instant::now() < end {
                let at = if (asked as usize + task).is_multiple_of(2) { 0 } else { asked as usize % BUCKETS.len() };
                let bucket = BUCKETS.get(at).copied().unwrap_or_default();
                if let Decision::Allow(_) = limiter.check(bucket, QUOTA).await.unwrap() {
                    allowed.get(at).unwrap().fetch_add(1, Ordering::Relaxed);
                }
                asked += 1;
                // A denial from memory never waits, and others must have their turn.
                tokio::task::yield_now().await;
            }
            asked
        });
    }
    let asked: u64 = tasks.join_all().await.into_iter().sum();
    println!("last {}\nasked {asked}", now(&mut clock).await);
    for (bucket, count) in BUCKETS.iter().zip(allowed.iter()) {
        println!("{bucket} {}", count.load(Ordering::Relaxed));
    }
}

/// Microseconds by the server's clock.
async fn now(clock: &mut MultiplexedConnection) -> u64 {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(clock).await.unwrap();
    seconds * 1_000_000 + micros
}
