//! `just bench-verbatim`: whether copies of protected texts, planted words and models in circles are found in answers,
//! and what else is. Takes directories of texts to protect, `--`, and directories of other texts.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints"
)]

mod corpus;
mod leaks;
mod passages;
mod prompts;

use bench_privacy::Goal;

/// How much text is read at most, in MB.
const PROTECTED: usize = 400;
const HONEST: usize = 150;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut sides = arguments.split(|argument| argument == "--");
    let (Some(protected), Some(honest)) = (sides.next(), sides.next()) else {
        println!("directories to protect, `--`, and directories of other texts");
        return;
    };
    let mut goal = Goal::new("P4");
    leaks::canaries(&mut goal);
    leaks::divergence(&mut goal);
    let honest = corpus::read(honest, HONEST);
    leaks::honest_answers(&mut goal, &honest);
    passages::run(&mut goal, &corpus::read(protected, PROTECTED), &honest);
    goal.end();
}
