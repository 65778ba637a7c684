//! Letters rotated by thirteen places, and text or words written backwards.
//!
//! Any text can be read in these ways, and almost none says something then. So it is read only around words that
//! orders are made of, which are looked for as they come out of the cipher, all in one pass.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::Span;
use aho_corasick::packed::Searcher;

use super::Piece;

/// Some of these stand in every order that the rules for English find.
const WORDS: [&str; 41] = [
    "ignore",
    "instruct",
    "prompt",
    "previous",
    "original",
    "system",
    "reveal",
    "disregard",
    "forget",
    "restrict",
    "assistant",
    "conversation",
    "guideline",
    "filter",
    "message",
    "repeat",
    "developer",
    "jailb",
    "override",
    "bypass",
    "ethic",
    "chatbot",
    "anything",
    "everything",
    "image",
    "password",
    "secret",
    "character",
    "refuse",
    "fiction",
    "hypothetic",
    "uncensor",
    "sure, here",
    "defin",
    "starting",
    "admin",
    "language model",
    "directive",
    "the user",
    "answer",
    "follow",
];
/// How much is read before and behind such a word, in bytes.
const AROUND: usize = 256;
/// How far behind one such word the next one is looked for: those in between would have little more read.
const STRIDE: usize = 80;

static ROTATED: LazyLock<Option<Searcher>> =
    LazyLock::new(|| Searcher::new(WORDS.map(|word| word.chars().map(rotated).collect::<String>())));
static REVERSED: LazyLock<Option<Searcher>> =
    LazyLock::new(|| Searcher::new(WORDS.map(|word| word.chars().rev().collect::<String>())));

/// Reads folded text with its letters rotated.
pub(crate) fn read_rotated(text: &str, pieces: &mut Vec<Piece>) {
    around_words(text, &ROTATED, pieces, |part| part.chars().map(rotated).collect());
}

/// Reads folded text backwards.
pub(crate) fn read_reversed(text: &str, pieces: &mut Vec<Piece>) {
    around_words(text, &REVERSED, pieces, |part| part.chars().rev().collect());
}

/// Reads each word of folded text backwards.
pub(crate) fn read_reversed_words(text: &str, pieces: &mut Vec<Piece>) {
    around_words(text, &REVERSED, pieces, |part| {
        let mut words = String::with_capacity(part.len());
        for word in part.split_inclusive(' ') {
            let (word, gap) = word.split_at(word.trim_end_matches(' ').len());
            push_reversed(word, &mut words);
            words.push_str(gap);
        }
        words
    });
}

/// Appends the word backwards. Marks behind it stay there, unless it was turned with its marks: then one stands before
/// it, or one that opens behind it.
fn push_reversed(word: &str, out: &mut String) {
    let is_mark = |ch: char| !ch.is_alphanumeric();
    let has_turned_marks = word.starts_with(is_mark) || word.ends_with(['[', '(', '<', '{']);
    let core = if has_turned_marks { word } else { word.trim_end_matches(is_mark) };
    let (core, marks) = word.split_at(core.len());
    out.extend(core.chars().rev());
    out.push_str(marks);
}

const fn rotated(ch: char) -> char {
    match ch {
        'a'..='m' => (ch as u8 + 13) as char,
        'n'..='z' => (ch as u8 - 13) as char,
        _ => ch,
    }
}

fn around_words(text: &str, words: &Option<Searcher>, pieces: &mut Vec<Piece>, read: impl Fn(&str) -> String) {
    let Some(words) = words else { return };
    let mut open: Option<Range<usize>> = None;
    let mut from = 0;
    while let Some(word) = words.find_in(text, Span::from(from..text.len())) {
        let around = around(text, word.start()..word.end());
        match &mut open {
            Some(last) if around.start <= last.end => last.end = last.end.max(around.end),
            Some(last) => {
                let range = std::mem::replace(last, around);
                pieces.extend(piece(text, range, &read));
            }
            None => open = Some(around),
        }
        from = (word.end() + STRIDE).min(text.len());
    }
    pieces.extend(open.and_then(|range| piece(text, range, &read)));
}

fn piece(text: &str, range: Range<usize>, read: impl Fn(&str) -> String) -> Option<Piece> {
    let text = read(text.get(range.clone())?);
    Some(Piece { range, text })
}

/// What is read around a word: whole words, unless they are endless.
fn around(text: &str, word: Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(word.start.saturating_sub(AROUND));
    let end = text.ceil_char_boundary((word.end + AROUND).min(text.len()));
    let skipped = match start {
        0 => 0,
        _ => text.get(start..word.start).and_then(|part| Some(part.find(' ')? + 1)).unwrap_or(0),
    };
    let kept = match text.len() - end {
        0 => end,
        _ => text.get(word.end..end).and_then(|part| part.rfind(' ')).map_or(end, |at| word.end + at),
    };
    start + skipped..kept
}
