//! A growing text that remembers where its bytes stood in the original.

use std::collections::VecDeque;
use std::ops::Range;

/// Text behind the eraser, addressed by absolute offsets, of which the front may be forgotten.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    text: String,
    /// Absolute offset of the first byte of `text`.
    start: usize,
    /// `(offset here, offset in the original)` wherever the two stop running side by side.
    breaks: VecDeque<(usize, usize)>,
    /// Where in the original the next byte stands if nothing is erased before it.
    expected: usize,
}

/// How much room is kept for text to come, in bytes.
const MOST_SPARE: usize = 512;

impl Mapped {
    /// Appends `text`, which stands at `original`.
    pub(crate) fn push_str(&mut self, text: &str, original: usize) {
        if original != self.expected || self.breaks.is_empty() {
            self.breaks.push_back((self.end(), original));
        }
        self.text.push_str(text);
        self.expected = original + text.len();
    }

    pub(crate) fn push(&mut self, ch: char, original: usize) {
        self.push_str(ch.encode_utf8(&mut [0; 4]), original);
    }

    /// Drops what does not fit into `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.text.truncate(self.text.floor_char_boundary(len));
    }

    pub(crate) fn start(&self) -> usize {
        self.start
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// The text at absolute offsets, as far as it is still here.
    pub(crate) fn slice(&self, range: Range<usize>) -> &str {
        let from = range.start.saturating_sub(self.start);
        let to = range.end.saturating_sub(self.start);
        self.text.get(from..to).unwrap_or_default()
    }

    /// The last character boundary at or before `at` that is still here.
    pub(crate) fn floor(&self, at: usize) -> usize {
        self.start + self.text.floor_char_boundary(at.saturating_sub(self.start))
    }

    /// Where the bytes of `range` stand in the original. Erased text in between is included.
    pub(crate) fn original(&self, range: Range<usize>) -> Range<usize> {
        if range.is_empty() {
            let at = self.locate(range.start);
            return at..at;
        }
        self.locate(range.start)..self.locate(range.end - 1) + 1
    }

    fn locate(&self, at: usize) -> usize {
        let after = self.breaks.partition_point(|(here, _)| *here <= at);
        let Some((here, original)) = self.breaks.get(after.saturating_sub(1)) else { return at };
        original + at.saturating_sub(*here)
    }

    /// Forgets what stands before `at`.
    pub(crate) fn forget(&mut self, at: usize) {
        let gone = self.floor(at) - self.start;
        self.text.drain(..gone);
        self.text.shrink_to(MOST_SPARE);
        self.start += gone;
        while self.breaks.get(1).is_some_and(|(here, _)| *here <= self.start) {
            self.breaks.pop_front();
        }
    }
}
