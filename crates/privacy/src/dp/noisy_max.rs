//! The best of several, almost.

use std::num::{NonZeroU32, NonZeroU128};

use super::exact::{Ratio, TWO, below, is_exp};
use super::random::Randomness;
use super::rho::{Epsilon, Rho};

/// The exponential mechanism (McSherry and Talwar, 2007): one of several places, with a probability
/// proportional to `exp(epsilon score / (2 sensitivity))`, where one individual changes each score by at most
/// `sensitivity`. It is `epsilon`-differentially private and costs `epsilon^2 / 8` of zCDP (Cesar and Rogers,
/// "Bounding, Concentrating, and Truncating", 2021).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoisyMax {
    sensitivity: NonZeroU32,
    epsilon: Epsilon,
}

impl NoisyMax {
    /// For this sensitivity of each score.
    pub const fn new(sensitivity: NonZeroU32, epsilon: Epsilon) -> Self {
        Self { sensitivity, epsilon }
    }

    /// What a choice costs.
    pub fn rho(&self) -> Rho {
        Rho::of_bounded_range(self.epsilon)
    }

    /// A place; none of no scores. A place that is drawn evenly is taken or drawn again, so it takes up to as many
    /// draws as there are scores on average.
    pub fn choose(&self, scores: &[i64], random: &mut Randomness) -> Option<usize> {
        let best = scores.iter().max()?;
        let count = NonZeroU128::new(scores.len() as u128)?;
        let by = NonZeroU128::from(self.sensitivity).saturating_mul(Epsilon::ONE_AS_MICRO).saturating_mul(TWO);
        loop {
            let place = below(random, count) as usize;
            let worse = scores.get(place).map(|score| u128::from(best.abs_diff(*score)));
            let worse = worse.map(|worse| worse * u128::from(self.epsilon.as_micro().get()));
            if worse.is_some_and(|worse| is_exp(random, Ratio(worse, by))) {
                return Some(place);
            }
        }
    }
}
