//! Single words that are spelled oddly: with numbers for letters, or broken over lines. Only words that the rules
//! know are mended, so that code and product names stay what they are.

use std::collections::HashSet;
use std::ops::Range;
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

/// Reads words with numbers for letters: all such words, once one of them is known.
fn read_numbers(text: &str, pieces: &mut Vec<Piece>) {
    let before = pieces.len();
    let mut has_known = false;
    for range in number_words(text.as_bytes()) {
        let word = text.get(range.clone()).unwrap_or_default();
        let (is_known, text) = spelled(word);
        has_known |= is_known;
        pieces.push(Piece { range, text });
    }
    if !has_known {
        pieces.truncate(before);
    }
}

/// The words of letters and signs for letters, with at least one of the latter.
fn number_words(bytes: &[u8]) -> Vec<Range<usize>> {
    let is_part = |byte: &&u8| byte.is_ascii_alphabetic() || is_number_sign(**byte);
    let is_letter = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii());
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(sign) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| is_number_sign(*byte))) {
        let sign = at + sign;
        let head = bytes.get(at..sign).unwrap_or_default().iter().rev().take_while(is_part).count();
        let tail = bytes.get(sign..).unwrap_or_default().iter().take_while(is_part).count();
        let (start, end) = (sign - head, sign + tail);
        at = end;
        let word = bytes.get(start..end).unwrap_or_default();
        let marks = word.iter().rev().take_while(|byte| **byte == b'!').count();
        let is_apart = !is_letter(bytes.get(end)) && !is_letter(start.checked_sub(1).and_then(|at| bytes.get(at)));
        if is_apart && marks < word.len() && word.len() <= MAX_WORD {
            words.push(start..end - marks);
        }
    }
    words
}

/// The word that this is meant for, and whether it is known.
fn spelled(word: &str) -> (bool, String) {
    let with = |one: char| -> String {
        let letter = |ch| if ch == '1' { one } else { letter_for(ch).unwrap_or(ch) };
        let mut spelled = String::with_capacity(word.len());
        spelled.extend(word.chars().map(letter));
        spelled
    };
    let has_letters = word.bytes().any(|byte| byte.is_ascii_alphabetic());
    let is_known = |spelled: &str| has_letters && KNOWN.contains(spelled);
    let text = with('i');
    if is_known(&text) {
        return (true, text);
    }
    let other = word.contains('1').then(|| with('l')).filter(|other| is_known(other));
    other.map_or((false, text), |other| (true, other))
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

/// Reads words that have accents they do not need: known ones, and those with one on every other letter.
fn read_accented(text: &str, pieces: &mut Vec<Piece>) {
    // The first bytes of Latin letters with accents.
    if !text.bytes().fold(false, |any, byte| any | matches!(byte, 0xc3..=0xc9 | 0xe1)) {
        return;
    }
    let mut at = 0;
    for part in text.split_inclusive(|ch: char| !ch.is_alphabetic()) {
        let word = part.trim_end_matches(|ch: char| !ch.is_alphabetic());
        if !word.is_ascii() && word.len() <= 2 * MAX_WORD {
            let (mut plain, mut accents) = (String::new(), 0);
            for ch in word.nfd() {
                match canonical_combining_class(ch) {
                    0 => plain.push(ch),
                    _ => accents += 1,
                }
            }
            if plain.is_ascii() && (2 * accents >= plain.len() || KNOWN.contains(plain.as_str())) {
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
