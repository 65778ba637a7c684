//! K7: whether the time of a refusal tells why. Keys that nobody has, revoked ones, expired ones and such with
//! another secret are brought in random order; Welch's t says how surely the means of two classes differ.

use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use keys::{Asked, Issuer, KeyStore as _, MemoryKeyStore, Principal, Revoke, Verifier};
use tokio::runtime::Runtime;

use crate::goal;
use crate::measure::{Random, Times, welch};
use crate::ring::{self, FORGOTTEN, HOME, Key, NO_THROTTLE, NOW};

const SAMPLES: usize = 100_000;
/// Of each class, brought in turn: one key's place in memory must not stand for its class.
const KEYS: usize = 128;
/// After which the expired ones are.
const EXPIRY: u64 = NOW + 1_000;
const LATER: u64 = NOW + 2_000;
/// Samplers with nothing remembered, each with a verifier and a lane of its own.
const SAMPLERS: usize = 2;
const MOST_T: f64 = 4.5;
/// Above this share of all times, something else took the processor.
const CROP: f64 = 0.95;

/// The last is the first again, with other keys: what t is where there is nothing to tell.
const NAMES: [&str; 5] = ["unknown", "revoked", "expired", "wrong secret", "unknown again"];
const CLASSES: usize = NAMES.len();

struct Refused {
    store: Arc<MemoryKeyStore>,
    classes: [Vec<Key>; CLASSES],
}

impl Refused {
    async fn new() -> Self {
        let (store, elsewhere) = (Arc::new(MemoryKeyStore::new()), Arc::new(MemoryKeyStore::new()));
        let unknown = ring::issue(elsewhere.clone(), KEYS, None).await;
        let again = ring::issue(elsewhere.clone(), KEYS, None).await;
        let revoked = ring::issue(store.clone(), KEYS, None).await;
        let expired = ring::issue(store.clone(), KEYS, Some(EXPIRY)).await;
        let wrong = ring::issue(elsewhere, KEYS, None).await;
        let issuer = Issuer::new(store.clone(), ring::peppers());
        for key in &revoked {
            issuer.revoke(&Principal::system(), Revoke::Key(key.id()), NOW).await.unwrap();
        }
        for (key, other) in wrong.iter().zip(&unknown) {
            let mut record = key.record.clone();
            record.hash = other.record.hash.clone();
            store.insert(&record, Asked::default()).await.unwrap();
        }
        Self { store, classes: [unknown, revoked, expired, wrong, again] }
    }

    fn verifier(&self) -> Verifier {
        ring::builder(self.store.clone()).lanes(1).failures_per_minute(NO_THROTTLE).build().unwrap()
    }

    /// Every refusal is remembered, and is the one that is meant.
    async fn remembered(&self) -> Verifier {
        let verifier = ring::builder(self.store.clone()).lanes(ring::cores()).failures_per_minute(NO_THROTTLE);
        let verifier = verifier.build().unwrap();
        let reasons = ["unknown", "revoked", "expired", "unknown", "unknown"];
        for (keys, reason) in self.classes.iter().zip(reasons) {
            let asking = keys.iter().map(|key| verifier.verify(&key.text, HOME, LATER));
            for refused in futures_util::future::join_all(asking).await {
                assert_eq!(refused.unwrap_err().reason(), reason);
            }
        }
        verifier
    }

    /// As many samples of each class; the order of the classes is another one each time.
    fn sample(&self, count: usize, seed: u64, mut time: impl FnMut(&Key, &mut Times)) -> [Times; CLASSES] {
        let (mut random, mut times) = (Random::new(seed), NAMES.map(|_| Times::new(count)));
        let mut order: [usize; CLASSES] = std::array::from_fn(|at| at);
        for turn in 0..count {
            random.shuffle(&mut order);
            for class in order {
                let (keys, times) = (self.classes.get(class).unwrap(), times.get_mut(class).unwrap());
                time(keys.get(turn % KEYS).unwrap(), times);
            }
        }
        times
    }

    /// Refusals that are remembered.
    fn warm(&self, verifier: &Verifier) -> [Times; CLASSES] {
        self.sample(SAMPLES, 7, |key, times| {
            let asked = Instant::now();
            let refused = verifier.verify(&key.text, HOME, LATER).now_or_never();
            times.push(asked.elapsed());
            assert!(refused.unwrap().is_err(), "a bad key is accepted");
        })
    }

    /// All is forgotten before each key.
    fn cold(&self, count: usize, seed: u64) -> [Times; CLASSES] {
        let (runtime, verifier) = (tokio::runtime::Builder::new_current_thread().build().unwrap(), self.verifier());
        let mut now = LATER;
        self.sample(count, seed, |key, times| {
            now += FORGOTTEN;
            runtime.block_on(async {
                let asked = Instant::now();
                let refused = verifier.verify(&key.text, HOME, now).await;
                times.push(asked.elapsed());
                assert!(refused.is_err(), "a bad key is accepted");
            });
        })
    }

    fn cold_by_all(&self, count: usize) -> [Times; CLASSES] {
        std::thread::scope(|scope| {
            let sample = |seed| move || self.cold(count / SAMPLERS, seed);
            let samplers: Vec<_> = (0..SAMPLERS).map(|seed| scope.spawn(sample(11 + seed as u64))).collect();
            let mut all = NAMES.map(|_| Times::new(0));
            for sampler in samplers {
                for (all, times) in all.iter_mut().zip(sampler.join().unwrap()) {
                    all.append(times);
                }
            }
            all
        })
    }
}

/// Says how long each class takes; the time below which the faster ones are.
fn print(name: &str, times: &[Times; CLASSES]) -> f64 {
    let mut all = Times::new(0);
    for (class, times) in NAMES.iter().zip(times) {
        println!(
            "{name} {class:<14} {:>6} times  mean {:>9.3} us  p50 {:>9.3} us  p99 {:>9.3} us",
            times.len(),
            times.mean() / 1e3,
            times.at(0.5) / 1e3,
            times.at(0.99) / 1e3
        );
        all.append(times.clone());
    }
    all.at(CROP)
}

/// The largest t between two of the four classes, and the one where there is nothing to tell.
fn largest(name: &str, classes: &[Vec<f64>; CLASSES]) -> f64 {
    let named: Vec<_> = NAMES.iter().zip(classes).take(CLASSES - 1).collect();
    let pairs = named.iter().enumerate().flat_map(|(at, one)| named.iter().skip(at + 1).map(move |other| (one, other)));
    let ts = pairs.map(|(one, other)| (welch(one.1, other.1), one.0, other.0));
    let (most, one, other) = ts.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap();
    let [unknown, .., again] = classes;
    println!(
        "{name}: largest t {most:.2}, {one} against {other}; unknown against unknown {:.2}",
        welch(unknown, again)
    );
    most
}

pub(crate) fn run(runtime: &Runtime, count: usize) {
    let (refused, verifier) = runtime.block_on(async {
        let refused = Refused::new().await;
        let verifier = refused.remembered().await;
        (refused, verifier)
    });
    let (warm, cold) = (refused.warm(&verifier), refused.cold_by_all(count));
    let (warm_crop, cold_crop) = (print("warm", &warm), print("cold", &cold));
    let all = |times: &Times| times.up_to(f64::INFINITY);
    let t = [largest("warm", &warm.each_ref().map(all)), largest("cold", &cold.each_ref().map(all))];
    println!("K7 largest t warm {:.2}, cold {:.2} with {count} times of each class ({MOST_T})", t[0], t[1]);
    goal("K7a", t[0].max(t[1]) / MOST_T, 1.0);
    // What an attacker would do: a few times that something else took hide a lot. Some keys lie better in memory
    // than others, and that is not their class: where it matters, each key counts once.
    let warm = warm.each_ref().map(|times| times.means(KEYS, warm_crop));
    let cold = cold.each_ref().map(|times| times.up_to(cold_crop));
    let t = [largest("warm, means of keys, faster 95 %", &warm), largest("cold, faster 95 %", &cold)];
    goal("K7b", t[0].max(t[1]) / MOST_T, 1.0);
}
