//! The letters and digits of a text without all that stands between them.

/// A byte of a letter or digit in lower case, and the character it is from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Letter {
    pub(crate) byte: u8,
    /// Where the character starts, in bytes of the text.
    pub(crate) start: usize,
    /// Where it ends.
    pub(crate) end: usize,
    /// Whether this is the first byte of it.
    pub(crate) is_first: bool,
}

/// Calls `take` with every byte of every letter and digit, in order. Wide ASCII counts as ASCII.
pub(crate) fn each(text: &str, mut take: impl FnMut(Letter)) {
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
        if ch.is_alphanumeric() {
            let mut is_first = true;
            for lower in narrow(ch).to_lowercase() {
                for byte in lower.encode_utf8(&mut [0; 4]).bytes() {
                    take(Letter { byte, start, end, is_first });
                    is_first = false;
                }
            }
        }
        start = end;
    }
}

fn narrow(ch: char) -> char {
    match ch {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(ch) - 0xfee0).unwrap_or(ch),
        _ => ch,
    }
}
