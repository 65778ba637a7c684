//! What perturbing and watching cost, beside writing the same row as text.

use std::hint::black_box;
use std::time::Instant;

use bench_privacy::random::Random;
use privacy::{Calibration, Input, Monitor, Perturb, PerturbVectors, PrivacySecret, Projection, Trace};

const TIMES: usize = 2000;

/// The middle of many times of an act, in microseconds.
fn time(mut act: impl FnMut()) -> f64 {
    let mut all: Vec<f64> = (0..TIMES)
        .map(|_| {
            let started = Instant::now();
            act();
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all[TIMES / 2]
}

fn line(name: &str, took: f64, text: f64) {
    println!("| {name} | {took:.1} | {:.1} |", took / text);
}

fn probabilities(random: &mut Random, classes: usize) -> Vec<f64> {
    let weights: Vec<f64> = (0..classes).map(|_| random.gaussian().exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

fn text(row: &[f64]) -> f64 {
    time(|| {
        black_box(row.iter().map(|value| value.to_string() + ",").collect::<String>());
    })
}

pub(crate) fn run() {
    let secret = PrivacySecret::from_bytes([5; 32]);
    let mut random = Random::new(3);
    println!("\n| act | us | times writing the row as text |\n|---|---|---|");
    for (dims, classes) in [(64, 10), (64, 1000), (4096, 10)] {
        let input: Vec<f64> = (0..dims).map(|_| random.gaussian()).collect();
        let row = probabilities(&mut random, classes);
        let text = text(&row);
        let forms = [
            ("2 decimals", Perturb::builder().decimals(2)),
            ("smooth 0.5", Perturb::builder().smooth(0.5, &secret, "m@1")),
        ];
        for (name, builder) in forms {
            let perturb = builder.build().unwrap();
            let took = time(|| {
                let mut row = row.clone();
                perturb.scores(Input::Vector(&input), &mut row).unwrap();
                black_box(row);
            });
            line(&format!("{name}, {dims} features, {classes} classes"), took, text);
        }
    }
    let embedding: Vec<f64> = (0..1536).map(|_| random.gaussian()).collect();
    let perturb = PerturbVectors::smooth(0.1, &secret, "m@1").unwrap();
    let took = time(|| {
        let mut vector = embedding.clone();
        perturb.vector(Input::Text("a sentence"), &mut vector).unwrap();
        black_box(vector);
    });
    line("smooth 0.1, embedding of 1536", took, text(&embedding));
    let projection = Projection::new(&secret, "m@1");
    let queries = random.matrix(64, 100);
    let queries: Vec<Vec<f64>> = queries.column_iter().map(|column| column.iter().copied().collect()).collect();
    let mut trace = Trace::new(&projection);
    queries.iter().for_each(|query| trace.record(query, None));
    let calibration = Calibration::learn(&vec![trace; 20]).unwrap();
    let mut monitor = Monitor::new(&calibration);
    let mut at = 0;
    let took = time(|| {
        at += 1;
        let query: Vec<f64> = queries[at % 100].iter().map(|value| value * at as f64).collect();
        black_box(monitor.observe(&query, Some(0.5)));
    });
    line("a monitor, 64 features (text: 10 classes)", took, text(&probabilities(&mut random, 10)));
}
