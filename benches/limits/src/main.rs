//! `just bench-limits`: the limiter beside the same algorithms as others write them, on one Redis in one
//! run. Prints a line for each case and one for each goal.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints")]

mod exact;
mod measure;
mod peers;
mod soak;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use measure::{Figures, measure};
use peers::Peers;
use ratelimit_redis::{Alone, Charge, Decision, Limiter, Quota, RedisConfig, RedisLimiter};
use redis::aio::MultiplexedConnection;
use testkit::RedisServer;

const MANY: Quota = Quota::per_minute(NonZeroU32::new(4_000_000_000).unwrap());
/// No bucket is full again while others are taken from.
const SLOW: Quota = Quota::per_day(NonZeroU32::new(100).unwrap());
const NEVER: Quota = Quota::per_day(NonZeroU32::MIN);
const KEYS: u64 = 10_000;
/// How long each case runs, and how often; the middle of the ratios counts. Many short turns: the machine is faster
/// and slower for seconds at a time, and what is compared shall run in the same ones.
const LASTS: Duration = Duration::from_millis(300);
const ROUNDS: usize = 15;

struct Bench {
    server: RedisServer,
    connection: MultiplexedConnection,
    peers: Peers,
    ours: Arc<RedisLimiter>,
    alone: Arc<Alone>,
}

/// Four quotas of one bucket, as a key has them.
fn four(name: &str) -> [Charge<'_>; 4] {
    each(name, MANY)
}

fn each(name: &str, quota: Quota) -> [Charge<'_>; 4] {
    ["requests", "input_tokens", "output_tokens", "spend"].map(|unit| Charge::new(name, unit, quota, 1))
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    runtime.unwrap().block_on(async {
        match arguments.as_slice() {
            [] => {}
            ["soak", seconds] => return soak::run(seconds.parse().unwrap()).await,
            ["child", url, seconds] => return soak::child(url, seconds.parse().unwrap()).await,
            _ => return println!("nothing, or `soak SECONDS`"),
        }
        let bench = Bench::start().await;
        bench.alone().await;
        bench.four_at_once().await;
        bench.hot().await;
        bench.denied().await;
        bench.memory().await;
        bench.exact().await;
        bench.hang().await;
    });
}

impl Bench {
    async fn start() -> Self {
        let server = RedisServer::start().await;
        let client = redis::Client::open(server.url()).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let peers = Peers::new(connection.clone()).await.unwrap();
        let mut config = RedisConfig::new(&server.url());
        config.deadline = Duration::from_secs(2);
        config.remember_denials = false;
        let ours = Arc::new(RedisLimiter::connect(&config).await.unwrap());
        let alone = Arc::new(ours.alone());
        Self { server, connection, peers, ours, alone }
    }

    async fn case(&self, tasks: usize, keys: u64, what: What) -> Figures {
        let (peers, ours, alone) = (self.peers.clone(), self.ours.clone(), self.alone.clone());
        measure(&self.connection, tasks, keys, LASTS, move |key| {
            let (peers, ours, alone) = (peers.clone(), ours.clone(), alone.clone());
            async move { what.run(&peers, &ours, &alone, &key.to_string()).await }
        })
        .await
    }

    /// Runs all cases in turn, many times.
    async fn rounds<const N: usize>(&self, tasks: usize, keys: u64, cases: [(&str, What); N]) -> Vec<[Figures; N]> {
        let mut rounds: Vec<[Figures; N]> = Vec::new();
        for _ in 0..ROUNDS {
            let mut round = Vec::new();
            for (_, what) in cases {
                round.push(self.case(tasks, keys, what).await);
            }
            rounds.push(round.try_into().unwrap());
        }
        for (at, (name, _)) in cases.iter().enumerate() {
            let figures = || rounds.iter().filter_map(|round| round.get(at));
            let of = |figure: fn(&Figures) -> f64| middle(figures().map(figure));
            println!(
                "{:<46} {:>9.0}/s  p50 {:>8.1} us  p99 {:>8.1} us  redis {:>6.2} us",
                format!("{name}, {tasks} waiting"),
                of(|figures| figures.per_second),
                of(|figures| figures.p50),
                of(|figures| figures.p99),
                of(|figures| figures.cpu),
            );
        }
        rounds
    }

    async fn alone(&self) {
        let cases = [("GET", What::Get), ("ours, a call of its own", What::Alone), ("ours", What::Ours)];
        let rounds = self.rounds(1, KEYS, cases).await;
        let direct = middle(rounds.iter().map(|[get, direct, _]| direct.p50 / get.p50));
        let queued = middle(rounds.iter().map(|[_, direct, ours]| ours.p50 / direct.p50));
        println!("G1 p50 of one decision {direct:.2} x GET (1.5), through the queue {queued:.2} x direct (1.2)");
        goal("G1", (direct / 1.5).max(queued / 1.2), 1.0);
    }

    async fn four_at_once(&self) {
        let cases = [
            ("redis-cell's algorithm, one limit", What::Cell),
            ("limitador's way, four limits", What::Limitador),
            ("limitador's way, tells what is left", What::LimitadorLeft),
            ("an envoy-like pipeline, four limits", What::Envoy),
            ("hash token buckets, four limits", What::Hashes),
            ("ours, four limits, own call", What::FourAlone),
            ("ours, four limits", What::Four),
        ];
        let rounds = self.rounds(64, KEYS, cases).await;
        let cell = middle(rounds.iter().map(|[cell, .., alone, _]| alone.cpu / cell.cpu));
        // Ours tell what is left, too.
        let limitador = middle(rounds.iter().map(|[_, _, limitador, .., alone, _]| alone.cpu / limitador.cpu));
        let p50 = middle(rounds.iter().map(|[_, _, limitador, .., alone, _]| alone.p50 / limitador.p50));
        let least = middle(rounds.iter().map(|[_, limitador, .., alone, _]| alone.cpu / limitador.cpu));
        println!("G2 redis {cell:.2} x redis-cell's (1.25), {limitador:.2} x limitador's (0.45), p50 {p50:.2} x (0.5)");
        println!("redis {least:.2} x limitador's where it does not tell what is left");
        goal("G2", (cell / 1.25).max(limitador / 0.45).max(p50 / 0.5), 1.0);
        let cpu = middle(rounds.iter().map(|[cell, .., ours]| ours.cpu / cell.cpu));
        let speed = middle(rounds.iter().map(|[cell, .., ours]| ours.per_second / cell.per_second));
        println!("G3 redis {cpu:.2} x redis-cell's (0.7), decisions {speed:.2} x (at least 1.4)");
        goal("G3", (cpu / 0.7).max(1.4 / speed), 1.0);
    }

    async fn hot(&self) {
        let cases = [("ours, one hot key, own call", What::FourAlone), ("ours, one hot key", What::Four)];
        let rounds = self.rounds(256, 1, cases).await;
        let cpu = middle(rounds.iter().map(|[alone, ours]| ours.cpu / alone.cpu));
        let speed = middle(rounds.iter().map(|[alone, ours]| ours.per_second / alone.per_second));
        println!("G4 redis {cpu:.3} x direct (0.15), decisions {speed:.1} x (at least 5)");
        goal("G4", (cpu / 0.15).max(5.0 / speed), 1.0);
    }

    async fn denied(&self) {
        let mut config = RedisConfig::new(&self.server.url());
        config.deadline = Duration::from_secs(2);
        let ours = RedisLimiter::connect(&config).await.unwrap();
        while matches!(ours.check("denied", NEVER).await.unwrap(), Decision::Allow(_)) {}
        let before = self.calls().await;
        let started = Instant::now();
        let mut count = 0_u32;
        while started.elapsed() < Duration::from_millis(500) {
            for _ in 0..1_000 {
                let _ = ours.check("denied", NEVER).await.unwrap();
            }
            count += 1_000;
        }
        let each = started.elapsed().as_secs_f64() / f64::from(count) * 1e6;
        println!("denied {count} times in half a second: {each:.2} us each, {} calls", self.calls().await - before);
        goal("G5", each, 1.0);
    }

    async fn calls(&self) -> u64 {
        let mut connection = self.connection.clone();
        let text: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
        line.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(0)
    }

    async fn memory(&self) {
        redis::cmd("FLUSHALL").exec_async(&mut self.connection.clone()).await.unwrap();
        let before = self.used_memory().await;
        let count = 1_000_000_u64;
        let names: Vec<String> = (0..count).map(|at| format!("{{t{at:06}}}:k:{at}")).collect();
        for names in names.chunks(256) {
            let taking =
                names.iter().map(|name| async move { self.ours.reserve(&each(name, SLOW)).await.map(drop).unwrap() });
            futures_util::future::join_all(taking).await;
        }
        let each = (self.used_memory().await - before) / count as f64;
        println!("{count} subjects with four limits: {each:.0} bytes each");
        goal("G6", each, 180.0);
    }

    async fn used_memory(&self) -> f64 {
        let mut connection = self.connection.clone();
        let text: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await.unwrap();
        text.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok()).unwrap_or(f64::NAN)
    }

    async fn exact(&self) {
        let wrong = exact::wrong_waits(&self.server.url(), self.connection.clone()).await;
        println!("G8 waits that were told wrong, by a microsecond: {wrong}");
        goal("G8", f64::from(wrong), 0.0);
        let leaked = exact::leaked_slots(&self.server.url()).await;
        println!("G9 slots that nobody gave back after a hundred thousand cancelled acquires: {leaked}");
        goal("G9", leaked as f64, 0.0);
    }

    async fn hang(&self) {
        let config = RedisConfig::new(&self.server.url());
        let ours = RedisLimiter::connect(&config).await.unwrap();
        let _ = ours.check("hang", MANY).await.unwrap();
        self.server.freeze(true).await;
        let mut slowest = Duration::ZERO;
        for _ in 0..40 {
            let asked = Instant::now();
            let _ = ours.check("hang", MANY).await;
            slowest = slowest.max(asked.elapsed());
        }
        self.server.freeze(false).await;
        let thawed = Instant::now();
        while ours.check("hang", MANY).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (slowest, back) = (slowest.as_secs_f64() * 1e3, thawed.elapsed().as_secs_f64());
        println!("G10 a server that hangs: slowest decision {slowest:.1} ms (55), back after {back:.3} s (1)");
        goal("G10", (slowest / 55.0).max(back), 1.0);
    }
}

#[derive(Clone, Copy)]
enum What {
    Get,
    Cell,
    Limitador,
    LimitadorLeft,
    Envoy,
    Hashes,
    Alone,
    Ours,
    FourAlone,
    Four,
}

impl What {
    async fn run(self, peers: &Peers, ours: &RedisLimiter, alone: &Alone, key: &str) {
        match self {
            Self::Get => peers.get(key).await.unwrap(),
            Self::Cell => peers.cell(key).await.unwrap(),
            Self::Limitador => peers.limitador(key, false).await.unwrap(),
            Self::LimitadorLeft => peers.limitador(key, true).await.unwrap(),
            Self::Envoy => peers.envoy(key).await.unwrap(),
            Self::Hashes => peers.hashes(key).await.unwrap(),
            Self::Alone => assert!(ours.reserve_alone(&[Charge::new(key, "requests", MANY, 1)], alone).await.unwrap()),
            Self::Ours => assert!(matches!(ours.check(key, MANY).await.unwrap(), Decision::Allow(_))),
            Self::FourAlone => assert!(ours.reserve_alone(&four(key), alone).await.unwrap()),
            Self::Four => assert!(matches!(ours.reserve(&four(key)).await.unwrap(), Decision::Allow(_))),
        }
    }
}

/// Every goal here is a number that is not to be exceeded.
fn goal(id: &str, measured: f64, target: f64) {
    println!("goal {id} {measured:.3} <= {target} {}", if measured <= target { "met" } else { "missed" });
}

fn middle(ratios: impl Iterator<Item = f64>) -> f64 {
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}
