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

/// How many bytes are read together.
const BLOCK: usize = 64;

/// Calls `take` with every byte of every letter and digit, in order.
///
/// Wide, styled and joined characters count as the plain ones they stand for (Unicode Standard Annex 15, NFKD).
#[inline]
pub(super) fn each(text: &str, mut take: impl FnMut(Letter)) {
    let mut start = 0;
    while let Some(rest) = text.as_bytes().get(start..).filter(|rest| !rest.is_empty()) {
        if let Some(block) = rest.first_chunk::<BLOCK>().filter(|block| block.is_ascii()) {
            let (letters, places, count) = squeeze(block);
            for (byte, place) in letters.into_iter().zip(places).take(count) {
                let start = start + usize::from(place);
                take(Letter { byte, start, end: start + 1, is_first: true });
            }
            start += BLOCK;
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

/// The letters and digits of ASCII text, where they stand, and how many they are. Without branches: where words end
/// cannot be foretold.
#[inline]
fn squeeze(block: &[u8; BLOCK]) -> ([u8; BLOCK], [u8; BLOCK], usize) {
    let (mut letters, mut places, mut count) = ([0; BLOCK], [0; BLOCK], 0);
    for (place, byte) in block.iter().enumerate() {
        // The bit that makes letters small is set in digits.
        let small = byte | 0x20;
        if let (Some(letter), Some(at)) = (letters.get_mut(count % BLOCK), places.get_mut(count % BLOCK)) {
            (*letter, *at) = (small, place as u8);
        }
        let is_letter = small.wrapping_sub(b'a') < 26 || byte.wrapping_sub(b'0') < 10;
        count += usize::from(is_letter);
    }
    (letters, places, count)
}

/// The letters and digits that a character stands for.
#[inline(never)]
fn plain(ch: char, mut take: impl FnMut(char)) {
    if ch.is_ascii() {
        return if ch.is_ascii_alphanumeric() {
            take(ch.to_ascii_lowercase())
        };
    }
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
