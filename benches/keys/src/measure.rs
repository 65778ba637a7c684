//! Times and what is made of them: quantiles, Welch's t, and the random numbers that order the work.

use std::time::Duration;

/// Nanoseconds of single calls, up to a bound.
#[derive(Clone)]
pub(crate) struct Times(Vec<u32>);

impl Times {
    /// All of its memory is taken now, so that measuring grows nothing.
    pub(crate) fn new(most: usize) -> Self {
        let mut nanos = vec![1; most];
        nanos.clear();
        Self(nanos)
    }

    pub(crate) fn push(&mut self, took: Duration) {
        if self.0.len() < self.0.capacity() {
            self.0.push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.len() == self.0.capacity()
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Nanoseconds at this share of the sorted times.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let mut nanos = self.0.clone();
        let place = ((nanos.len() as f64 * share) as usize).min(nanos.len().saturating_sub(1));
        if nanos.is_empty() {
            return f64::NAN;
        }
        let (_, found, _) = nanos.select_nth_unstable(place);
        f64::from(*found)
    }

    /// All that is at most `most` nanoseconds.
    pub(crate) fn up_to(&self, most: f64) -> Vec<f64> {
        self.0.iter().map(|nanos| f64::from(*nanos)).filter(|nanos| *nanos <= most).collect()
    }

    /// The mean of each `turns`th of them, of what is at most `most` nanoseconds.
    pub(crate) fn means(&self, turns: usize, most: f64) -> Vec<f64> {
        let each = |turn| self.0.iter().skip(turn).step_by(turns).map(|nanos| f64::from(*nanos));
        (0..turns).map(|turn| mean(&each(turn).filter(|nanos| *nanos <= most).collect::<Vec<_>>())).collect()
    }

    pub(crate) fn mean(&self) -> f64 {
        mean(&self.up_to(f64::INFINITY))
    }
}

fn mean(all: &[f64]) -> f64 {
    all.iter().sum::<f64>() / all.len() as f64
}

/// Welch's t, without its sign: by how many standard errors two means differ.
pub(crate) fn welch(one: &[f64], other: &[f64]) -> f64 {
    // The square of the standard error of the mean.
    let error = |all: &[f64]| {
        let (mean, count) = (mean(all), all.len() as f64);
        all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0) / count
    };
    (mean(one) - mean(other)).abs() / (error(one) + error(other)).sqrt()
}

pub(crate) fn middle(ratios: impl IntoIterator<Item = f64>) -> f64 {
    let mut ratios: Vec<f64> = ratios.into_iter().collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Xorshift: enough for an order that nothing else follows.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end.max(1)
    }

    pub(crate) fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for end in (1..all.len()).rev() {
            all.swap(end, self.below(end + 1));
        }
    }
}
