//! Two who copy a model from its answers, and a third for smooth noise. A defence that was tried on one of them only looks better than it is.

use nalgebra::DMatrix;

use crate::logistic::{Logistic, best, with_one};

/// A model behind a defence: the probabilities for each row of inputs, as a caller gets them.
pub type Ask<'a> = &'a dyn Fn(&DMatrix<f64>) -> DMatrix<f64>;

/// How much regularity an attacker expects of the model. The last is what libraries have by default; the best of all
/// counts for one who tunes, as if he knew.
const RIDGES: [f64; 3] = [1e-3, 0.03, 1.0];

/// How well a copy does on what was held out, and on Gaussian inputs, where easy data does not help.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fidelity {
    /// Agreement on digits held out.
    pub held_out: f64,
    /// Agreement on Gaussian inputs.
    pub gaussian: f64,
}

impl Fidelity {
    /// The better of each.
    pub fn or(self, other: Self) -> Self {
        let Self { held_out, gaussian } = other;
        Self { held_out: self.held_out.max(held_out), gaussian: self.gaussian.max(gaussian) }
    }

    /// The mean of many.
    pub fn mean(all: &[Self]) -> Self {
        let mean = |part: fn(&Self) -> f64| all.iter().map(part).sum::<f64>() / all.len() as f64;
        Self { held_out: mean(|one| one.held_out), gaussian: mean(|one| one.gaussian) }
    }
}

impl std::fmt::Display for Fidelity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3}/{:.3}", self.held_out, self.gaussian)
    }
}

/// The copies that both attackers make of what they were told. Tuned, each tries all he knows.
pub fn copies(inputs: &DMatrix<f64>, told: &DMatrix<f64>, tuned: bool) -> Vec<Logistic> {
    let ridges = if tuned { &RIDGES[..] } else { &RIDGES[2..] };
    let both = |ridge: &f64| [Logistic::fit(inputs, told, *ridge), equations(inputs, told, *ridge)];
    ridges.iter().flat_map(both).collect()
}

/// Logarithms of probabilities are linear in the input but for what all classes of a row share.
fn equations(inputs: &DMatrix<f64>, told: &DMatrix<f64>, ridge: f64) -> Logistic {
    Logistic { weights: solve(&with_one(inputs), &logits(told), ridge * 1e-3) }
}

/// A third one, against smooth noise: it cancels in differences of answers beside each other. Asks for each base and
/// for one step in each direction from it.
pub fn differences(ask: Ask<'_>, bases: &DMatrix<f64>, step: f64) -> Logistic {
    let (features, mut moves, mut turns) = (bases.ncols(), Vec::new(), Vec::new());
    let at_bases = logits(&ask(bases));
    for (base, at_base) in bases.row_iter().zip(at_bases.row_iter()) {
        let moved = DMatrix::from_fn(features, features, |row, at| base[at] + if row == at { step } else { 0.0 });
        let told = logits(&ask(&moved));
        moves.extend(DMatrix::identity(features, features).row_iter().map(|row| row * step));
        turns.extend(told.row_iter().map(|row| row - at_base));
    }
    let weights = solve(&DMatrix::from_rows(&moves), &DMatrix::from_rows(&turns), 1e-9);
    let added = (&at_bases - bases * &weights).row_mean();
    let mut weights = weights.insert_row(features, 0.0);
    weights.row_mut(features).copy_from(&added);
    Logistic { weights }
}

/// Logarithms, with mean 0 in each row; what was rounded away is taken for half of the least.
fn logits(told: &DMatrix<f64>) -> DMatrix<f64> {
    let least = told.iter().copied().filter(|value| *value > 0.0).fold(1.0, f64::min);
    let mut logits = told.map(|value| value.max(least / 2.0).ln());
    for mut row in logits.row_iter_mut() {
        let mean = row.mean();
        row.add_scalar_mut(-mean);
    }
    logits
}

/// Least squares.
fn solve(inputs: &DMatrix<f64>, outputs: &DMatrix<f64>, ridge: f64) -> DMatrix<f64> {
    let square = inputs.tr_mul(inputs) + DMatrix::identity(inputs.ncols(), inputs.ncols()) * ridge;
    square.cholesky().unwrap().solve(&inputs.tr_mul(outputs))
}

/// How often two answers have the same best class.
pub fn agreement(one: &[usize], other: &[usize]) -> f64 {
    one.iter().zip(other).filter(|(one, other)| one == other).count() as f64 / one.len() as f64
}

/// The best class of each answer.
pub fn tops(answers: &DMatrix<f64>) -> Vec<usize> {
    answers.row_iter().map(|row| best(row.iter())).collect()
}
