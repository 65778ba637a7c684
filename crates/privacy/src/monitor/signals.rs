//! The four figures of a principal, and the bands in which those of honest ones lie.

use super::suspicion::{Reason, Suspicion};
use super::tally::{Counts, Kept, RANKS};

/// Figures of fewer queries say nothing.
pub(super) const LEAST: usize = 32;
/// Bands for 32, 64, 128 and 256 queries: of more queries the figures vary less.
pub(super) const LEVELS: usize = 4;
pub(super) const SIGNALS: usize = 4;
/// A band is as many standard deviations wide, to each side.
const WIDTH: f64 = 5.0;

/// A figure, and how many queries it is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signal {
    pub(super) value: f64,
    of: usize,
}

impl Signal {
    fn new(value: f64, of: usize) -> Option<Self> {
        (of >= LEAST).then_some(Self { value, of })
    }

    fn share(part: u32, of: u32) -> Option<Self> {
        Self::new(f64::from(part) / f64::from(of.max(1)), of as usize)
    }

    pub(super) fn level(&self) -> usize {
        ((self.of / LEAST).max(1).ilog2() as usize).min(LEVELS - 1)
    }
}

/// Distances, coverage, boundary, repeats. A cell is a number below 256 for the part of the space that a point is in.
pub(super) fn signals(kept: &Kept, cells: &[u8], counts: &Counts) -> [Option<Signal>; SIGNALS] {
    let mut distinct = cells.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let points = kept.points.len();
    [
        Signal::new(unevenness(counts), counts.ranked() as usize),
        Signal::new(distinct.len() as f64 / points.max(1) as f64, points),
        Signal::share(counts.close, counts.close + counts.clear),
        Signal::share(counts.repeats, counts.repeats + counts.ranked()),
    ]
}

/// How much of the distances would have to move for all ranks to be as frequent as among honest queries: 0 to 1.
fn unevenness(counts: &Counts) -> f64 {
    let share = f64::from(counts.ranked().max(1));
    counts.ranks.iter().map(|count| (f64::from(*count) / share - 1.0 / RANKS as f64).abs()).sum::<f64>() / 2.0
}

/// Whether the distances are small or large, when it is they that differ.
fn direction(counts: &Counts) -> Reason {
    let ranked = f64::from(counts.ranked().max(1));
    let sum: f64 = counts.ranks.iter().enumerate().map(|(rank, count)| rank as f64 * f64::from(*count)).sum();
    let middle = sum / ranked / (RANKS - 1) as f64;
    match middle {
        ..0.4 => Reason::Near,
        0.6.. => Reason::Far,
        _ => Reason::Uneven,
    }
}

/// Where a figure of honest principals lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Band {
    pub(super) middle: f64,
    pub(super) half_width: f64,
}

impl Band {
    /// Of the figures of many principals, each of `of` queries. It allows for what a share of so many queries varies by
    /// itself, so that it is never empty.
    pub(super) fn of(figures: &[f64], of: usize) -> Self {
        let count = figures.len().max(1) as f64;
        let middle = figures.iter().sum::<f64>() / count;
        let variance = figures.iter().map(|figure| (figure - middle).powi(2)).sum::<f64>() / count;
        Self { middle, half_width: WIDTH * (variance + 0.25 / of as f64).sqrt() }
    }
}

/// Of all figures, that which is furthest out of its band.
pub(super) fn judge(
    signals: &[Option<Signal>; SIGNALS],
    bands: &[[Option<Band>; LEVELS]; SIGNALS],
    counts: &Counts,
) -> Suspicion {
    let reasons = [direction(counts), Reason::Coverage, Reason::Boundary, Reason::Repeats];
    let all = signals.iter().zip(bands).zip(reasons).filter_map(|((signal, bands), reason)| {
        let signal = signal.as_ref()?;
        // The band of the highest level that was learnt.
        let band = bands.iter().take(signal.level() + 1).rev().find_map(Option::as_ref)?;
        let out = signal.value - band.middle;
        // Fewer repeats, and a distribution more even than usual, are nothing to suspect.
        let one_sided = !matches!(reason, Reason::Coverage | Reason::Boundary);
        let out = if one_sided { out.max(0.0) } else { out.abs() };
        Some(Suspicion::new(out / band.half_width, reason))
    });
    all.max_by(|a, b| a.value().total_cmp(&b.value())).unwrap_or(Suspicion::NONE)
}
