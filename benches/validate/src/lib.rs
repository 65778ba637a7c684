//! What the benchmarks of validation share: bodies, turns, goals.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints")]

pub mod bodies;
pub mod measure;

/// Prints a goal: a number that is not to be exceeded.
pub fn at_most(id: &str, measured: f64, target: f64) {
    println!("goal {id} {measured:.3} <= {target} {}", if measured <= target { "met" } else { "missed" });
}

/// Prints a goal: a number that is to be reached.
pub fn at_least(id: &str, measured: f64, target: f64) {
    println!("goal {id} {measured:.3} >= {target} {}", if measured >= target { "met" } else { "missed" });
}
