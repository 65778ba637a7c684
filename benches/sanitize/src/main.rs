//! `just bench-sanitize`: what screening costs a prompt of 4 KB (S1), what its pattern layer costs beside others over the
//! same rules (S2), and what texts cost that are made to be slow (S4). Prints a line for each case and for each goal.
//! With an argument only S4, of the texts with that in their name; with `growth` only how the cost of mixed texts grows.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark fails by panicking, and prints")]

mod hostile;
mod patterns;

use std::hint::black_box;
use std::time::Duration;

use bench_sanitize::{at_most, texts};
use rustix::time::{ClockId, clock_gettime};
use sanitize::Sanitizer;

const PROMPT: usize = 4096;
const PROMPTS: usize = 20_000;

fn main() {
    let only = std::env::args().nth(1).unwrap_or_default();
    if only.is_empty() {
        whole_screen();
        patterns::measure();
    }
    if only != "growth" {
        hostile::measure(&only);
    }
    if only.is_empty() || only == "growth" {
        hostile::growth();
    }
}

/// Seconds that this thread computed so far. While others use the core it stands still.
fn computed() -> f64 {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap().as_secs_f64()
}

/// The least time of so many, in seconds.
fn best(times: usize, mut act: impl FnMut()) -> f64 {
    let time = |_| {
        let start = computed();
        act();
        computed() - start
    };
    (0..times).map(time).fold(f64::MAX, f64::min)
}

/// S1: prompts cut out of prose at ever other places, each screened once.
fn whole_screen() {
    let sanitizer = Sanitizer::input_default().unwrap();
    let prose = texts::normal(64 * PROMPT);
    let mut times = Vec::with_capacity(PROMPTS);
    for turn in 0..PROMPTS {
        let from = prose.floor_char_boundary(turn * 997 % (prose.len() - PROMPT));
        let prompt = prose.get(from..prose.floor_char_boundary(from + PROMPT)).unwrap();
        let start = computed();
        let _ = black_box(sanitizer.check(black_box(prompt)));
        times.push(computed() - start);
    }
    let rate = (PROMPTS * PROMPT) as f64 / times.iter().sum::<f64>() / 1e6;
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((PROMPTS as f64 * share) as usize).unwrap() * 1e3;
    println!("S1 input_default over {PROMPTS} prompts of {PROMPT} bytes, one core:");
    println!("  p50 {:.3} ms, p99 {:.3} ms (goal 1), p99.9 {:.3} ms", at(0.5), at(0.99), at(0.999));
    println!("  {rate:.0} MB/s (goal 10)");
    at_most("S1", at(0.99).max(10.0 / rate), 1.0);
}
