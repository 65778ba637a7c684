//! Times of acts that take turns, what is made of them, and the random numbers that bodies are made of.

use std::hint::black_box;
use std::time::Instant;

/// Seconds that an act takes, so many times over. What it makes is dropped off the clock when it is done once.
pub fn time<T>(times: usize, mut act: impl FnMut() -> T) -> f64 {
    let started = Instant::now();
    for _ in 1..times {
        black_box(act());
    }
    let last = black_box(act());
    let took = started.elapsed();
    drop(last);
    took.as_secs_f64()
}

/// The times of acts that took turns: the clock of a machine changes for seconds at a time, so that only what was
/// measured side by side compares.
pub struct Turns<const N: usize>(Vec<[f64; N]>);

impl<const N: usize> Turns<N> {
    /// Lets the acts take turns; each returns how long it took. Every other turn goes backwards.
    pub fn take(turns: usize, mut acts: [&mut dyn FnMut() -> f64; N]) -> Self {
        let mut all = Vec::with_capacity(turns);
        for turn in 0..=turns {
            let mut times = [0.0; N];
            let mut order: Vec<usize> = (0..N).collect();
            if turn % 2 == 1 {
                order.reverse();
            }
            for act in order {
                let (Some(act), Some(time)) = (acts.get_mut(act), times.get_mut(act)) else { continue };
                *time = act();
            }
            // The first one finds everything cold.
            if turn > 0 {
                all.push(times);
            }
        }
        Self(all)
    }

    /// The middle time of an act.
    pub fn of(&self, act: usize) -> f64 {
        middle(self.0.iter().filter_map(|times| times.get(act).copied()))
    }

    /// The middle of how many times longer one act took than another in the same turn.
    pub fn ratio(&self, one: usize, other: usize) -> f64 {
        middle(self.0.iter().filter_map(|times| Some(times.get(one)? / times.get(other)?)))
    }
}

fn middle(all: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Xorshift: enough for bodies that nothing else follows, and the same each time.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Numbers that follow from a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        // Seeds beside each other start alike.
        (0..8).for_each(|_| {
            random.draw();
        });
        random
    }

    /// The next one.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() >> 16) as usize % end.max(1)
    }

    /// One from 0 to 1.
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of this likelihood happens.
    pub fn is(&mut self, likelihood: f64) -> bool {
        self.unit() < likelihood
    }

    /// One of several.
    pub fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}
