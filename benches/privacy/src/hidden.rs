//! X3: the hidden size of a language model, from the singular values of its log-probabilities (Carlini et al. 2024): all
//! of them through a gateway that tells all, then the few that it tells by default.

use bench_privacy::Goal;
use bench_privacy::gateway::Gateway;
use bench_privacy::random::Random;
use nalgebra::DMatrix;
use privacy::{Input, Perturb};

const WORDS: usize = 1000;
const HIDDEN: usize = 64;
const PROMPTS: usize = 200;
/// How many log-probabilities of an answer a caller sees, without bias.
const TOP: usize = 5;

/// What the attack finds.
struct Found {
    size: usize,
    /// How much of the space of the output layer lies in what was recovered: 1 for all.
    subspace: f64,
}

/// The log-probabilities of a prompt, a row each, and the output layer that they come from.
fn model() -> (DMatrix<f64>, DMatrix<f64>) {
    let mut random = Random::new(7);
    let layer = random.matrix(WORDS, HIDDEN) / (HIDDEN as f64).sqrt();
    let mut rows = random.matrix(PROMPTS, HIDDEN) * 2.0 * layer.transpose();
    for mut row in rows.row_iter_mut() {
        let largest = row.max();
        let sum: f64 = row.iter().map(|logit| (logit - largest).exp()).sum();
        row.add_scalar_mut(-largest - sum.ln());
    }
    (rows, layer)
}

fn told(rows: &DMatrix<f64>, perturb: &Perturb) -> DMatrix<f64> {
    let mut told = rows.clone();
    for (at, mut row) in told.row_iter_mut().enumerate() {
        let mut values: Vec<f64> = row.iter().copied().collect();
        perturb.scores(Input::Text(&format!("prompt {at}")), &mut values).unwrap();
        row.iter_mut().zip(values).for_each(|(place, value)| *place = value);
    }
    told
}

/// What a caller is told of each prompt by a model whose settings say nothing; for the others he assumes something.
fn told_by_default(gateway: &Gateway, unseen: impl Fn(f64) -> f64) -> DMatrix<f64> {
    let mut rows = DMatrix::zeros(PROMPTS, WORDS);
    for (at, mut row) in rows.row_iter_mut().enumerate() {
        let told = gateway.alternatives(0, at);
        let least = told.iter().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
        row.fill(unseen(least));
        told.into_iter().for_each(|(word, value)| row[word] = value);
    }
    rows
}

/// A caller sees only the best few; for the others he has to assume something.
fn seen(rows: &DMatrix<f64>, unseen: impl Fn(f64) -> f64) -> DMatrix<f64> {
    let mut seen = rows.clone();
    for mut row in seen.row_iter_mut() {
        let mut sorted: Vec<f64> = row.iter().copied().collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let least = sorted[TOP - 1];
        row.apply(|value| *value = if *value >= least { *value } else { unseen(least) });
    }
    seen
}

fn attack(rows: &DMatrix<f64>, layer: &DMatrix<f64>) -> Found {
    let mut centred = rows.clone();
    for mut row in centred.row_iter_mut() {
        let mean = row.mean();
        row.add_scalar_mut(-mean);
    }
    let split = centred.transpose().svd(true, false);
    let (values, vectors) = (split.singular_values, split.u.unwrap());
    let gap = |at: &usize| values[at - 1] / values[*at].max(values[0] * 1e-15);
    let size = (1..PROMPTS).max_by(|a, b| gap(a).total_cmp(&gap(b))).unwrap();
    let mut layer = layer.clone();
    for mut column in layer.column_iter_mut() {
        let mean = column.mean();
        column.add_scalar_mut(-mean);
    }
    let space = layer.qr().q();
    let subspace = vectors.columns(0, HIDDEN).tr_mul(&space).norm_squared() / HIDDEN as f64;
    Found { size, subspace }
}

pub(crate) fn run() {
    let (rows, layer) = model();
    let behind = rows.clone();
    let models = [("open".to_owned(), "preset = \"open\"".to_owned())];
    let gateway = Gateway::start(&models, 1, move |prompt| behind.row(prompt[0] as usize).iter().copied().collect());
    let prompts = DMatrix::from_fn(PROMPTS, 1, |at, _| at as f64);
    let decimals = Perturb::builder().decimals(1).build().unwrap();
    let top = Perturb::builder().top_k(TOP).decimals(1).build().unwrap();
    println!("\nhidden size {HIDDEN} of {WORDS} words, {PROMPTS} prompts\n");
    println!("| log-probabilities | estimate | subspace |\n|---|---|---|");
    let cases = [
        ("all, at the gateway", gateway.answers("open", 0, &prompts)),
        ("all, 1 decimal", told(&rows, &decimals)),
        ("top 5, others taken for 0", seen(&rows, |_| 0.0)),
        ("top 5, others taken for the fifth", seen(&rows, |least| least)),
        ("top 5, 1 decimal, others taken for 0", seen(&told(&rows, &top), |_| 0.0)),
        ("top 5, 1 decimal, as perturbed", told(&rows, &top)),
        ("by default at the gateway, others taken for 0", told_by_default(&gateway, |_| 0.0)),
        ("by default at the gateway, others taken for the fifth", told_by_default(&gateway, |least| least)),
    ];
    let found: Vec<Found> = cases.iter().map(|(_, rows)| attack(rows, &layer)).collect();
    for ((name, _), Found { size, subspace }) in cases.iter().zip(&found) {
        println!("| {name} | {size} | {subspace:.3} |");
    }
    let mut goal = Goal::new("X3");
    goal.at_least("all, subspace", found[0].subspace, 0.999);
    goal.at_most("all, estimate", found[0].size as f64, HIDDEN as f64);
    goal.at_least("all, estimate", found[0].size as f64, HIDDEN as f64);
    for (Found { size, subspace }, (name, _)) in found.iter().zip(&cases).skip(2) {
        goal.at_least(&format!("{name}, error of the estimate"), size.abs_diff(HIDDEN) as f64, 1.0);
        goal.at_most(&format!("{name}, subspace"), *subspace, 0.2);
    }
    goal.end();
}
