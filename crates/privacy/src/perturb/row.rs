//! What a row of scores is, and the two forms that keep only the best of it.

use super::rank::{best, value};

/// How far from 1 the sum of probabilities may be: what rounding to 16 bits leaves of a thousand of them.
const SUM_TOLERANCE: f64 = 1e-3;

/// What the values of a row are, as far as the row tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Probabilities of classes: none below 0, together 1.
    Distribution,
    /// Each is a probability of its own: from 0 to 1.
    Shares,
    /// Logits, log-probabilities, distances, what else.
    Values,
}

impl Kind {
    pub(super) fn of(row: &[f64]) -> Self {
        let sum: f64 = row.iter().sum();
        if row.iter().any(|value| *value < 0.0) {
            Self::Values
        } else if (sum - 1.0).abs() <= SUM_TOLERANCE {
            Self::Distribution
        } else if row.iter().all(|value| *value <= 1.0) {
            Self::Shares
        } else {
            Self::Values
        }
    }
}

/// 1 for the best and 0 for the others. One value alone is a yes or a no: 1 from one half on.
pub(super) fn label(row: &mut [f64]) {
    if let [one] = row {
        *one = if *one >= 0.5 { 1.0 } else { 0.0 };
        return;
    }
    let best = best(row);
    row.iter_mut().enumerate().for_each(|(at, value)| *value = if at == best { 1.0 } else { 0.0 });
}

/// Keeps the best `count`. The others become 0, or one less than the least that is kept where that is not above 0:
/// they stay behind it. Probabilities of classes grow so that their sum stays.
pub(super) fn keep_best(row: &mut [f64], kind: Kind, ranked: &[usize], count: usize) {
    if count >= row.len() {
        return;
    }
    let (kept, others) = ranked.split_at_checked(count).unwrap_or_default();
    let least = kept.last().map_or(0.0, |at| value(row, *at));
    let rest =
        if kind == Kind::Values && least <= 0.0 { (least - 1.0).min(least.next_down()).max(f64::MIN) } else { 0.0 };
    let sum: f64 = row.iter().sum();
    for at in others {
        if let Some(value) = row.get_mut(*at) {
            *value = rest;
        }
    }
    let kept: f64 = row.iter().sum();
    if kind == Kind::Distribution && kept > 0.0 {
        row.iter_mut().for_each(|value| *value *= sum / kept);
    }
}
