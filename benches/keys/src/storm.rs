//! K3: a thousand new keys at once; those who bring remembered keys hardly notice, and memory stays within the
//! lanes. K4: a thousand requests with one new key cost one Argon2.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use keys::UnixMillis;
use tokio::sync::Barrier;

use crate::goal;
use crate::measure::{Random, Times, middle};
use crate::ring::{FORGOTTEN, HOME, NOW, Ring, lanes};

const STORMS: usize = 2;
/// Without a storm, before, between and after.
const CALM: Duration = Duration::from_secs(3);
/// Requests of each millisecond.
const BURST: usize = 16;
/// What all else than the lanes may take: a thousand requests that wait, their keys, what is remembered of them.
const ALLOWANCE_MIB: f64 = 4.0;
const ROUNDS: usize = 20;
const AT_ONCE: usize = 1_000;

/// What callers saw: of the check itself, and of a task that makes it, from its start to its end.
struct Seen {
    checks: Times,
    tasks: Times,
}

impl Seen {
    fn print(&self, name: &str) -> [f64; 2] {
        let [check, task] = [&self.checks, &self.tasks].map(|times| times.at(0.99) / 1e3);
        println!(
            "{name:<22} {:>6} checks  p50 {:>5.2} us  p99 {check:>6.2} us  as tasks p50 {:>5.1} us  p99 {task:>6.1} us",
            self.checks.len(),
            self.checks.at(0.5) / 1e3,
            self.tasks.at(0.5) / 1e3
        );
        [check, task]
    }
}

/// Brings remembered keys until told to end, in a burst each millisecond, each in a task of its own.
async fn callers(ring: Arc<Ring>, is_over: Arc<AtomicBool>, mut seen: Seen) -> Seen {
    let mut random = Random::new(5);
    let mut clock = tokio::time::interval(Duration::from_millis(1));
    while !is_over.load(Ordering::Relaxed) {
        clock.tick().await;
        for _ in 0..BURST {
            let (ring, at) = (ring.clone(), random.below(ring.warm.len()));
            let asked = Instant::now();
            let took = tokio::spawn(async move {
                let key = ring.warm.get(at).unwrap();
                let asked = Instant::now();
                ring.verifier.verify(&key.text, HOME, NOW).await.unwrap();
                asked.elapsed()
            });
            seen.checks.push(took.await.unwrap());
            seen.tasks.push(asked.elapsed());
        }
    }
    seen
}

/// What callers see while something lasts.
async fn while_lasts(ring: &Arc<Ring>, what: impl Future<Output = ()>) -> Seen {
    let (is_over, seen) = (Arc::default(), Seen { checks: Times::new(600_000), tasks: Times::new(600_000) });
    let calling = tokio::spawn(callers(ring.clone(), Arc::clone(&is_over), seen));
    what.await;
    is_over.store(true, Ordering::Relaxed);
    calling.await.unwrap()
}

/// Everybody brings another new key at the same moment, and all are accepted.
async fn storm(ring: Arc<Ring>, now: UnixMillis) {
    let verifying = ring.cold.iter().cloned().map(|key| {
        let ring = ring.clone();
        tokio::spawn(async move { ring.verifier.verify(&key.text, HOME, now).await.unwrap() })
    });
    let verifying: Vec<_> = verifying.collect();
    join_all(verifying).await.into_iter().for_each(|known| drop(known.unwrap()));
}

/// A figure of this process, in MiB.
fn memory(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1_024.0
}

/// By how many MiB this process grows at most while a storm lasts.
async fn growth(ring: &Arc<Ring>, now: UnixMillis) -> f64 {
    // The highest mark starts anew from here.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS:");
    storm(ring.clone(), now).await;
    memory("VmHWM:") - before
}

pub(crate) async fn run(ring: Ring) {
    let ring = Arc::new(ring);
    let calm = async || while_lasts(&ring, tokio::time::sleep(CALM)).await.print("calm");
    let (mut ratios, mut before, mut most) = (Vec::new(), calm().await, 0.0_f64);
    for storm in 0..STORMS as u64 {
        let (now, mut grown) = (NOW + storm * FORGOTTEN, 0.0);
        let during = while_lasts(&ring, async { grown = growth(&ring, now).await }).await.print("storm");
        println!("the storm takes {grown:.1} MiB");
        most = most.max(grown);
        let after = calm().await;
        // Against the calm on both sides, so that a drift of the machine cancels.
        let pair = |[check, task]: [f64; 2]| [during[0] / check, during[1] / task];
        let ([before_check, before_task], [after_check, after_task]) = (pair(before), pair(after));
        ratios.push([(before_check * after_check).sqrt(), (before_task * after_task).sqrt()]);
        before = after;
    }
    let (lanes, allowed) = (lanes() as f64, lanes() as f64 * 20.0 + ALLOWANCE_MIB);
    println!("memory {most:.1} MiB: {:.0} for the lanes, {:.1} else", lanes * 19.0, most - lanes * 19.0);
    let (check, task) = (middle(ratios.iter().map(|[check, _]| *check)), middle(ratios.iter().map(|[_, task]| *task)));
    println!(
        "K3 p99 of remembered keys in a storm {check:.2} x the calm's, as tasks {task:.2} x (2); memory {most:.1} MiB \
         ({allowed:.0}, {ALLOWANCE_MIB} of it for what waits)"
    );
    goal("K3", (check.max(task) / 2.0).max(most / allowed), 1.0);
    together(&ring).await;
}

/// How many hashes a thousand requests with one new key make.
async fn together(ring: &Arc<Ring>) {
    let mut hashes = Vec::new();
    for key in ring.warm.iter().take(ROUNDS) {
        let (before, ready) = (ring.verifier.hashes(), Arc::new(Barrier::new(AT_ONCE)));
        let asking: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (ring, ready, key) = (ring.clone(), ready.clone(), key.clone());
                tokio::spawn(async move {
                    ready.wait().await;
                    ring.verifier.verify(&key.text, HOME, NOW + FORGOTTEN).await.unwrap()
                })
            })
            .collect();
        join_all(asking).await.into_iter().for_each(|known| drop(known.unwrap()));
        hashes.push(ring.verifier.hashes() - before);
    }
    let (least, most) = (hashes.iter().min().unwrap(), hashes.iter().max().unwrap());
    println!("K4 {AT_ONCE} requests with one new key, {ROUNDS} times: {least} to {most} argon2 (1)");
    goal("K4", if *least == 0 { f64::INFINITY } else { *most as f64 }, 1.0);
}
