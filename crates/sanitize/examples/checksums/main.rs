//! How many made-up numbers and tokens with a checksum are found, and how many near-misses.
//!
//! `cargo run --release -p sanitize --example checksums` prints a line for each type and ends with an error if a goal is
//! missed.
#![expect(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "values are made up here")]

mod types;

use std::io::{self, Write as _};
use std::process::ExitCode;

const COUNT: u32 = 20_000;

fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let mut is_reached = true;
    for kind in types::types() {
        let shares = kind.measure(COUNT);
        let (valid, near, rule) = (shares.valid, shares.near, kind.rule);
        writeln!(out, "goal S9 {rule}: valid found {valid:.2} % (>= 99), near-misses {near:.2} % (<= 0.5)")?;
        is_reached &= shares.valid >= 99.0 && shares.near <= 0.5;
    }
    Ok(if is_reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
