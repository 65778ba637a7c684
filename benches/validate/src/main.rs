//! `just bench-validate`: what reading and checking a request costs, beside what others take for the same bytes.
//! Prints a line for each case and one for each goal.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]

mod chats;
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
        _ => println!("nothing, `json`, `binary` or `chats`"),
    }
}
