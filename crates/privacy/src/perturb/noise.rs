//! Noise that is one smooth function of an input: the same for the same input, nearly the same for one beside it.
//!
//! Random Fourier features (Rahimi and Recht 2007) with the structured directions of Yu et al. 2016 ("Orthogonal
//! Random Features"): sign flips and Walsh-Hadamard transforms in place of a matrix. All signs come from a key, so
//! nothing is kept per model but the key and 512 phases, and long inputs cost no memory that stays.

use std::f64::consts::{SQRT_2, TAU};
use std::fmt;

use zeroize::Zeroizing;

use super::Input;
use crate::secret::PrivacySecret;

const CONTEXT: &str = "portcullis 2026-11 privacy noise of a model";
/// How many cosines the noise is made of.
const FEATURES: usize = 512;
/// Longer inputs are folded, with random signs, to as many places.
const PLACES: usize = 4096;
/// The norm that an input is scaled to, when 1 is the length over which the noise changes. The longer that is, the less
/// do copies of a query average away, and the less do many queries, since a linear model cannot tell noise that is nearly
/// linear from itself; but the more do differences of answers beside each other tell. Here neither tells
/// much more than the other.
const NORM: f64 = 4.0 / 3.0;

/// The noise of one model.
#[derive(Clone)]
pub(crate) struct Noise {
    key: Zeroizing<[u8; 32]>,
    phases: Vec<f64>,
}

impl fmt::Debug for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Noise(..)")
    }
}

/// What the signs and phases are for: no two uses share any.
#[derive(Clone, Copy)]
enum Use {
    Fold,
    Directions(u8),
    Phases,
    Outputs(u8),
    Text,
}

impl Noise {
    pub(crate) fn new(secret: &PrivacySecret, model: &str) -> Self {
        let mut noise = Self { key: secret.of_model(CONTEXT, model), phases: Vec::new() };
        noise.phases = angles(noise.hasher(Use::Phases).finalize_xof());
        noise
    }

    /// `count` values of mean zero and variance one for this input.
    pub(crate) fn of(&self, input: Input<'_>, count: usize) -> Vec<f64> {
        let angles = match input {
            Input::Vector(vector) => self.vector_angles(vector),
            Input::Text(text) => self.text_angles(text),
        };
        let places = count.next_power_of_two().max(FEATURES);
        let mut values: Vec<f64> = angles.iter().map(|angle| SQRT_2 * angle.cos()).collect();
        values.resize(places, 0.0);
        self.mix(Use::Outputs(0), &mut values);
        self.mix(Use::Outputs(1), &mut values);
        let scale = 1.0 / (places as f64 * FEATURES as f64).sqrt();
        values.truncate(count);
        values.iter_mut().for_each(|value| *value *= scale);
        values
    }

    fn vector_angles(&self, vector: &[f64]) -> Vec<f64> {
        let mut values = self.placed(vector);
        (0..3).for_each(|round| self.mix(Use::Directions(round), &mut values));
        let scale = 1.0 / values.len() as f64;
        values.iter().zip(&self.phases).map(|(value, phase)| value * scale + phase).collect()
    }

    /// The input scaled to [`NORM`] behind the logarithm of its norm: else all multiples of an input had the same
    /// noise, and the difference of two answers none.
    fn placed(&self, vector: &[f64]) -> Vec<f64> {
        let mut values = vec![0.0; (vector.len() + 1).next_power_of_two().clamp(FEATURES, PLACES)];
        let largest = largest(vector);
        let relative = |value: &f64| if value.is_finite() { value / largest } else { 0.0 };
        let norm = vector.iter().map(|value| relative(value).powi(2)).sum::<f64>().sqrt();
        if largest > 0.0 {
            let mut all = vec![NORM * (norm.ln() + largest.ln())];
            all.extend(vector.iter().map(|value| relative(value) * NORM / norm));
            let mut signs = self.hasher(Use::Fold).finalize_xof();
            for part in all.chunks_mut(PLACES) {
                flip(&mut signs, part);
                values.iter_mut().zip(part).for_each(|(place, value)| *place += *value);
            }
        }
        values
    }

    /// Texts have no neighbours here: another text has other noise.
    fn text_angles(&self, text: &str) -> Vec<f64> {
        let mut hasher = self.hasher(Use::Text);
        for word in text.split_whitespace() {
            hasher.update(word.to_lowercase().as_bytes()).update(b" ");
        }
        angles(hasher.finalize_xof())
    }

    /// Flips signs and mixes: a random rotation, times the square root of how many they are.
    fn mix(&self, purpose: Use, values: &mut [f64]) {
        flip(&mut self.hasher(purpose).finalize_xof(), values);
        walsh_hadamard(values);
    }

    fn hasher(&self, purpose: Use) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&match purpose {
            Use::Fold => [0, 0],
            Use::Directions(round) => [1, round],
            Use::Phases => [2, 0],
            Use::Outputs(round) => [3, round],
            Use::Text => [4, 0],
        });
        hasher
    }
}

/// The largest magnitude among the finite ones.
pub(crate) fn largest(values: &[f64]) -> f64 {
    values.iter().filter(|value| value.is_finite()).fold(0.0, |largest, value| value.abs().max(largest))
}

/// Changes the sign of a random half.
fn flip(bits: &mut blake3::OutputReader, values: &mut [f64]) {
    let mut bytes = vec![0; values.len().div_ceil(8)];
    bits.fill(&mut bytes);
    for (eight, byte) in values.chunks_mut(8).zip(bytes) {
        let flipped = eight.iter_mut().enumerate().filter(|(at, _)| byte >> at & 1 == 1);
        flipped.for_each(|(_, value)| *value = -*value);
    }
}

fn angles(mut bytes: blake3::OutputReader) -> Vec<f64> {
    let mut drawn = vec![[0_u8; 4]; FEATURES];
    bytes.fill(drawn.as_flattened_mut());
    drawn.into_iter().map(|bytes| f64::from(u32::from_le_bytes(bytes)) / 2_f64.powi(32) * TAU).collect()
}

/// In place, not normalised; the length is a power of two.
fn walsh_hadamard(values: &mut [f64]) {
    let mut half = 1;
    while half < values.len() {
        for both in values.chunks_exact_mut(half * 2) {
            let (low, high) = both.split_at_mut(half);
            low.iter_mut().zip(high).for_each(|(a, b)| (*a, *b) = (*a + *b, *a - *b));
        }
        half *= 2;
    }
}
