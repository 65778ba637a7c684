//! The ways in which a canary may be written, without what stands between letters and digits.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// All forms of a word of ASCII letters and digits, in lower case.
pub(crate) fn forms(word: &[u8]) -> Vec<Vec<u8>> {
    let lower = word.to_ascii_lowercase();
    let mut forms = vec![lower.clone(), lower.iter().rev().copied().collect(), lower.iter().map(rotated).collect()];
    for word in [word.to_vec(), lower, word.to_ascii_uppercase()] {
        forms.extend((0..3).map(|before| base64_behind(before, &word)));
        // `61`, `%61`; `%2561`; `\x61`, `&#x61;`; `0x61`; `\u0061`, `U+0061`; `\u{61}`; `&#97;`; `\141`.
        for escape in ["", "25", "x", "0x", "u00", "u"] {
            forms.push(spelled(&word, |out, byte| write!(out, "{escape}{byte:02x}")));
        }
        forms.push(spelled(&word, |out, byte| write!(out, "{byte}")));
        forms.push(spelled(&word, |out, byte| write!(out, "{byte:o}")));
    }
    forms
}

fn spelled(word: &[u8], write: impl Fn(&mut String, u8) -> std::fmt::Result) -> Vec<u8> {
    let mut out = String::new();
    // Writing to a string does not fail.
    word.iter().for_each(|byte| write(&mut out, *byte).unwrap_or_default());
    out.into_bytes()
}

/// What any base64 text shows of a word that stands so many bytes (modulo 3) behind its start.
fn base64_behind(before: usize, word: &[u8]) -> Vec<u8> {
    let bytes: Vec<u8> = std::iter::repeat_n(0, before).chain(word.iter().copied()).collect();
    let first = (before * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    let mut encoded = STANDARD_NO_PAD.encode(bytes).into_bytes();
    encoded.truncate(last);
    encoded.drain(..first.min(encoded.len()));
    // Letters and digits have no `+` and `/` in base64.
    encoded.to_ascii_lowercase()
}

fn rotated(byte: &u8) -> u8 {
    match byte {
        b'a'..=b'z' => (byte - b'a' + 13) % 26 + b'a',
        _ => *byte,
    }
}
