//! What the benchmarks of screening share: texts, and lines for goals.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

pub mod texts;

/// Prints a goal: a number that is not to be exceeded.
pub fn at_most(id: &str, measured: f64, target: f64) {
    println!("goal {id} {measured:.3} <= {target} {}", if measured <= target { "met" } else { "missed" });
}

/// Prints a goal: a number that is to be reached.
pub fn at_least(id: &str, measured: f64, target: f64) {
    println!("goal {id} {measured:.3} >= {target} {}", if measured >= target { "met" } else { "missed" });
}
