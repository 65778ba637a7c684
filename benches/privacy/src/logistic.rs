//! A logistic model of several classes, and how it learns from labels or probabilities: L-BFGS (Nocedal 1980).

use std::collections::VecDeque;

use nalgebra::{DMatrix, DVector};

/// Pairs of steps that the curvature is estimated from.
const MEMORY: usize = 10;
const STEPS: usize = 300;

/// Logits are linear in the input.
#[derive(Clone)]
pub struct Logistic {
    /// A row for each feature, a column for each class; the last row is added to all.
    pub weights: DMatrix<f64>,
}

impl Logistic {
    /// Fits probabilities (or 1 at the label), a row for each input. The square of the weights, but not of what is
    /// added, counts `ridge / 2`.
    pub fn fit(inputs: &DMatrix<f64>, told: &DMatrix<f64>, ridge: f64) -> Self {
        let inputs = with_one(inputs);
        let shape = (inputs.ncols(), told.ncols());
        let weights = minimise(shape.0 * shape.1, |at| {
            let weights = DMatrix::from_column_slice(shape.0, shape.1, at.as_slice());
            let (loss, mut slope) = loss(&inputs, &weights, told);
            let counted = weights.rows(0, shape.0 - 1);
            slope.rows_mut(0, shape.0 - 1).zip_apply(&counted, |slope, weight| *slope += ridge * weight);
            (loss + ridge / 2.0 * counted.norm_squared(), DVector::from_column_slice(slope.as_slice()))
        });
        Self { weights: DMatrix::from_column_slice(shape.0, shape.1, weights.as_slice()) }
    }

    /// A row of logits for each input.
    pub fn logits(&self, inputs: &DMatrix<f64>) -> DMatrix<f64> {
        with_one(inputs) * &self.weights
    }

    /// The best class of each input.
    pub fn best(&self, inputs: &DMatrix<f64>) -> Vec<usize> {
        self.logits(inputs).row_iter().map(|row| best(row.iter())).collect()
    }

    /// The probabilities for one input.
    pub fn probabilities(&self, input: &[f32]) -> Vec<f64> {
        let inputs = DMatrix::from_row_iterator(1, input.len(), input.iter().map(|value| f64::from(*value)));
        let mut row = self.logits(&inputs);
        soften(&mut row);
        row.iter().copied().collect()
    }
}

/// The first of the largest.
pub fn best<'a>(row: impl Iterator<Item = &'a f64>) -> usize {
    let better = |best: (usize, f64), (at, value): (usize, &f64)| if *value > best.1 { (at, *value) } else { best };
    row.enumerate().fold((0, f64::NEG_INFINITY), better).0
}

/// The inputs with a column of ones.
pub fn with_one(inputs: &DMatrix<f64>) -> DMatrix<f64> {
    inputs.clone().insert_column(inputs.ncols(), 1.0)
}

/// Makes rows of logits rows of probabilities.
fn soften(logits: &mut DMatrix<f64>) {
    for mut row in logits.row_iter_mut() {
        let largest = row.max();
        row.apply(|value| *value = (*value - largest).exp());
        let sum = row.sum();
        row /= sum;
    }
}

/// Cross entropy, and its slope by the weights.
fn loss(inputs: &DMatrix<f64>, weights: &DMatrix<f64>, told: &DMatrix<f64>) -> (f64, DMatrix<f64>) {
    let mut rows = inputs * weights;
    soften(&mut rows);
    let loss = -rows.zip_map(told, |given, told| told * given.max(1e-300).ln()).sum();
    (loss, inputs.tr_mul(&(rows - told)))
}

/// Goes downhill from zeros.
fn minimise(count: usize, function: impl Fn(&DVector<f64>) -> (f64, DVector<f64>)) -> DVector<f64> {
    let mut at = DVector::zeros(count);
    let (mut value, mut slope) = function(&at);
    let mut steps: VecDeque<(DVector<f64>, DVector<f64>)> = VecDeque::new();
    for _ in 0..STEPS {
        let direction = downhill(&slope, &steps);
        let descent = direction.dot(&slope);
        let mut length = 1.0;
        let (next, next_value, next_slope) = loop {
            let next = &at + &direction * length;
            let (next_value, next_slope) = function(&next);
            if next_value <= value + 1e-4 * length * descent || length < 1e-10 {
                break (next, next_value, next_slope);
            }
            length /= 2.0;
        };
        let (moved, turned) = (&next - &at, &next_slope - &slope);
        let gain = value - next_value;
        (at, value, slope) = (next, next_value, next_slope);
        if gain.abs() < 1e-9 * value.abs().max(1.0) {
            break;
        }
        if moved.dot(&turned) > 0.0 {
            steps.push_back((moved, turned));
        }
        if steps.len() > MEMORY {
            steps.pop_front();
        }
    }
    at
}

/// The two loops of L-BFGS.
fn downhill(slope: &DVector<f64>, steps: &VecDeque<(DVector<f64>, DVector<f64>)>) -> DVector<f64> {
    let mut direction = -slope;
    let mut weights = Vec::new();
    for (moved, turned) in steps.iter().rev() {
        let weight = moved.dot(&direction) / moved.dot(turned);
        direction -= turned * weight;
        weights.push(weight);
    }
    match steps.back() {
        Some((moved, turned)) => direction *= moved.dot(turned) / turned.norm_squared(),
        None => direction /= slope.norm().max(1e-12),
    }
    for ((moved, turned), weight) in steps.iter().zip(weights.into_iter().rev()) {
        direction += moved * (weight - turned.dot(&direction) / moved.dot(turned));
    }
    direction
}
