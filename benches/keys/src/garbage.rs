//! K2: a million texts that are no keys of ours cost no Argon2 and no call of the store, and valid traffic hardly
//! notices them. There is no Redis here at all.

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use sha2::{Digest as _, Sha256};

use crate::goal;
use crate::measure::{Random, Times, middle};
use crate::ring::{HOME, NOW, Ring};

const COUNT: usize = 1_000_000;
/// In turns, so that what happens to the machine for some seconds happens to a part of each.
const ROUNDS: usize = 20;
const PAIRS: usize = 12;
const SLICE: Duration = Duration::from_millis(10);
/// Until the other thread is awake, or asleep.
const SETTLES: Duration = Duration::from_micros(300);
/// Up to the CRC.
const SUMMED: usize = 76;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Texts, one behind the other.
struct Garbage {
    text: String,
    ends: Vec<usize>,
}

impl Garbage {
    /// As many of each kind: any text; a key's form; a key's form and checksum, under a pepper that there is; a
    /// key with one wrong character.
    fn new(ring: &Ring) -> Self {
        let mut random = Random::new(2);
        let mut garbage = Self { text: String::with_capacity(COUNT * 82), ends: Vec::with_capacity(COUNT) };
        for at in 0..COUNT {
            let to = &mut garbage.text;
            match at % 4 {
                0 => (0..random.below(120)).for_each(|_| to.push(char::from(33 + random.below(94) as u8))),
                1 => to.push_str(&form(&mut random, 82)),
                2 => {
                    let text = form(&mut random, SUMMED);
                    let crc = checksum(&text);
                    write!(to, "{text}{crc}").unwrap();
                }
                _ => to.push_str(&flipped(&mut random, &random_key(ring, at).text)),
            }
            garbage.ends.push(garbage.text.len());
        }
        garbage
    }

    fn get(&self, at: usize) -> &str {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.text.get(start..self.ends.get(at).copied().unwrap_or(start)).unwrap_or_default()
    }
}

fn random_key(ring: &Ring, at: usize) -> &crate::ring::Key {
    ring.warm.get(at / 4 % ring.warm.len()).unwrap()
}

fn letter(random: &mut Random) -> char {
    char::from(*random.of(BASE62).unwrap())
}

/// The first characters of what could be a key.
fn form(random: &mut Random, length: usize) -> String {
    let mut text = String::from("pck1_0");
    while text.len() < length {
        let next = if text.len() == 21 { '_' } else { letter(random) };
        text.push(next);
    }
    text
}

/// CRC-32 in six digits, as a key ends.
fn checksum(text: &str) -> String {
    let mut value = crc32fast::hash(text.as_bytes()) as usize;
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.push(char::from(BASE62.get(value % 62).copied().unwrap()));
        value /= 62;
    }
    digits.into_iter().rev().collect()
}

fn flipped(random: &mut Random, key: &str) -> String {
    let place = random.below(key.len());
    let mut other = letter(random);
    while key.chars().nth(place) == Some(other) {
        other = letter(random);
    }
    key.chars().enumerate().map(|(at, was)| if at == place { other } else { was }).collect()
}

/// What the other thread does with the texts.
#[derive(Clone, Copy)]
enum Load {
    OneAddress,
    ManyAddresses,
    /// Nothing that concerns a verifier: what any busy neighbour costs on this machine.
    Elsewhere,
}

impl Load {
    fn act(self, ring: &Ring, text: &str, at: u64) {
        let from = match self {
            Self::OneAddress => HOME,
            Self::ManyAddresses => IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + (at % COUNT as u64) as u32)),
            Self::Elsewhere => {
                black_box(Sha256::digest(text.as_bytes()));
                return;
            }
        };
        let refused = ring.verifier.verify(text, from, NOW).now_or_never().unwrap();
        assert!(refused.is_err(), "garbage is accepted");
    }
}

/// The other thread's part.
#[derive(Default)]
struct Neighbour {
    is_on: AtomicBool,
    is_over: AtomicBool,
    done: AtomicU64,
}

impl Neighbour {
    fn work(&self, ring: &Ring, garbage: &Garbage, load: Load) {
        let mut at = 0;
        while !self.is_over.load(Ordering::Acquire) {
            if !self.is_on.load(Ordering::Acquire) {
                std::thread::park();
                continue;
            }
            load.act(ring, garbage.get(at as usize % COUNT), at);
            at += 1;
        }
        self.done.store(at, Ordering::Release);
    }
}

/// The middle time of valid traffic in one slice.
fn slice(ring: &Ring, random: &mut Random, times: &mut Times) -> f64 {
    times.clear();
    let started = Instant::now();
    while started.elapsed() < SLICE {
        let key = random.of(&ring.warm).unwrap();
        let asked = Instant::now();
        let known = ring.verifier.verify(&key.text, HOME, NOW).now_or_never().unwrap();
        let took = asked.elapsed();
        black_box(known.unwrap());
        if started.elapsed() > SETTLES {
            times.push(took);
        }
    }
    times.at(0.5)
}

/// By how much the middle moves while a neighbour works.
struct Moves {
    load: Load,
    name: &'static str,
    alone: Vec<f64>,
    ratios: Vec<f64>,
    done: u64,
}

impl Moves {
    fn new(load: Load, name: &'static str) -> Self {
        Self { load, name, alone: Vec::new(), ratios: Vec::new(), done: 0 }
    }

    /// Slices with and without the neighbour in turn.
    fn measure(&mut self, ring: &Ring, garbage: &Garbage, random: &mut Random, times: &mut Times) {
        let (neighbour, load) = (Neighbour::default(), self.load);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| neighbour.work(ring, garbage, load));
            for pair in 0..PAIRS {
                let mut middles = [0.0; 2];
                // Whichever comes first.
                for turn in [pair % 2, 1 - pair % 2] {
                    neighbour.is_on.store(turn == 1, Ordering::Release);
                    thread.thread().unpark();
                    let middle = slice(ring, random, times);
                    middles.iter_mut().skip(turn).take(1).for_each(|place| *place = middle);
                }
                let [without, with] = middles;
                self.alone.push(without);
                self.ratios.push(with / without);
            }
            neighbour.is_over.store(true, Ordering::Release);
            thread.thread().unpark();
        });
        self.done += neighbour.done.load(Ordering::Acquire);
    }

    fn told(self) -> f64 {
        let seconds = SLICE.as_secs_f64() * self.ratios.len() as f64;
        let (moved, done) = (middle(self.ratios) - 1.0, self.done);
        println!(
            "{:<28} p50 of valid keys {:>4.0} ns alone, moves {:>5.1} %  {done} texts, {:.2} M/s",
            self.name,
            middle(self.alone),
            moved * 100.0,
            done as f64 / seconds / 1e6
        );
        moved
    }
}

/// All texts once, on one thread: how long one takes.
fn refuse_all(ring: &Ring, garbage: &Garbage, load: Load, name: &str) {
    let started = Instant::now();
    for at in 0..COUNT {
        load.act(ring, garbage.get(at), at as u64);
    }
    println!("{COUNT} texts {name}: {:.0} ns each", started.elapsed().as_secs_f64() / COUNT as f64 * 1e9);
}

pub(crate) fn run(ring: &Ring) {
    let garbage = Garbage::new(ring);
    let before = (ring.verifier.hashes(), ring.store.calls());
    refuse_all(ring, &garbage, Load::OneAddress, "from one address");
    refuse_all(ring, &garbage, Load::ManyAddresses, "from a million addresses");
    let mut moves = [
        Moves::new(Load::OneAddress, "garbage from one address"),
        Moves::new(Load::ManyAddresses, "garbage from many addresses"),
        Moves::new(Load::Elsewhere, "a neighbour that only hashes"),
    ];
    let (mut random, mut times) = (Random::new(3), Times::new(200_000));
    for _ in 0..ROUNDS {
        moves.iter_mut().for_each(|moves| moves.measure(ring, &garbage, &mut random, &mut times));
    }
    let (hashes, calls) = (ring.verifier.hashes() - before.0, ring.store.calls() - before.1);
    let [one, many, busy] = moves.map(Moves::told);
    println!(
        "K2 {hashes} argon2 (0), {calls} calls of the store (0), no redis; p50 moves {:.1} %, {:.1} % (10); any busy \
         neighbour moves it {:.1} %",
        one * 100.0,
        many * 100.0,
        busy * 100.0
    );
    let is_free = hashes == 0 && calls == 0;
    goal("K2", if is_free { one.max(many) / 0.1 } else { f64::INFINITY }, 1.0);
}
