//! Noise on a row of scores: on the logits, and the best stays the best.
//!
//! The order of the others does not stay. It tells more than their values: with it a linear model was copied to 0.80 by
//! 130 answers, without to 0.73.

use super::rank::{best, put_back, value};
use super::row::Kind;

/// How far logits lie from their mean, in the mean, up to which the noise has the strength that was set. It grows with
/// what is more: else inputs ten times as large had logits beside which it is nothing.
const SPREAD: f64 = 2.0;

/// Adds noise to the logarithms of probabilities, to the log-odds of shares, or to the values as they are. Returns the
/// new order.
pub(super) fn blur(row: &mut [f64], kind: Kind, ranked: &[usize], noise: &[f64]) -> Vec<usize> {
    let noisy: Vec<f64> = match kind {
        Kind::Distribution => blur_parts(row, noise),
        Kind::Shares => row.iter().zip(noise).map(|(share, noise)| blur_share(*share, *noise)).collect(),
        Kind::Values => {
            let growth = growth(row);
            let noisy = row.iter().zip(noise).map(|(value, noise)| value + growth * noise);
            noisy.map(|value| value.clamp(f64::MIN, f64::MAX)).collect()
        }
    };
    let ranked = put_back(row, ranked, &noisy);
    let Some(top) = ranked.first().copied().filter(|top| *top != best(row)) else { return ranked };
    // Noise, or what precision is left, made one before the best equal to it.
    let level = value(row, top);
    if kind == Kind::Values && level < f64::MAX {
        row.get_mut(top).into_iter().for_each(|value| *value = level.next_up());
    } else {
        let others = row.iter_mut().enumerate().filter(|(at, value)| *at != top && **value >= level);
        others.for_each(|(_, value)| *value = level.next_down());
    }
    ranked
}

/// What is 0 stays 0, and the sum stays.
fn blur_parts(row: &[f64], noise: &[f64]) -> Vec<f64> {
    let mut logits: Vec<f64> = row.iter().map(|part| part.ln()).collect();
    let growth = growth(&logits);
    logits.iter_mut().zip(noise).for_each(|(logit, noise)| *logit += growth * noise);
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut parts: Vec<f64> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let scale = row.iter().sum::<f64>() / parts.iter().sum::<f64>();
    parts.iter_mut().for_each(|part| *part *= scale);
    parts
}

/// Stays on its side of one half: a threshold there decides as before.
fn blur_share(share: f64, noise: f64) -> f64 {
    let log_odds = (share / (1.0 - share)).ln();
    // This lies as far from 0 as two values from their mean.
    let noisy = log_odds + growth(&[0.0, 2.0 * log_odds]) * noise;
    let magnitude = if log_odds < 0.0 { -noisy.abs() } else { noisy.abs() };
    1.0 / (1.0 + (-magnitude).exp())
}

/// By how much the noise of a row grows; what is infinite does not count.
fn growth(logits: &[f64]) -> f64 {
    let finite = || logits.iter().filter(|logit| logit.is_finite());
    let share = 1.0 / finite().count().max(1) as f64;
    let mean: f64 = finite().map(|logit| logit * share).sum();
    let spread: f64 = finite().map(|logit| (logit - mean).abs() * share).sum();
    (spread / SPREAD).clamp(1.0, f64::MAX)
}
