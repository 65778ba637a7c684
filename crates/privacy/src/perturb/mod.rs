//! Answers that tell less: what happens to a row of scores.

mod error;
mod noise;
mod rank;
mod round;
mod row;
mod smooth;
mod vectors;

pub use error::{NotFinite, PerturbError};
use noise::Noise;
use row::Kind;
pub use vectors::PerturbVectors;

use crate::secret::PrivacySecret;

/// More decimals are hardly a protection: with 3 a linear model of 585 parameters is copied by 130 answers.
const MOST_DECIMALS: u8 = 3;
/// Noise on logits beyond this leaves nothing but the order.
const MOST_NOISE: f64 = 5.0;

/// What an answer was given for: smooth noise depends on it.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The numbers of the input, row-major. What is near gets nearly the same noise, in relation to the norm of the
    /// input: moved by one fifth of its norm, the noise keeps 96 % of its value, by all of it 41 %. Features of very
    /// different size should be standardised: the noise hardly sees the small ones. What is not finite counts as 0.
    Vector(&'a [f64]),
    /// A prompt. White space and case do not count; any other change makes noise that has nothing to do with the one
    /// before, so that near-duplicates must be stopped by a budget of distinct queries.
    Text(&'a str),
}

/// What is told of a row of scores: only which is best, the best few, fewer decimals, or values with smooth noise.
///
/// The best of a row stays the best, and without noise all stay in order. Probabilities of classes
/// (none below 0, sum 1 within 0.001) keep their sum; values from 0 to 1 of another sum (a sigmoid each) stay in that
/// range. Narrow noisy scores to 16 bits only with decimals: the best two might become equal. No form stops a copy;
/// each multiplies the queries that it takes, as the table of the front page shows.
///
/// A row costs O(n log n) for n values. Noise costs two or three Walsh-Hadamard transforms of the next power of two
/// above the input and the row, at least 512 (inputs: at most 4096), and 512 cosines: tens of microseconds. Nothing of
/// it is kept but 4 KiB.
#[derive(Debug, Clone)]
pub struct Perturb(Form);

#[derive(Debug, Clone)]
enum Form {
    Labels,
    Scores { best: Option<usize>, decimals: Option<u8>, smooth: Option<(f64, Noise)> },
}

impl Perturb {
    /// Only which value is best: 1 there and 0 elsewhere, at the first of equal ones. A row of one value becomes 1 from
    /// one half on, and 0 below.
    pub fn labels() -> Self {
        Self(Form::Labels)
    }

    /// Scores that tell less.
    pub fn builder() -> PerturbBuilder {
        PerturbBuilder { best: None, decimals: None, smooth: None }
    }

    /// Changes one row. `input` is what this row was answered for.
    ///
    /// # Errors
    /// [`NotFinite`] for a row with an infinity or what is no number. It is all zeros then.
    pub fn scores(&self, input: Input<'_>, row: &mut [f64]) -> Result<(), NotFinite> {
        refuse_infinite(row)?;
        match &self.0 {
            Form::Labels => row::label(row),
            Form::Scores { best, decimals, smooth } => {
                let (kind, mut ranked) = (Kind::of(row), rank::ranked(row));
                if let Some((strength, noise)) = smooth {
                    let mut noise = noise.of(input, row.len());
                    noise.iter_mut().for_each(|noise| *noise *= strength);
                    ranked = smooth::blur(row, kind, &ranked, &noise);
                }
                if let Some(best) = best {
                    row::keep_best(row, kind, &ranked, *best);
                }
                if let Some(decimals) = decimals {
                    round::round(row, kind, &ranked, *decimals);
                }
            }
        }
        Ok(())
    }
}

/// Settings of [`Perturb`]. All of them together are possible: noise, then the best few, then decimals.
#[derive(Debug)]
#[must_use]
pub struct PerturbBuilder {
    best: Option<usize>,
    decimals: Option<u8>,
    smooth: Option<Result<(f64, Noise), PerturbError>>,
}

impl PerturbBuilder {
    /// Keeps the best `count`. The others become 0, or less than those where those are not above 0; probabilities of
    /// classes are scaled so that their sum stays.
    pub fn top_k(mut self, count: usize) -> Self {
        self.best = Some(count);
        self
    }

    /// Rounds to so many decimals, 0 to 3. Order, best and the sum of probabilities stay, and equal values stay equal
    /// unless the sum demands one unit for some of them. Each value moves by less than one unit, two where the best
    /// would be lost.
    pub fn decimals(mut self, decimals: u8) -> Self {
        self.decimals = Some(decimals);
        self
    }

    /// Adds noise of standard deviation `strength` (above 0, at most 5) to the logits: logarithms of probabilities,
    /// log-odds of single ones, or the values themselves. Where those lie further apart than 2 from their mean, the
    /// noise grows as they do, so that large inputs do not drown it. One value alone that is no probability has noise
    /// of just this strength: choose it for the unit of the value. `model` is the name and version: a new version has
    /// new noise.
    ///
    /// The best stays the best; the order of the others changes with their values, since it tells much.
    ///
    /// It is one function of secret, model and input. Asking again, or asking nearby, does not average it away; neither
    /// do more keys.
    pub fn smooth(mut self, strength: f64, secret: &PrivacySecret, model: &str) -> Self {
        self.smooth = Some(noise(strength, MOST_NOISE, secret, model).map(|noise| (strength, noise)));
        self
    }

    /// The perturbation.
    ///
    /// # Errors
    /// [`PerturbError`] when nothing was set, none is to be kept, the decimals or the strength are out of their range,
    /// or the model has no name.
    pub fn build(self) -> Result<Perturb, PerturbError> {
        let Self { best, decimals, smooth } = self;
        let smooth = smooth.transpose()?;
        if best == Some(0) {
            return Err(PerturbError::KeepsNone);
        }
        if let Some(decimals) = decimals.filter(|decimals| *decimals > MOST_DECIMALS) {
            return Err(PerturbError::Decimals { decimals, most: MOST_DECIMALS });
        }
        if best.is_none() && decimals.is_none() && smooth.is_none() {
            return Err(PerturbError::Nothing);
        }
        Ok(Perturb(Form::Scores { best, decimals, smooth }))
    }
}

fn noise(strength: f64, most: f64, secret: &PrivacySecret, model: &str) -> Result<Noise, PerturbError> {
    if model.is_empty() {
        return Err(PerturbError::NoModel);
    }
    // What is no number is not within.
    let within = strength > 0.0 && strength <= most;
    if within { Ok(Noise::new(secret, model)) } else { Err(PerturbError::Strength { most }) }
}

fn refuse_infinite(row: &mut [f64]) -> Result<(), NotFinite> {
    if row.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    row.fill(0.0);
    Err(NotFinite)
}
