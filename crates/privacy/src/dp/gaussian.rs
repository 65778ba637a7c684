//! Discrete Gaussian noise.

use std::num::{NonZeroU32, NonZeroU64, NonZeroU128};

use super::exact::{Ratio, TWO, is_exp};
use super::laplace;
use super::random::Randomness;
use super::rho::{Rho, TooMuchNoise};

/// Bits of the variance's numerator: its square, and what the tails make of it, fit into 128.
const MOST_BITS: u32 = 56;
/// Most bits of the variance behind the point.
const FRACTION_BITS: u32 = 20;

/// Integers with a probability proportional to `exp(-x^2 / (2 variance))`: `sensitivity^2 / (2 variance)` of zCDP for
/// integers of that sensitivity in L2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscreteGaussian {
    numerator: NonZeroU64,
    fraction_bits: u32,
    rho: Rho,
}

impl DiscreteGaussian {
    /// As much noise as `rho` asks for this sensitivity in L2, in steps of the grid. The variance is rounded up to a
    /// multiple of a power of two, at least 2^-20.
    ///
    /// # Errors
    /// [`TooMuchNoise`], if the standard deviation would be above 2.6e8, or `rho` is nothing.
    pub fn new(sensitivity: NonZeroU32, rho: Rho) -> Result<Self, TooMuchNoise> {
        let square = u128::from(sensitivity.get()).pow(2);
        let twice = NonZeroU128::new(u128::from(rho.as_nano()) * 2).ok_or(TooMuchNoise)?;
        let with_bits = |bits: u32| ((square * 1_000_000_000) << bits).div_ceil(twice.get());
        let is_small = |bits: &u32| with_bits(*bits) < 1 << MOST_BITS;
        let fraction_bits = (0..=FRACTION_BITS).rev().find(is_small).ok_or(TooMuchNoise)?;
        let numerator = u64::try_from(with_bits(fraction_bits)).ok().and_then(NonZeroU64::new).ok_or(TooMuchNoise)?;
        Ok(Self { numerator, fraction_bits, rho })
    }

    /// What a release costs, however many numbers share the sensitivity.
    pub const fn rho(&self) -> Rho {
        self.rho
    }

    /// The variance, as a numerator and a denominator.
    pub const fn variance(&self) -> (u64, u64) {
        (self.numerator.get(), 1 << self.fraction_bits)
    }

    /// Noise for one number (algorithm 3). Takes half a microsecond to one.
    pub fn noise(&self, random: &mut Randomness) -> i64 {
        let (numerator, denominator) = (NonZeroU128::from(self.numerator), TWO.saturating_pow(self.fraction_bits));
        let scale = NonZeroU128::MIN.saturating_add((numerator.get() / denominator).isqrt());
        // Below 2^116.
        let by = [denominator, scale, scale, TWO].into_iter().fold(numerator, NonZeroU128::saturating_mul);
        loop {
            let drawn = laplace::sample(random, scale, NonZeroU128::MIN);
            // (|x| - variance / scale)^2 / (2 variance), times the square of scale and denominator.
            let far = u128::from(drawn.unsigned_abs()).checked_mul(scale.get() * denominator.get());
            let square = far.and_then(|far| far.abs_diff(numerator.get()).checked_pow(2));
            // What does not fit is beyond 64 scales, and is never accepted: exp(-2000) is not.
            if square.is_some_and(|square| is_exp(random, Ratio(square, by))) {
                return drawn;
            }
        }
    }
}
