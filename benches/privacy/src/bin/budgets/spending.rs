//! P2: 64 clients in three processes spend the privacy of one data set while Redis, which writes before it
//! answers, is killed and comes back: what was released and what there was. And how long noise takes.

use std::hint::black_box;
use std::num::{NonZeroU32, NonZeroU64};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_privacy::Goal;
use privacy::dp::{Aggregates, Clipped, DataSet, DiscreteGaussian, Grid, NANO_RHO, Randomness, Receipt, Rho};
use ratelimit_redis::{Charge, Decision, Limiter, LimiterError, OnOutage, Quota, RedisConfig, RedisLimiter, Window};
use testkit::RedisServer;
use tokio::process::Command;

/// The word by which this program is one of the processes.
pub(crate) const CLIENTS: &str = "clients";
const EACH: [usize; 3] = [22, 21, 21];
const BUDGET: &str = "100";
const COST: &str = "0.005";
/// How often Redis dies, and after which share of the budget.
const KILLS: [f64; 2] = [0.25, 0.5];

fn total(rho: &str) -> Quota {
    let rho: Rho = rho.parse().unwrap();
    let units = NonZeroU64::new(rho.as_nano()).unwrap();
    Quota::new(units, Window::Total).unwrap().on_outage(OnOutage::AskCaller)
}

async fn connect(url: &str) -> RedisLimiter {
    let mut config = RedisConfig::new(url);
    config.deadline = Duration::from_secs(1);
    RedisLimiter::connect(&config).await.unwrap()
}

/// Releases until the budget is spent; how often.
async fn spend(limiter: Arc<RedisLimiter>, key: String) -> u64 {
    let data = DataSet::new("digits").unwrap();
    let range = Clipped::new(Grid::steps(NonZeroU32::MIN), 0, 1).unwrap();
    let mean = Aggregates::gaussian(range, NonZeroU32::MIN, COST.parse().unwrap()).unwrap();
    let (all, own, cost) = (data.bucket(), data.bucket_of(&key), mean.rho().as_nano());
    let (mut random, mut released) = (Randomness::from_system().unwrap(), 0);
    loop {
        let charges =
            [Charge::new(&all, NANO_RHO, total(BUDGET), cost), Charge::new(&own, NANO_RHO, total(BUDGET), cost)];
        match limiter.reserve(&charges).await {
            Ok(Decision::Allow(held)) => {
                let left = held.standings().first().map_or(0, |standing| standing.remaining);
                let receipt = Receipt::of_reserved(mean.rho(), Rho::from_nano(left).unwrap());
                released += mean.release(&[0.5], receipt, &mut random).unwrap().value.len() as u64;
            }
            Ok(_) => return released,
            Err(error) => {
                assert_eq!(error, LimiterError::Unavailable, "another error than that redis is away");
                // As clients wait before they try again.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// One of the processes; prints how often it released something.
pub(crate) fn clients(url: &str, process: &str) {
    let process: usize = process.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let released = runtime.block_on(async {
        let limiter = Arc::new(connect(url).await);
        let clients = (0..*EACH.get(process).unwrap())
            .map(|client| tokio::spawn(spend(limiter.clone(), format!("key:{process}:{client}"))));
        let mut released = 0;
        for client in clients.collect::<Vec<_>>() {
            released += client.await.unwrap();
        }
        released
    });
    println!("{released}");
}

/// What is left, of all.
async fn left(limiter: &RedisLimiter) -> u64 {
    let bucket = DataSet::new("digits").unwrap().bucket();
    let standings = limiter.peek(&[Charge::new(&bucket, NANO_RHO, total(BUDGET), 0)]).await.unwrap();
    standings.first().unwrap().remaining
}

/// What was released of the budget, and what is reserved.
async fn spent() -> (u64, u64) {
    let mut server = RedisServer::start_durable().await;
    let limiter = connect(&server.url()).await;
    let program = std::env::current_exe().unwrap();
    let run = |process: usize| {
        let mut command = Command::new(&program);
        command.args([CLIENTS, &server.url(), &process.to_string()]).stdout(Stdio::piped()).kill_on_drop(true);
        command.spawn().unwrap()
    };
    let processes = [run(0), run(1), run(2)];
    let budget = total(BUDGET).units();
    for share in KILLS {
        while left(&limiter).await as f64 > budget as f64 * (1.0 - share) {
            // The clients need the server more than who watches them.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.kill().await;
        assert_eq!(limiter.check("any", total("1")).await.unwrap_err(), LimiterError::Unavailable, "refused meanwhile");
        // For a while there is no server, as after a crash.
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.restart().await;
        // The breaker lets one try in a quarter of a second.
        while limiter.check("any", total("1")).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mut released = 0;
    for process in processes {
        let output = process.wait_with_output().await.unwrap();
        released += String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap();
    }
    let cost: Rho = COST.parse().unwrap();
    (released * cost.as_nano(), budget - left(&limiter).await)
}

/// Microseconds a number.
fn time(sensitivity: u32) -> f64 {
    let gaussian = DiscreteGaussian::new(NonZeroU32::new(sensitivity).unwrap(), "0.5".parse().unwrap()).unwrap();
    let mut random = Randomness::from_system().unwrap();
    let round = |random: &mut Randomness| {
        let started = Instant::now();
        for _ in 0..100_000 {
            black_box(gaussian.noise(random));
        }
        started.elapsed().as_secs_f64() * 10.0
    };
    let mut rounds = [(); 5].map(|()| round(&mut random));
    rounds.sort_by(f64::total_cmp);
    let [_, _, middle, ..] = rounds;
    middle
}

pub(crate) fn run() {
    let mut goal = Goal::new("P2");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (released, reserved) = runtime.block_on(spent());
    let budget = total(BUDGET).units();
    println!("released {released} of {budget} nano-rho, {reserved} reserved");
    goal.at_most("over-spent, 1 is nothing", 1.0 + released.saturating_sub(budget.min(reserved)) as f64, 1.0);
    for sensitivity in [1, 1_000, 100_000_000] {
        goal.at_most(&format!("us a number, deviation {sensitivity}"), time(sensitivity), 5.0);
    }
    goal.end();
}
