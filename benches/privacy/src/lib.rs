//! What the attacks on models share: data, models, attackers, random numbers, goals.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

pub mod attackers;
pub mod digits;
pub mod gateway;
pub mod logistic;
pub mod random;

/// Prints a goal: a number that is not to be exceeded.
pub fn at_most(id: &str, measured: f64, target: f64) {
    println!("goal {id} {measured:.3} <= {target} {}", if measured <= target { "met" } else { "missed" });
}

/// Prints a goal: a number that is to be reached.
pub fn at_least(id: &str, measured: f64, target: f64) {
    println!("goal {id} {measured:.3} >= {target} {}", if measured >= target { "met" } else { "missed" });
}

/// The figures of one goal: each is printed, and in the end the one that is worst for its target.
pub struct Goal {
    id: &'static str,
    worst: f64,
}

impl Goal {
    /// A goal without figures yet.
    pub fn new(id: &'static str) -> Self {
        println!();
        Self { id, worst: 0.0 }
    }

    /// A figure that is not to be exceeded.
    pub fn at_most(&mut self, what: &str, measured: f64, target: f64) {
        println!("{} {what}: {measured:.3} <= {target}", self.id);
        self.worst = self.worst.max(measured / target);
    }

    /// A figure that is to be reached.
    pub fn at_least(&mut self, what: &str, measured: f64, target: f64) {
        println!("{} {what}: {measured:.3} >= {target}", self.id);
        self.worst = self.worst.max(target / measured);
    }

    /// Prints the goal.
    pub fn end(self) {
        at_most(self.id, self.worst, 1.0);
    }
}
