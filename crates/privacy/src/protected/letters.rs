//! What of a text is compared: its letters and digits, in lower case and without accents.

use unicode_normalization::char::decompose_compatible;

/// A byte of a letter or digit, and the character it is from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter {
    pub(super) byte: u8,
    /// Where the character starts, in bytes of the text.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// Whether this is the first byte of it.
    pub(super) is_first: bool,
}

/// Calls `take` with every byte of every letter and digit, in order.
///
/// Wide, styled and joined characters count as the plain ones they stand for (Unicode Standard Annex 15, NFKD).
#[inline]
pub(super) fn each(text: &str, mut take: impl FnMut(Letter)) {
    let mut start = 0;
    while let Some(byte) = text.as_bytes().get(start) {
        if byte.is_ascii() {
            if byte.is_ascii_alphanumeric() {
                take(Letter { byte: byte.to_ascii_lowercase(), start, end: start + 1, is_first: true });
            }
            start += 1;
            continue;
        }
        let Some(ch) = text.get(start..).and_then(|rest| rest.chars().next()) else { return };
        let end = start + ch.len_utf8();
        let mut is_first = true;
        plain(ch, |ch| {
            for byte in ch.encode_utf8(&mut [0; 4]).bytes() {
                take(Letter { byte, start, end, is_first });
                is_first = false;
            }
        });
        start = end;
    }
}

/// The letters and digits that a character stands for.
#[inline(never)]
fn plain(ch: char, mut take: impl FnMut(char)) {
    let mut lower = |part: char| {
        if part.is_alphanumeric() {
            part.to_lowercase().filter(|part| part.is_alphanumeric()).for_each(&mut take);
        }
    };
    match ch {
        // A syllable stays one letter: its parts would be three times as long.
        '\u{ac00}'..='\u{d7a3}' => lower(ch),
        _ => decompose_compatible(ch, lower),
    }
}
