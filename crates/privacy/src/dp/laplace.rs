//! Discrete Laplace noise.

use std::num::{NonZeroU32, NonZeroU128};

use super::exact::{Ratio, below, coin, is_exp};
use super::random::Randomness;
use super::rho::{Epsilon, Rho};

/// Integers with a probability proportional to `exp(-epsilon |x| / sensitivity)`: `epsilon`-differential
/// privacy for integers of that sensitivity in L1, and so `epsilon^2 / 2` of zCDP (Bun and Steinke, 2016).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscreteLaplace {
    sensitivity: NonZeroU32,
    epsilon: Epsilon,
}

impl DiscreteLaplace {
    /// For this sensitivity in L1, in steps of the grid.
    pub const fn new(sensitivity: NonZeroU32, epsilon: Epsilon) -> Self {
        Self { sensitivity, epsilon }
    }

    /// What a release costs, however many numbers share the sensitivity.
    pub fn rho(&self) -> Rho {
        Rho::of_pure(self.epsilon)
    }

    /// Noise for one number. Takes less than half a microsecond.
    pub fn noise(&self, random: &mut Randomness) -> i64 {
        // Widened without loss: both are at most 2^52.
        let scale = NonZeroU128::from(self.sensitivity).saturating_mul(Epsilon::ONE_AS_MICRO);
        sample(random, scale, NonZeroU128::from(self.epsilon.as_micro()))
    }
}

/// With the scale `up / down` (algorithm 2). What is beyond an i64 is its end, which never happens.
pub(super) fn sample(random: &mut Randomness, up: NonZeroU128, down: NonZeroU128) -> i64 {
    loop {
        let part = below(random, up);
        if !is_exp(random, Ratio(part, up)) {
            continue;
        }
        let mut drawn = part;
        while is_exp(random, Ratio(1, NonZeroU128::MIN)) {
            drawn = drawn.saturating_add(up.get());
        }
        let size = i64::try_from(drawn / down).unwrap_or(i64::MAX);
        // Zero has one sign only.
        match (coin(random), size) {
            (true, 0) => {}
            (true, size) => return -size,
            (false, size) => return size,
        }
    }
}
