//! Rounding that keeps the order of a row, which is best, and the sum of probabilities.

use super::rank::{best, value};
use super::row::Kind;

/// Rounds a row to so many decimals.
pub(super) fn round(row: &mut [f64], kind: Kind, ranked: &[usize], decimals: u8) {
    let unit = 10_f64.powi(i32::from(decimals));
    if kind == Kind::Distribution {
        return round_parts(row, ranked, unit);
    }
    let Some(top) = ranked.first().copied() else { return };
    row.iter_mut().for_each(|value| *value = round_one(*value, unit));
    let level = value(row, top);
    let raised = round_one(level + 1.0 / unit, unit);
    if best(row) == top {
        return;
    }
    if kind == Kind::Shares && raised > 1.0 {
        let others = row.iter_mut().enumerate().filter(|(at, value)| *at != top && **value >= level);
        others.for_each(|(_, value)| *value = round_one(level - 1.0 / unit, unit));
    } else if let Some(value) = row.get_mut(top) {
        *value = raised;
    }
}

fn round_one(value: f64, unit: f64) -> f64 {
    let scaled = value * unit;
    // What is so large has no decimals.
    if scaled.abs() < 2_f64.powi(52) { scaled.round() / unit + 0.0 } else { value }
}

/// The method of largest remainders: every value becomes one of the two beside it, and the sum stays. Of equal values
/// at most one group differs, by one unit, when what is left does not suffice for all of it.
fn round_parts(row: &mut [f64], ranked: &[usize], unit: f64) {
    let scaled: Vec<f64> = row.iter().map(|value| value * unit).collect();
    let mut units: Vec<f64> = scaled.iter().map(|scaled| scaled.floor()).collect();
    let missing = (scaled.iter().sum::<f64>().round() - units.iter().sum::<f64>()).max(0.0);
    let remainder = |at: &usize| value(&scaled, *at) - value(&units, *at);
    let mut by_remainder = ranked.to_vec();
    by_remainder.sort_by(|a, b| remainder(b).total_cmp(&remainder(a)));
    for at in by_remainder.into_iter().take(missing as usize) {
        if let Some(units) = units.get_mut(at) {
            *units += 1.0;
        }
    }
    part_the_best(&mut units, ranked);
    row.iter_mut().zip(units).for_each(|(value, units)| *value = units / unit);
}

/// When one before the best has come up to it, the best takes a unit from the last of those that are level with it,
/// so that neither the sum nor the order changes.
fn part_the_best(units: &mut [f64], ranked: &[usize]) {
    let Some(top) = ranked.first() else { return };
    let level = value(units, *top);
    if best(units) == *top {
        return;
    }
    let last = ranked.iter().take_while(|at| value(units, **at) >= level).last().unwrap_or(top);
    for (at, change) in [(*last, -1.0), (*top, 1.0)] {
        if let Some(units) = units.get_mut(at) {
            *units += change;
        }
    }
}
