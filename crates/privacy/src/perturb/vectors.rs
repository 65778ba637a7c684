//! What happens to an embedding: noise or fewer digits, and its length stays.

use super::noise::{Noise, largest};
use super::{Input, MOST_DECIMALS, NotFinite, PerturbError, refuse_infinite};
use crate::secret::PrivacySecret;

/// As much noise as vector: more leaves nothing.
const MOST_NOISE: f64 = 1.0;

/// What is told of a vector. Its norm stays, so that a unit vector is one within 1e-6.
#[derive(Debug, Clone)]
pub struct PerturbVectors(Form);

#[derive(Debug, Clone)]
enum Form {
    Decimals(u8),
    Smooth(f64, Noise),
}

impl PerturbVectors {
    /// Rounds to so many decimals (0 to 3) of the largest coordinate, which is never rounded away.
    ///
    /// # Errors
    /// [`PerturbError::Decimals`] for more.
    pub fn decimals(decimals: u8) -> Result<Self, PerturbError> {
        if decimals > MOST_DECIMALS {
            return Err(PerturbError::Decimals { decimals, most: MOST_DECIMALS });
        }
        Ok(Self(Form::Decimals(decimals)))
    }

    /// Adds noise whose norm is about `strength` (above 0, at most 1) times that of the vector. It is one function of
    /// secret, model and input, as that of [`PerturbBuilder::smooth`](super::PerturbBuilder::smooth).
    ///
    /// # Errors
    /// [`PerturbError::Strength`], or [`PerturbError::NoModel`] when `model` is empty.
    pub fn smooth(strength: f64, secret: &PrivacySecret, model: &str) -> Result<Self, PerturbError> {
        Ok(Self(Form::Smooth(strength, super::noise(strength, MOST_NOISE, secret, model)?)))
    }

    /// Changes one vector. `input` is what it was answered for. Zeros stay zeros. Linear but for the noise, which costs
    /// what it costs [`Perturb`](super::Perturb).
    ///
    /// # Errors
    /// [`NotFinite`] for a vector with an infinity or what is no number. It is all zeros then.
    pub fn vector(&self, input: Input<'_>, vector: &mut [f64]) -> Result<(), NotFinite> {
        refuse_infinite(vector)?;
        let largest = largest(vector);
        if largest == 0.0 {
            return Ok(());
        }
        // From -1 to 1, so that no square overflows or vanishes.
        let mut changed: Vec<f64> = vector.iter().map(|value| value / largest).collect();
        let before = norm(&changed);
        match &self.0 {
            Form::Decimals(decimals) => {
                let unit = 10_f64.powi(i32::from(*decimals));
                changed.iter_mut().for_each(|value| *value = (*value * unit).round() / unit + 0.0);
            }
            Form::Smooth(strength, noise) => {
                let scale = strength * before / (vector.len() as f64).sqrt();
                let noise = noise.of(input, vector.len());
                changed.iter_mut().zip(noise).for_each(|(value, noise)| *value += scale * noise);
            }
        }
        let after = norm(&changed);
        // Noise that takes the whole vector away has no chance to happen; the zeros it leaves are finite.
        let scale = if after > 0.0 { before / after } else { 0.0 };
        let all = vector.iter_mut().zip(changed);
        all.for_each(|(value, changed)| *value = (changed * scale * largest).clamp(f64::MIN, f64::MAX));
        Ok(())
    }
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}
