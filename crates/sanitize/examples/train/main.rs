//! Trains the weights of the score and writes them to `crates/sanitize/weights/score.bin`. The same
//! input gives the same file.
//!
//! `cargo run --release -p sanitize --example train -- CORPUS.jsonl[.gz] ...`
#![expect(clippy::print_stdout, reason = "a command-line tool")]
#![expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "counts are small")]

#[path = "../lab/mod.rs"]
#[expect(dead_code, reason = "some of it is for the evaluator")]
mod lab;

use std::error::Error;
use std::path::Path;

use lab::{corpus, dataset, rehearsal};
use sanitize::training::Extractor;

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = std::env::args().skip(1).collect();
    if paths.is_empty() {
        return Err("usage: train CORPUS.jsonl[.gz] ...".into());
    }
    let rows = corpus::read(&paths)?;
    let samples = dataset::build(&rows)?;
    println!("{} rows, {} samples", rows.len(), samples.len());

    let scores = rehearsal::scores(&samples, dataset::SETTINGS);
    let of_rows = || rows.iter().zip(&scores);
    let scored: Vec<_> = of_rows().map(|(row, score)| (*score, row.is_attack())).collect();
    let (slope, offset) = rehearsal::odds(&scored);
    let threshold = rehearsal::shipped_threshold(&rows, &samples, &scores);

    let model = dataset::learn(&samples, None, dataset::SETTINGS);
    let largest = model.weights.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
    let unit = (largest / 127.0).max(f32::MIN_POSITIVE);
    let slots = model.weights.iter().map(|weight| (weight / unit).round() as i8).collect();
    let bias = slope * model.bias + offset;
    let value = 1.0 / (1.0 + (-(slope * threshold + offset)).exp());
    let file = Extractor::new()?.encode(slots, slope * unit, bias, value)?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/score.bin");
    std::fs::write(&path, &file)?;
    let checksum: String = file.iter().rev().take(4).map(|byte| format!("{byte:02x}")).collect();
    println!("{} bytes, threshold {value:.3}, checksum {checksum}", file.len());
    Ok(())
}
