//! What memory a stream takes, beyond the text it gives: a program of its own, since counting allocations takes time.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark fails by panicking, and prints")]

use bench_sanitize::{at_most, texts};
use sanitize::Sanitizer;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

fn main() {
    let sanitizer = Sanitizer::output_default().unwrap();
    let prose = texts::normal(256 << 10);
    let mut worst = 0;
    for (name, text) in [
        ("honest text", prose.clone()),
        ("text that is held back", "<|im_star eyJhbGciOiJIUzI1NiJ9.eyJzdWIi <|im_".repeat(4096)),
        ("a key that does not end", format!("-----BEGIN PRIVATE KEY-----{}", "A".repeat(256 << 10))),
        ("many findings", "[INST] ghp_16C7e42F292c6912E7710c838347Ae178B4a ".repeat(4096)),
    ] {
        for chunk in [1, 16, 1024] {
            let (held, peak) = taken(&sanitizer, &text, chunk);
            println!("{name:<24} chunks of {chunk:>4} bytes: {held:>6} bytes kept at most, {peak:>6} during a call");
            worst = worst.max(held);
        }
    }
    at_most("S8.memory", f64::from(u32::try_from(worst).unwrap()), 8192.0);
}

/// The most bytes that a stream keeps between two chunks, and the most that are allocated at any time.
fn taken(sanitizer: &Sanitizer, text: &str, chunk: usize) -> (usize, usize) {
    // What is made once, by whichever stream comes first, is not a stream's.
    let _ = sanitizer.check("Hello, my key is ghp_16C7e42F292c6912E7710c838347Ae178B4a [INST]");
    let counting = dhat::Profiler::builder().testing().build();
    let mut stream = sanitizer.stream();
    let own = size_of_val(&stream);
    let mut kept = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (now, behind) = rest.split_at(rest.ceil_char_boundary(chunk.min(rest.len())));
        drop(stream.push(now).unwrap());
        rest = behind;
        kept = kept.max(dhat::HeapStats::get().curr_bytes);
    }
    let peak = dhat::HeapStats::get().max_bytes;
    drop(counting);
    (kept + own, peak + own)
}
