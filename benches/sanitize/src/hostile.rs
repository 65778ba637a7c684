//! S4: what a byte costs of texts made to be slow, beside a byte of honest text, at two sizes.

use std::hint::black_box;

use bench_sanitize::{at_most, texts};
use sanitize::{Action, ControlTokens, Injection, Links, Personal, Sanitizer, SanitizerBuilder, Score, Secrets};

use crate::best;

const SMALL: usize = 1_000_000;
const LARGE: usize = 10_000_000;
/// The shorter of two mixed texts.
const SHORT: usize = 32 << 10;
const MIXTURES: usize = 400;

/// What `Sanitizer::input_default` runs, without its limit of 1 MiB.
fn input() -> SanitizerBuilder {
    Sanitizer::builder()
        .max_bytes(usize::MAX)
        .detector(ControlTokens::tokens_only(), Action::Block)
        .detector(Injection::new().unwrap(), Action::Block)
        .detector(Secrets::new(), Action::Allow)
        .observe(ControlTokens::headers_only(), Action::Block)
        .observe(Score::new().unwrap(), Action::Block)
}

/// Measures the texts whose name holds `only`.
pub(crate) fn measure(only: &str) {
    let sanitizer = input().build().unwrap();
    let with_personal = input().detector(Personal::new(), Action::Allow).build().unwrap();
    println!(
        "S4 nanoseconds a byte at {} and {} MB, and times that of honest text",
        SMALL / 1_000_000,
        LARGE / 1_000_000
    );
    let (one, other) = (
        table(&sanitizer, |name| name.contains(only)),
        table(&with_personal, |name| name.contains('@') && name.contains(only)),
    );
    at_most("S4", one.max(other), 2.0);
}

/// Texts mixed of pieces at two sizes: how many times as much a byte costs in one that is four times as long. Four is
/// what a text costs that is read again from every piece of it.
pub(crate) fn growth() {
    let redacting = Sanitizer::builder()
        .max_bytes(usize::MAX)
        .detector(ControlTokens::new(), Action::Redact)
        .detector(Secrets::new(), Action::Redact)
        .detector(Personal::new(), Action::Redact)
        .detector(Links::new(["a.test"]), Action::Redact)
        .build()
        .unwrap();
    let mut worst: Vec<(f64, &str, String)> = Vec::new();
    for (name, sanitizer) in [("input", input().build().unwrap()), ("output", redacting)] {
        for piece in texts::mixtures(MIXTURES) {
            let [short, long] = [SHORT, 4 * SHORT].map(|bytes| {
                let text = texts::repeated(&piece, bytes);
                best(3, || {
                    let _ = black_box(sanitizer.check(black_box(&text)));
                })
            });
            worst.push((long / short / 4.0, name, piece));
        }
    }
    worst.sort_by(|(one, ..), (other, ..)| other.total_cmp(one));
    println!(
        "S4 times what a byte costs at {} KiB as at {} KiB, of {} mixtures",
        (4 * SHORT) >> 10,
        SHORT >> 10,
        worst.len()
    );
    for (growth, name, piece) in worst.iter().take(5) {
        println!("  {growth:>6.2} {name:<6} {piece:?}");
    }
    at_most("S4 growth", worst.first().map_or(0.0, |(growth, ..)| *growth), 2.0);
}

/// Prints a line for each text; returns the worst ratio.
fn table(sanitizer: &Sanitizer, is_wanted: impl Fn(&str) -> bool) -> f64 {
    let each = |text: &str, times| {
        best(times, || {
            let _ = black_box(sanitizer.check(black_box(text)));
        }) / text.len() as f64
            * 1e9
    };
    let line = |name: &str, small: f64, large: f64, ratio: f64| {
        println!("  {name:<28} {small:>7.2} {large:>7.2} {ratio:>6.2}");
    };
    let normal = [each(&texts::normal(SMALL), 9), each(&texts::normal(LARGE), 3)];
    line("honest text", normal[0], normal[1], 1.0);
    let mut worst = 0_f64;
    for ((name, small), (_, large)) in texts::hostile(SMALL).into_iter().zip(texts::hostile(LARGE)) {
        if is_wanted(name) {
            let (small, large) = (each(&small, 3), each(&large, 2));
            let ratio = (small / normal[0]).max(large / normal[1]);
            line(name, small, large, ratio);
            worst = worst.max(ratio);
        }
    }
    worst
}
