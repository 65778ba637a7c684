//! K1: a key that is remembered, from its text to the decision, on one core; beside one SHA-256 of the text, which
//! is what others store and compare.

use std::hint::black_box;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha256};

use crate::goal;
use crate::measure::{Random, Times, middle};
use crate::ring::{HOME, Key, NOW, Ring};

const ROUNDS: usize = 9;
const LASTS: Duration = Duration::from_millis(150);

/// One turn of `act` after the other over random keys: how many in a second, without a clock between them.
fn rate(keys: &[Key], seed: u64, mut act: impl FnMut(&Key)) -> f64 {
    let (mut random, mut count, started) = (Random::new(seed), 0_u32, Instant::now());
    while started.elapsed() < LASTS {
        for _ in 0..512 {
            act(random.of(keys).unwrap());
        }
        count += 512;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

/// The same with a clock around each.
fn times(keys: &[Key], seed: u64, mut act: impl FnMut(&Key)) -> Times {
    let (mut random, mut times, started) = (Random::new(seed), Times::new(1_000_000), Instant::now());
    while started.elapsed() < LASTS && !times.is_full() {
        for _ in 0..512 {
            let key = random.of(keys).unwrap();
            let asked = Instant::now();
            act(key);
            times.push(asked.elapsed());
        }
    }
    times
}

pub(crate) fn run(ring: &Ring) {
    let keys = &ring.warm;
    let verify = |key: &Key| {
        // It has nothing to wait for.
        let principal = ring.verifier.verify(&key.text, HOME, NOW).now_or_never().unwrap().unwrap();
        black_box(principal);
    };
    let sha256 = |key: &Key| {
        black_box(Sha256::digest(black_box(key.text.as_bytes())));
    };
    let (mut speeds, mut ratios, mut p50s, mut p99s) = (vec![], vec![], vec![], vec![]);
    for seed in 0..ROUNDS as u64 {
        let (ours, theirs) = (rate(keys, seed, verify), rate(keys, seed, sha256));
        let (calls, clock) = (times(keys, seed, verify), times(keys, seed, |_| ()));
        let (p50, p99) = (calls.at(0.5), calls.at(0.99));
        println!(
            "warm verify {ours:>9.0}/s  p50 {p50:>6.0} ns  p99 {p99:>6.0} ns, {:.0} ns of them the clock's  sha256 \
             {theirs:>9.0}/s",
            clock.at(0.5)
        );
        speeds.push(ours);
        ratios.push(theirs / ours);
        p50s.push(p50);
        p99s.push(p99);
    }
    let (speed, p99) = (middle(speeds), middle(p99s));
    println!(
        "K1 {:.2} M/s on one core (at least 1.5), p50 {:.0} ns, p99 {p99:.0} ns (1000), {:.2} x one sha256 of the text",
        speed / 1e6,
        middle(p50s),
        middle(ratios)
    );
    goal("K1", (1.5e6 / speed).max(p99 / 1e3), 1.0);
}
