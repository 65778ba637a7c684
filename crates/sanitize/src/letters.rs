//! The letters and digits of a text without all that stands between them.

use crate::plain_letters::narrow;

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

/// How many of the last letters are remembered: at least those of a window and of what is before it.
const REMEMBERED: usize = 256;

/// The last letters of a text.
#[derive(Debug)]
pub(crate) struct Recent {
    letters: [Letter; REMEMBERED],
    count: usize,
}

impl Recent {
    pub(crate) fn new() -> Self {
        Self { letters: [Letter::default(); REMEMBERED], count: 0 }
    }

    #[inline]
    pub(crate) fn push(&mut self, letter: Letter) {
        if let Some(slot) = self.letters.get_mut(self.count % REMEMBERED) {
            *slot = letter;
        }
        self.count += 1;
    }

    /// How many letters there were.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many of the remembered letters start at `from` or behind it.
    pub(crate) fn since(&self, from: usize) -> usize {
        let (mut inside, mut outside) = (0, REMEMBERED + 1);
        while inside + 1 < outside {
            let middle = usize::midpoint(inside, outside);
            match self.back(middle) {
                Some(letter) if letter.start >= from => inside = middle,
                _ => outside = middle,
            }
        }
        inside
    }

    /// The letter so many before the next one, if it is remembered. The last one is 1 before.
    pub(crate) fn back(&self, letters: usize) -> Option<&Letter> {
        let at = self.count.checked_sub(letters).filter(|_| (1..=REMEMBERED).contains(&letters))?;
        self.letters.get(at % REMEMBERED)
    }
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
