//! Single words that are spelled oddly: with numbers for letters, or broken over lines. Only words that the rules
//! know are mended, so that code and product names stay what they are.

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::canonical_combining_class;

use super::Piece;

/// The longest word that is mended, in bytes.
const MAX_WORD: usize = 24;

/// The words of the rules.
static KNOWN: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("../../rules/injection.txt").lines();
    let said = lines.filter_map(|line| line.strip_prefix("match: ").or_else(|| line.strip_prefix("yes: ")));
    let words = said.flat_map(|line| line.split(|ch: char| !ch.is_ascii_alphabetic()));
    words.filter(|word| word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_lowercase())).collect()
});

/// Reads words of folded text that are spelled oddly.
pub(crate) fn read(text: &str, pieces: &mut Vec<Piece>) {
    read_numbers(text, pieces);
    read_accented(text, pieces);
}

/// Reads words with numbers for letters.
fn read_numbers(text: &str, pieces: &mut Vec<Piece>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(sign) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| is_number_sign(*byte))) {
        let sign = at + sign;
        let is_part = |byte: &&u8| byte.is_ascii_alphabetic() || is_number_sign(**byte);
        let head = bytes.get(at..sign).unwrap_or_default().iter().rev().take_while(is_part).count();
        let tail = bytes.get(sign..).unwrap_or_default().iter().take_while(is_part).count();
        let range = sign - head..sign + tail;
        at = range.end;
        let word = bytes.get(range.clone()).unwrap_or_default();
        let mark = word.iter().rev().take_while(|byte| **byte == b'!').count();
        let range = range.start..range.end - mark;
        let word = bytes.get(range.clone()).unwrap_or_default();
        if let Some(text) = spelled(word, 'i').or_else(|| spelled(word, 'l')) {
            pieces.push(Piece { range, text });
        }
    }
}

/// The known word that this is meant for, with `one` for the number.
fn spelled(word: &[u8], one: char) -> Option<String> {
    if word.len() > MAX_WORD || !word.iter().any(u8::is_ascii_alphabetic) {
        return None;
    }
    let letter = |byte: &u8| match char::from(*byte) {
        '1' | '!' => one,
        ch => letter_for(ch).unwrap_or(ch),
    };
    Some(word.iter().map(letter).collect::<String>()).filter(|word| KNOWN.contains(word.as_str()))
}

const fn is_number_sign(byte: u8) -> bool {
    matches!(byte, b'0' | b'1' | b'3' | b'4' | b'5' | b'7' | b'8' | b'@' | b'$' | b'!')
}

/// The letter that a number or sign is written for.
pub(super) const fn letter_for(ch: char) -> Option<char> {
    let letter = match ch {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        '8' => 'b',
        _ => return None,
    };
    Some(letter)
}

/// Reads words that have accents they do not need.
fn read_accented(text: &str, pieces: &mut Vec<Piece>) {
    if text.is_ascii() {
        return;
    }
    let mut at = 0;
    for part in text.split_inclusive(|ch: char| !ch.is_alphabetic()) {
        let word = part.trim_end_matches(|ch: char| !ch.is_alphabetic());
        if !word.is_ascii() && word.len() <= 2 * MAX_WORD {
            let plain: String = word.nfd().filter(|ch| canonical_combining_class(*ch) == 0).collect();
            if KNOWN.contains(plain.as_str()) {
                pieces.push(Piece { range: at..at + word.len(), text: plain });
            }
        }
        at += part.len();
    }
}

/// Reads words that are broken over two lines, with or without a hyphen.
pub(crate) fn read_broken(text: &str, pieces: &mut Vec<Piece>) {
    let bytes = text.as_bytes();
    let is_letter = |byte: &&u8| byte.is_ascii_alphabetic();
    for at in memchr::memchr_iter(b'\n', bytes) {
        let before = bytes.get(..at).unwrap_or_default();
        let before = before.strip_suffix(b"\r").unwrap_or(before);
        let before = before.strip_suffix(b"-").unwrap_or(before);
        let head = before.iter().rev().take(MAX_WORD).take_while(is_letter).count();
        let behind = bytes.get(at + 1..).unwrap_or_default();
        let tail = behind.iter().take(MAX_WORD).take_while(is_letter).count();
        if head == 0 || tail == 0 || head + tail > MAX_WORD {
            continue;
        }
        let (Some(head), Some(tail)) = (before.get(before.len() - head..), behind.get(..tail)) else { continue };
        let word: String = head.iter().chain(tail).map(|byte| char::from(byte.to_ascii_lowercase())).collect();
        if KNOWN.contains(word.as_str()) {
            pieces.push(Piece { range: before.len() - head.len()..at + 1 + tail.len(), text: word });
        }
    }
}
