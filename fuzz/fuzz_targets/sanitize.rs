//! Text cut at random places: a stream gives what a whole check gives, no token is left, and ranges are in the text.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use sanitize::{Action, ControlTokens, Sanitizer, Verdict};

static INPUT: LazyLock<Sanitizer> = LazyLock::new(|| Sanitizer::input_default().expect("rules"));
static OUTPUT: LazyLock<Sanitizer> = LazyLock::new(|| Sanitizer::output_default().expect("rules"));

// Each of the first eight bytes says how long a chunk is, in turn; the rest is the text.
fuzz_target!(|data: &[u8]| -> Corpus {
    let Some((lengths, text)) = data.split_first_chunk::<8>() else { return Corpus::Reject };
    let Ok(text) = std::str::from_utf8(text) else { return Corpus::Reject };
    for sanitizer in [&*INPUT, &*OUTPUT] {
        let whole = sanitizer.check(text);
        check_ranges(text, &whole);
        let is_blocked = whole.action() == Action::Block;
        let streamed = streamed(sanitizer, text, lengths);
        assert_eq!(streamed.is_none(), is_blocked);
        let result = whole.into_text();
        if let Some(streamed) = streamed {
            assert_eq!(streamed, result);
        }
        let lower = result.to_ascii_lowercase();
        for token in ControlTokens::built_in().filter(|token| !token.ends_with(':')) {
            assert!(!lower.contains(&token.to_ascii_lowercase()), "{token}");
        }
    }
    Corpus::Keep
});

fn check_ranges(text: &str, verdict: &Verdict<'_>) {
    for range in verdict.findings().iter().filter_map(|finding| finding.range()) {
        assert!(text.get(range.clone()).is_some_and(|part| !part.is_empty()), "{range:?}");
    }
}

/// What comes out of the chunks; `None` if they are blocked.
fn streamed(sanitizer: &Sanitizer, text: &str, lengths: &[u8]) -> Option<String> {
    let mut stream = sanitizer.stream();
    let mut out = String::new();
    let mut rest = text;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, behind) = rest.split_at(rest.ceil_char_boundary(usize::from(*length).clamp(1, rest.len())));
        out += &stream.push(chunk).ok()?;
        rest = behind;
    }
    out += &stream.finish().ok()?;
    Some(out)
}
