//! `just bench-keys`: what a check of an API key costs, what garbage and storms of new keys do to it, how soon a
//! revocation holds, and whether the time of a refusal tells why. Prints a line for each case and one for each
//! goal.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints")]

mod garbage;
mod measure;
mod replicas;
mod ring;
mod storm;
mod timing;
mod warm;

use ring::Ring;

/// Keys that stay remembered, and keys of a storm.
const WARM: usize = 256;
const STORM: usize = 1_000;
/// Samples of each class of refusals with nothing remembered, 14 ms each: here, and in `timing`.
const COLD: usize = 300;
const COLD_IN_FULL: usize = 2_000;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            let ring = runtime.block_on(Ring::new(WARM, STORM));
            warm::run(&ring);
            garbage::run(&ring);
            runtime.block_on(async {
                storm::run(ring).await;
                replicas::run().await;
            });
            timing::run(&runtime, COLD);
        }
        ["garbage"] => garbage::run(&runtime.block_on(Ring::new(WARM, 0))),
        ["timing"] => timing::run(&runtime, COLD_IN_FULL),
        _ => println!("nothing, `garbage` or `timing`"),
    }
}

/// Every goal here is a number that is not to be exceeded.
fn goal(id: &str, measured: f64, target: f64) {
    println!("goal {id} {measured:.3} <= {target} {}", if measured <= target { "met" } else { "missed" });
}
