//! `just bench-validate`: what reading and checking a request costs, beside what others take for the same bytes.
//! Prints a line for each case and one for each goal. `just differential`: whether others read the same.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints")]

mod chats;
mod differential;
mod tensors;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => {
            tensors::json();
            tensors::binary();
            chats::run();
        }
        ["json"] => tensors::json(),
        ["binary"] => tensors::binary(),
        ["chats"] => chats::run(),
        ["differential", count] => differential::run(count.parse().unwrap(), 1),
        ["differential", count, seed] => differential::run(count.parse().unwrap(), seed.parse().unwrap()),
        _ => println!("nothing, `json`, `binary`, `chats`, or `differential` with a count and perhaps a seed"),
    }
}
