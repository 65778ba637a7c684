//! The digits, each feature with mean 0 and deviation 1, in two parts: to train with, and held out.

use nalgebra::{DMatrix, RowDVector};

use crate::random::Random;

/// 8 x 8 points.
pub const FEATURES: usize = 64;
/// 0 to 9.
pub const CLASSES: usize = 10;
const HELD_OUT: usize = 540;

/// Inputs, a row each, and what they are.
pub struct Part {
    /// One row for each input.
    pub inputs: DMatrix<f64>,
    /// The digits.
    pub labels: Vec<usize>,
}

/// All digits.
pub struct Digits {
    /// What the victim learns from.
    pub train: Part,
    /// What it never saw.
    pub held_out: Part,
}

impl Digits {
    /// Reads them; the parts are the same each time.
    pub fn load() -> Self {
        let mut lines: Vec<&str> = include_str!("../data/digits.txt").lines().collect();
        Random::new(1).shuffle(&mut lines);
        let (held_out, train) = lines.split_at(HELD_OUT);
        let (mut train, mut held_out) = (Part::read(train), Part::read(held_out));
        let mean = train.inputs.row_mean();
        let deviation = train.inputs.row_variance().map(|variance| if variance > 0.0 { variance.sqrt() } else { 1.0 });
        train.standardise(&mean, &deviation);
        held_out.standardise(&mean, &deviation);
        Self { train, held_out }
    }
}

impl Part {
    fn read(lines: &[&str]) -> Self {
        let lines = || lines.iter().map(|line| line.split_once(' ').unwrap());
        let points = lines().flat_map(|(_, points)| points.chars().map(|point| f64::from(point.to_digit(17).unwrap())));
        let inputs = DMatrix::from_row_iterator(lines().count(), FEATURES, points);
        Self { inputs, labels: lines().map(|(label, _)| label.parse().unwrap()).collect() }
    }

    fn standardise(&mut self, mean: &RowDVector<f64>, deviation: &RowDVector<f64>) {
        for mut row in self.inputs.row_iter_mut() {
            row -= mean;
            row.component_div_assign(deviation);
        }
    }

    /// A row for each input: 1 at its digit.
    pub fn one_hot(&self) -> DMatrix<f64> {
        DMatrix::from_fn(self.labels.len(), CLASSES, |row, class| f64::from(u8::from(self.labels[row] == class)))
    }
}

/// A row as what a caller sends.
pub fn sent(inputs: &DMatrix<f64>, row: usize) -> Vec<f32> {
    inputs.row(row).iter().map(|value| *value as f32).collect()
}
