//! `just bench-budgets`: budgets of distinct queries over three replicas (X4), whether noise is what it claims to be
//! (P1), the ledger of privacy while Redis dies, and what noise costs (P2), the vote (P3). Prints one line for each
//! goal.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints")]

mod near;
mod noise;
mod queries;
mod spending;
mod vote;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            near::run();
            queries::run();
            noise::run();
            spending::run();
            vote::run();
        }
        ["near"] => near::run(),
        ["queries"] => queries::run(),
        ["noise"] => noise::run(),
        ["spending"] => spending::run(),
        ["vote"] => vote::run(),
        [spending::CLIENTS, url, process] => spending::clients(url, process),
        _ => println!("nothing, or one of `near`, `queries`, `noise`, `spending`, `vote`"),
    }
}
