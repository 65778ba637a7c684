//! P3: 25 models of disjoint shards of the digits, each of fifty, vote about digits that none of them saw.

use std::num::NonZeroUsize;

use bench_privacy::digits::{CLASSES, Digits, Part};
use bench_privacy::logistic::Logistic;
use privacy::dp::{Epsilon, Randomness, Receipt, Rho};
use privacy::vote::Vote;

const MODELS: usize = 25;
const ROUNDS: usize = 20;

fn shard(train: &Part, model: usize) -> Part {
    let rows: Vec<usize> = (model..train.labels.len()).step_by(MODELS).collect();
    let labels = rows.iter().filter_map(|row| train.labels.get(*row).copied()).collect();
    Part { inputs: train.inputs.select_rows(&rows), labels }
}

/// The share of right labels.
fn accuracy(vote: &Vote, ballots: &[Vec<Option<usize>>], labels: &[usize], random: &mut Randomness) -> f64 {
    let mut right = 0;
    for _ in 0..ROUNDS {
        for (ballots, label) in ballots.iter().zip(labels) {
            let receipt = Receipt::of_reserved(vote.rho(), Rho::ZERO);
            right += usize::from(vote.decide(ballots, receipt, random).unwrap().value == *label);
        }
    }
    right as f64 / (ROUNDS * labels.len()) as f64
}

pub(crate) fn run() {
    let (digits, mut random) = (Digits::load(), Randomness::danger_from_seed(3));
    let models: Vec<Logistic> = (0..MODELS)
        .map(|model| shard(&digits.train, model))
        .map(|shard| Logistic::fit(&shard.inputs, &shard.one_hot(), 1.0))
        .collect();
    let told: Vec<Vec<usize>> = models.iter().map(|model| model.best(&digits.held_out.inputs)).collect();
    let ballots: Vec<Vec<Option<usize>>> =
        (0..digits.held_out.labels.len()).map(|row| told.iter().map(|told| told.get(row).copied()).collect()).collect();
    let labels: Vec<String> = (0..CLASSES).map(|digit| digit.to_string()).collect();
    let mut measured = |epsilon: &str| {
        let epsilon: Epsilon = epsilon.parse().unwrap();
        let vote = Vote::new(&labels, NonZeroUsize::new(MODELS).unwrap(), epsilon).unwrap();
        let right = accuracy(&vote, &ballots, &digits.held_out.labels, &mut random);
        println!("vote of {MODELS} models, epsilon {epsilon}, rho {}: accuracy {right:.3}", vote.rho());
        right
    };
    println!();
    for epsilon in ["1000", "4", "2", "0.5", "0.2"] {
        measured(epsilon);
    }
    bench_privacy::at_least("P3", measured("1"), 0.87);
}
