//! Letters that stand apart, as in `i g n o r e` or `i.g.n.o.r.e`.

use super::Piece;
use super::words::letter_for;

/// Fewer letters are initials, formulas or lists.
const MIN_LETTERS: usize = 4;
/// How many bytes are looked at together.
const BLOCK: usize = 16;
/// So many letters with something else on both sides make a block worth a look.
const MIN_ALONE: u8 = 2;

/// Puts letters together that stand apart in folded text. Since it does not show where words end, nothing is put
/// between them.
pub(crate) fn read(text: &str, pieces: &mut Vec<Piece>) {
    let bytes = text.as_bytes();
    let mut behind = 0;
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let mut last = [0; BLOCK];
    last.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
    for (index, block) in blocks.iter().chain([&last]).enumerate() {
        let at = index * BLOCK;
        if at + BLOCK <= behind || alone(block) < MIN_ALONE {
            continue;
        }
        // A run may start in the block before.
        let from = text.floor_char_boundary(at.saturating_sub(BLOCK)).max(behind);
        behind = read_from(text, text.ceil_char_boundary(from), at + BLOCK, pieces);
    }
}

/// How many letters and digits of the block stand alone in it.
fn alone(block: &[u8; BLOCK]) -> u8 {
    let is_letter = block.map(|byte| u8::from(byte.is_ascii_alphanumeric()));
    is_letter.array_windows().map(|[before, here, behind]| here & !before & !behind & 1).sum()
}

/// Reads runs that start before `to`; returns how far was read.
fn read_from(text: &str, from: usize, to: usize, pieces: &mut Vec<Piece>) -> usize {
    let mut at = from;
    while at < to {
        let run = Run::read(text, at);
        if run.letters >= MIN_LETTERS {
            pieces.push(Piece { range: at..run.end, text: run.text });
        }
        at = run.end.max(at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8));
    }
    at
}

/// Letters that stand apart.
struct Run {
    text: String,
    letters: usize,
    end: usize,
}

impl Run {
    /// The run that starts with the letter at `start`; an empty one if none does.
    fn read(text: &str, start: usize) -> Self {
        let mut run = Self { text: String::new(), letters: 0, end: start };
        let before = text.get(..start).and_then(|before| before.chars().next_back());
        if before.is_some_and(char::is_alphanumeric) {
            return run;
        }
        let mut rest = text.get(start..).unwrap_or_default();
        loop {
            let mut chars = rest.chars();
            let Some(letter) = chars.next().filter(|ch| ch.is_alphanumeric()) else { return run };
            let behind = chars.as_str();
            if behind.starts_with(char::is_alphanumeric) {
                return run;
            }
            run.text.push(letter_for(letter).unwrap_or(letter));
            run.letters += 1;
            run.end = text.len() - behind.len();
            let gap = behind.chars().take(3).take_while(|ch| is_gap(*ch)).map(char::len_utf8).sum();
            rest = behind.get(gap..).unwrap_or_default();
        }
    }
}

const fn is_gap(ch: char) -> bool {
    matches!(ch, ' ' | '.' | '-' | '_' | '*' | '/' | '|' | ',' | '+' | '~' | ':' | '\'' | '·' | '•')
}
