//! Text in characters that do not show: tags, which repeat ASCII, and variation selectors, which number bytes.

use super::Piece;

/// Fewer characters are what flags and emoji are made with.
const MIN_CHARS: usize = 4;
/// Hidden characters that are no further apart, in bytes, are one piece; what shows between them is left out.
const MAX_GAP: usize = 16;

/// Reads hidden characters.
pub(crate) fn read(text: &str, pieces: &mut Vec<Piece>) {
    // The first bytes of all of them.
    if memchr::memchr2(0xf3, 0xef, text.as_bytes()).is_none() {
        return;
    }
    let mut run = Run::default();
    for (at, ch) in text.char_indices() {
        let Some(byte) = hidden_byte(ch) else { continue };
        if at > run.end + MAX_GAP {
            run.finish(pieces);
        }
        if run.bytes.is_empty() {
            run.start = at;
        }
        run.bytes.push(byte);
        run.end = at + ch.len_utf8();
    }
    run.finish(pieces);
}

const fn hidden_byte(ch: char) -> Option<u8> {
    let byte = match ch {
        '\u{e0020}'..='\u{e007e}' => ch as u32 - 0xe0000,
        '\u{fe00}'..='\u{fe0f}' => ch as u32 - 0xfe00,
        '\u{e0100}'..='\u{e01ef}' => ch as u32 - 0xe0100 + 16,
        _ => return None,
    };
    Some(byte as u8)
}

#[derive(Default)]
struct Run {
    start: usize,
    end: usize,
    bytes: Vec<u8>,
}

impl Run {
    fn finish(&mut self, pieces: &mut Vec<Piece>) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.len() >= MIN_CHARS {
            let text = format!(" {} ", String::from_utf8_lossy(&bytes));
            pieces.push(Piece { range: self.start..self.end, text });
        }
    }
}
