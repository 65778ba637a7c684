//! `just bench-privacy`: attacks on models behind perturbed answers, by both attackers each time, and whether monitors
//! see them. Prints tables as Markdown and one line for each goal.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

mod cost;
mod extraction;
mod hidden;
mod monitors;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            extraction::run();
            hidden::run();
            monitors::run();
            cost::run();
        }
        ["extraction"] => extraction::run(),
        ["hidden"] => hidden::run(),
        ["monitors"] => monitors::run(),
        ["cost"] => cost::run(),
        _ => println!("nothing, or one of `extraction`, `hidden`, `monitors`, `cost`"),
    }
}
