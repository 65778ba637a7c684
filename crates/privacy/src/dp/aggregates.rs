//! Numbers that are released with noise.

use std::num::NonZeroU32;

use super::clipped::Clipped;
use super::gaussian::DiscreteGaussian;
use super::laplace::DiscreteLaplace;
use super::random::Randomness;
use super::release::{Mechanism, Receipt, Release, ReleaseError};
use super::rho::{Epsilon, Rho, TooMuchNoise};

/// So many numbers, each clipped, released together with noise for all that one individual can change of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aggregates {
    clipped: Clipped,
    count: NonZeroU32,
    noise: Noise,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Noise {
    Laplace(DiscreteLaplace),
    Gaussian(DiscreteGaussian),
}

impl Aggregates {
    /// `count` numbers with discrete Gaussian noise that cost `rho` together. One individual may change all of them
    /// from end to end of the range, so the sensitivity is its width times the root of `count`, rounded up.
    ///
    /// # Errors
    /// [`TooMuchNoise`].
    pub fn gaussian(clipped: Clipped, count: NonZeroU32, rho: Rho) -> Result<Self, TooMuchNoise> {
        let width = u128::from(clipped.width().get());
        let square = width * width * u128::from(count.get());
        let root = square.isqrt();
        let sensitivity = if root * root < square { root + 1 } else { root };
        let sensitivity = u32::try_from(sensitivity).ok().and_then(NonZeroU32::new).ok_or(TooMuchNoise)?;
        Self::danger_gaussian(clipped, count, sensitivity, rho)
    }

    /// The same with the sensitivity in L2 that the operator states, in steps of the grid: smaller than what clipping
    /// enforces, where it is known how the numbers are made. If it is wrong, so is everything that is claimed.
    ///
    /// # Errors
    /// [`TooMuchNoise`].
    pub fn danger_gaussian(
        clipped: Clipped,
        count: NonZeroU32,
        sensitivity: NonZeroU32,
        rho: Rho,
    ) -> Result<Self, TooMuchNoise> {
        Ok(Self { clipped, count, noise: Noise::Gaussian(DiscreteGaussian::new(sensitivity, rho)?) })
    }

    /// `count` numbers with discrete Laplace noise, `epsilon`-differentially private together: the sensitivity is the
    /// width of the range times `count`.
    ///
    /// # Errors
    /// [`TooMuchNoise`].
    pub fn laplace(clipped: Clipped, count: NonZeroU32, epsilon: Epsilon) -> Result<Self, TooMuchNoise> {
        let sensitivity = clipped.width().checked_mul(count).ok_or(TooMuchNoise)?;
        Ok(Self { clipped, count, noise: Noise::Laplace(DiscreteLaplace::new(sensitivity, epsilon)) })
    }

    /// How many numbers are released together.
    pub const fn count(&self) -> NonZeroU32 {
        self.count
    }

    /// What a release costs: what to reserve.
    pub fn rho(&self) -> Rho {
        match &self.noise {
            Noise::Laplace(laplace) => laplace.rho(),
            Noise::Gaussian(gaussian) => gaussian.rho(),
        }
    }

    /// Clips the numbers and adds noise.
    ///
    /// # Errors
    /// [`ReleaseError::Count`], [`ReleaseError::Underpaid`].
    pub fn release(
        &self,
        numbers: &[f64],
        receipt: Receipt,
        random: &mut Randomness,
    ) -> Result<Release<Vec<f64>>, ReleaseError> {
        if u32::try_from(numbers.len()) != Ok(self.count.get()) {
            return Err(ReleaseError::Count);
        }
        let (mechanism, mut noise): (_, Box<dyn FnMut() -> i64>) = match &self.noise {
            Noise::Laplace(laplace) => (Mechanism::DiscreteLaplace, Box::new(|| laplace.noise(random))),
            Noise::Gaussian(gaussian) => (Mechanism::DiscreteGaussian, Box::new(|| gaussian.noise(random))),
        };
        Release::paid(mechanism, self.rho(), receipt, || {
            let noisy = |number: &f64| self.clipped.grid().number(self.clipped.steps(*number).saturating_add(noise()));
            numbers.iter().map(noisy).collect()
        })
    }
}
