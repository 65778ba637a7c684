//! How long the score takes.

use std::hint::black_box;
use std::time::Instant;

use sanitize::{Normalized, Score};

use crate::lab::corpus::Row;

/// How long a text is, in bytes.
const TEXT: usize = 4096;
/// How many texts are made of the rows.
const TEXTS: usize = 200;
/// How many times each is scored.
const ROUNDS: usize = 5;

/// Microseconds for 4 KiB of honest text: the score of a text that other detectors had normalized, and all of it with
/// normalizing. Medians of a thousand.
pub(crate) fn medians(rows: &[Row], score: &Score) -> (f64, f64) {
    let mut joined = String::new();
    for row in rows.iter().filter(|row| !row.is_attack()) {
        joined.push_str(&row.text);
        joined.push('\n');
    }
    let (mut scored, mut all) = (Vec::new(), Vec::new());
    let step = (joined.len() / TEXTS).max(1);
    for at in (0..joined.len().saturating_sub(TEXT)).step_by(step) {
        let start = joined.floor_char_boundary(at);
        let Some(text) = joined.get(start..joined.floor_char_boundary(start + TEXT)) else { continue };
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let text = Normalized::new(text);
            black_box(text.views());
            let normalized = Instant::now();
            black_box(score.value(&text));
            scored.push(normalized.elapsed().as_secs_f64() * 1e6);
            all.push(begun.elapsed().as_secs_f64() * 1e6);
        }
    }
    (median(scored), median(all))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::INFINITY)
}
