//! Judging without having seen: every sample is scored by a model that learned without its fold.

use std::collections::BTreeMap;
use std::thread;

use sanitize::Calibration;

use super::FOLDS;
use super::corpus::Row;
use super::dataset::{self, Sample};
use super::learn::Settings;

/// The score of every sample by a model that did not see its fold.
pub(crate) fn scores(samples: &[Sample], settings: Settings) -> Vec<f32> {
    let of_fold = |fold: usize| {
        let model = dataset::learn(samples, Some(fold), settings);
        let left_out = samples.iter().enumerate().filter(move |(_, sample)| sample.fold == fold);
        left_out.map(|(index, sample)| (index, model.worst(&sample.bag).1)).collect::<Vec<_>>()
    };
    let mut scores = vec![0.0; samples.len()];
    let folds: Vec<usize> = (0..FOLDS).collect();
    for pair in folds.chunks(2) {
        let scored: Vec<_> = thread::scope(|scope| {
            let of_fold = &of_fold;
            let running: Vec<_> = pair.iter().map(|fold| scope.spawn(move || of_fold(*fold))).collect();
            running.into_iter().filter_map(|one| one.join().ok()).flatten().collect()
        });
        for (index, score) in scored {
            if let Some(slot) = scores.get_mut(index) {
                *slot = score;
            }
        }
    }
    scores
}

/// The least threshold that at most `share` of these honest scores reach.
pub(crate) fn threshold(honest: &[f32], share: f64) -> f32 {
    Calibration::new(honest, share).map_or(f32::NEG_INFINITY, |found| found.threshold())
}

/// Slope and offset that make scores into the logarithm of odds, attacks and honest texts counting
/// the same in all (Platt, "Probabilistic outputs for support vector machines").
pub(crate) fn odds(scored: &[(f32, bool)]) -> (f32, f32) {
    let attacks = scored.iter().filter(|(_, is_attack)| *is_attack).count().max(1) as f64;
    let honest = (scored.len() as f64 - attacks).max(1.0);
    let (mut slope, mut offset) = (1.0_f64, 0.0_f64);
    for _ in 0..400 {
        let (mut down_slope, mut down_offset) = (0.0, 0.0);
        for (score, is_attack) in scored {
            let score = f64::from(*score);
            let (target, weight) = if *is_attack { (1.0, 0.5 / attacks) } else { (0.0, 0.5 / honest) };
            let error = (1.0 / (1.0 + (-(slope * score + offset)).exp()) - target) * weight;
            down_slope += error * score;
            down_offset += error;
        }
        slope -= 0.5 * down_slope;
        offset -= 0.5 * down_offset;
    }
    (slope as f32, offset as f32)
}

/// The threshold for texts of any kind, from scores of texts that the models had not seen: at most 3 in 1000 honest rows
/// reach it, 2 in 100 of any family, as a new source may be like the worst of them, and 3 in 100 of our own honest
/// texts, which are written to be hard.
pub(crate) fn shipped_threshold(rows: &[Row], samples: &[Sample], scores: &[f32]) -> f32 {
    /// Families with fewer texts say too little about their tail.
    const LEAST: usize = 200;
    let (mut all, mut own) = (Vec::new(), Vec::new());
    let mut families: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    for (index, (sample, score)) in samples.iter().zip(scores).enumerate().filter(|(_, (sample, _))| !sample.is_attack)
    {
        if index < rows.len() {
            all.push(*score);
            families.entry(&sample.group).or_default().push(*score);
        } else {
            own.push(*score);
        }
    }
    let of_families = families.values().filter(|honest| honest.len() >= LEAST).map(|honest| threshold(honest, 0.02));
    of_families.chain([threshold(&all, 0.003), threshold(&own, 0.03)]).fold(f32::NEG_INFINITY, f32::max)
}
