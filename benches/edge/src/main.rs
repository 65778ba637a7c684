//! `just bench-edge`: the release binary on loopback, while its certificate is exchanged (T2), and while thousands of
//! callers bring or take next to nothing (T3); `just bench-edge aborted`, while a hundred thousand leave in the middle of an
//! answer (B1), which takes some minutes. Prints a table and a line for each goal; a missed goal is no failure.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

mod aborted;
mod exchange;
mod gateway;
mod slow;

/// Prints a goal: a number that is not to be exceeded.
fn goal(id: &str, measured: f64, target: f64) {
    println!("goal {id} {measured:.3} <= {target} {}", if measured <= target { "met" } else { "missed" });
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let part = std::env::args().nth(1);
    runtime.block_on(async {
        match part.as_deref() {
            None => {
                exchange::run().await;
                slow::run().await;
            }
            Some("exchange") => exchange::run().await,
            Some("slow") => slow::run().await,
            Some("aborted") => aborted::run().await,
            Some(_) => println!("nothing, `exchange`, `slow` or `aborted`"),
        }
    });
}
