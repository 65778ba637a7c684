//! S2: the pattern layer alone. Measured is `Injection::detect` over honest text of which the folded form and the other
//! readings are there already, so it is the search for all rules in all of them; beside it, over the same folded text,
//! the `regex` crate with the same patterns, and the `aho-corasick` crate with the first word of each rule's example.

use std::hint::black_box;

use aho_corasick::AhoCorasick;
use bench_sanitize::{at_least, texts};
use regex::{RegexSet, RegexSetBuilder};
use sanitize::{Detector as _, Injection, Normalized};

use crate::best;

const RULES: &str = include_str!("../../../crates/sanitize/rules/injection.txt");
const BYTES: usize = 4 << 20;

pub(crate) fn measure() {
    let text = texts::normal(BYTES);
    let normalized = Normalized::new(&text);
    let folded = normalized.folded();
    let readings: usize = normalized.views().iter().map(|view| view.text().len()).sum();
    let injection = Injection::new().unwrap();
    let set = peer();
    let words = injection.rules().iter().filter_map(|rule| rule.example().split(' ').next()).map(str::to_lowercase);
    let words = AhoCorasick::new(words).unwrap();
    let rate = |seconds: f64| text.len() as f64 / seconds / 1e6;
    let ours = rate(best(9, || {
        let mut found = Vec::new();
        injection.detect(black_box(&normalized), &mut found);
        assert!(found.is_empty());
    }));
    let regexes = rate(best(2, || assert!(!set.matches(black_box(folded)).matched_any())));
    let literals = rate(best(5, || {
        let _ = black_box(words.find_iter(black_box(folded)).count());
    }));
    println!("S2 {} rules over {BYTES} bytes of honest text, folded ({readings} bytes of other readings):", set.len());
    println!("  ours {ours:.0} MB/s, RegexSet of the same patterns {regexes:.0} MB/s");
    println!("  AhoCorasick of {} words alone {literals:.0} MB/s", words.patterns_len());
    at_least("S2", ours, 200.0);
}

/// The same patterns, at a size at which the DFA of all of them is not given up at once.
fn peer() -> RegexSet {
    let patterns = RULES.lines().filter_map(|line| line.strip_prefix("match: "));
    RegexSetBuilder::new(patterns).size_limit(256 << 20).dfa_size_limit(256 << 20).build().unwrap()
}
