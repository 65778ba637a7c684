//! The crate through its public API.
#![expect(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test fails by panicking")]

mod canary;
#[path = "../../examples/checksums/types.rs"]
mod checked_types;
mod checksums;
mod custom;
mod disguises;
mod input;
mod json;
mod known_reports;
mod leaks;
mod limits;
mod links;
mod output;
mod overlap;
mod personal;
mod placeholders;
mod ranges;
mod reactions;
mod repetition;
mod score;
mod secrets;
mod stream;

use std::sync::LazyLock;

use sanitize::{Action, Blocked, ControlTokens, Sanitizer, Secrets};

static OUTPUT: LazyLock<Sanitizer> = LazyLock::new(|| Sanitizer::output_default().unwrap());

/// Control tokens are erased, secrets redacted.
fn output() -> Sanitizer {
    OUTPUT.clone()
}

fn tokens_and_secrets(action: Action) -> Sanitizer {
    let builder = Sanitizer::builder().detector(ControlTokens::new(), action);
    builder.detector(Secrets::new(), action).build().unwrap()
}

fn clean(sanitizer: &Sanitizer, text: &str) -> String {
    sanitizer.check(text).into_text().into_owned()
}

/// What a stream gives for these chunks.
fn streamed<'c>(sanitizer: &Sanitizer, chunks: impl IntoIterator<Item = &'c str>) -> Result<String, Blocked> {
    let mut stream = sanitizer.stream();
    let mut out = String::new();
    for chunk in chunks {
        out += &stream.push(chunk)?;
    }
    Ok(out + &stream.finish()?)
}

/// A text as chunks of one character.
fn single(text: &str) -> impl Iterator<Item = &str> {
    text.char_indices().map(|(at, ch)| &text[at..at + ch.len_utf8()])
}

/// Whether a control token, or a role header at the start of a line, is in the text.
fn has_token(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_header = |line: &str| {
        let word = line.trim_start_matches([' ', '\t', '#', '*', '>']);
        word.starts_with("SYSTEM:") || word.starts_with("ASSISTANT:")
    };
    let is_token = |token: &str| !token.ends_with(':') && lower.contains(&token.to_ascii_lowercase());
    ControlTokens::built_in().any(is_token) || text.split(['\n', '\r']).any(is_header)
}
