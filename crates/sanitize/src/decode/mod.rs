//! Other readings of a text: what it says in an encoding, a cipher or an odd spelling. Used to look, never to hand out.
//!
//! A reading is the text with what could be decoded in place of its code, so that an order of which only one word is
//! disguised stands in one piece. Plain text far from all of that is left out: it was looked at already.

mod ciphers;
mod digits;
mod escapes;
mod hidden;
mod morse;
mod spaced;
mod words;

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use crate::fold::{self, fold};
use crate::offsets::Offsets;

/// How many codes may lie inside each other.
const DEPTH: usize = 3;
/// All readings together are at most so many times as long as the text, or as a text of so many bytes.
const MAX_GROWTH: usize = 4;
const SHORT: usize = 1024;
/// How much plain text stays on either side of what was decoded, in bytes.
const CONTEXT: usize = 160;

/// Reads what is found in a text.
type Reader = fn(&str, &mut Vec<Piece>);

/// Read from the text as it is; each gives less text than it reads.
const CODES: [Reader; 5] = [escapes::read, digits::read, hidden::read, morse::read, words::read_broken];
/// Read from folded text; each reading is one of its own, as one text may be read in several of these ways.
const SPELLINGS: [Reader; 5] =
    [spaced::read, words::read, ciphers::read_rotated, ciphers::read_reversed, ciphers::read_reversed_words];

/// What a part of a text says.
pub(crate) struct Piece {
    pub(crate) range: Range<usize>,
    pub(crate) text: String,
}

/// One reading of a text: decoded, or spelled plainly, within some of the plain text around it.
#[derive(Debug, Clone)]
pub struct View {
    text: String,
    /// `None` if folding changes nothing.
    folded: Option<String>,
    source: Source,
    offsets: Offsets,
    folding: OnceCell<Offsets>,
    is_run_together: bool,
    is_complete: bool,
}

/// What a reading was read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    /// Another reading; `None`: the text itself.
    pub(crate) view: Option<usize>,
    pub(crate) is_folded: bool,
}

impl View {
    /// The text as it is read here.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same, folded like [`Normalized::folded`](crate::Normalized::folded).
    pub fn folded(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.text)
    }

    /// Whether letters that stood apart are put together here without the spaces between words.
    pub fn is_run_together(&self) -> bool {
        self.is_run_together
    }

    /// Whether all of the text that this was read from is here, decoded or as it stood.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether these bytes of the folded text are plain text, and not even beside what was decoded.
    pub(crate) fn is_plain(&self, folded: Range<usize>) -> bool {
        let range = self.unfolded(folded);
        !self.offsets.has_whole(&(range.start.saturating_sub(1)..range.end + 1))
    }

    /// Where these bytes of the folded text stand in the source.
    pub(crate) fn in_source(&self, folded: Range<usize>, source: &str) -> Range<usize> {
        self.offsets.source(self.unfolded(folded), source)
    }

    /// Where these bytes of the text stand in the source.
    pub(crate) fn text_in_source(&self, range: Range<usize>, source: &str) -> Range<usize> {
        self.offsets.source(range, source)
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    fn unfolded(&self, folded: Range<usize>) -> Range<usize> {
        match self.folded {
            None => folded,
            Some(_) => self.folding.get_or_init(|| fold::offsets(&self.text)).source(folded, &self.text),
        }
    }
}

/// All readings of a text, which is also given folded.
pub(crate) fn views(text: &str, folded: &str) -> Vec<View> {
    let mut views = Views { all: Vec::new(), left: text.len().max(SHORT).saturating_mul(MAX_GROWTH) };
    let mut outer = None;
    while views.all.len() < DEPTH {
        let source = outer.map_or(text, |at| views.text(at));
        let mut pieces = Vec::new();
        CODES.iter().for_each(|read| read(source, &mut pieces));
        let reading = splice(source, pieces);
        let Some(at) = views.add(reading, Source { view: outer, is_folded: false }, false) else { break };
        outer = Some(at);
    }
    for outer in std::iter::once(None).chain((0..views.all.len()).map(Some)) {
        for (index, read) in SPELLINGS.iter().enumerate() {
            let source = outer.map_or(folded, |at| views.folded(at));
            let mut pieces = Vec::new();
            read(source, &mut pieces);
            let reading = splice(source, pieces);
            let _ = views.add(reading, Source { view: outer, is_folded: true }, index == 0);
        }
    }
    views.all
}

/// The readings so far, and how much more there may be.
struct Views {
    all: Vec<View>,
    left: usize,
}

impl Views {
    fn text(&self, at: usize) -> &str {
        self.all.get(at).map_or("", View::text)
    }

    fn folded(&self, at: usize) -> &str {
        self.all.get(at).map_or("", View::folded)
    }

    fn add(&mut self, reading: Option<Reading>, source: Source, is_run_together: bool) -> Option<usize> {
        let Reading { mut text, offsets, is_complete } = reading?;
        let is_complete = is_complete && text.len() <= self.left;
        text.truncate(text.floor_char_boundary(self.left));
        self.left -= text.len();
        let folded = match fold(&text) {
            Cow::Borrowed(_) => None,
            Cow::Owned(folded) => Some(folded),
        };
        self.all.push(View { text, folded, source, offsets, folding: OnceCell::new(), is_run_together, is_complete });
        Some(self.all.len() - 1)
    }
}

struct Reading {
    text: String,
    offsets: Offsets,
    /// No plain text was left out.
    is_complete: bool,
}

/// Puts the pieces in their places. Where two overlap, the first one stays. `None` if there are none.
fn splice(source: &str, mut pieces: Vec<Piece>) -> Option<Reading> {
    if pieces.is_empty() {
        return None;
    }
    pieces.sort_by_key(|piece| piece.range.start);
    let mut reading = Reading { text: String::new(), offsets: Offsets::default(), is_complete: true };
    let mut behind = 0;
    for Piece { range, text } in pieces {
        if range.start < behind {
            continue;
        }
        reading.push_plain(source, behind..range.start);
        reading.offsets.whole(reading.text.len(), range.clone());
        reading.text.push_str(&text);
        behind = range.end;
    }
    reading.push_plain(source, behind..source.len());
    Some(reading)
}

impl Reading {
    /// Appends plain text, or where it is long its two ends.
    fn push_plain(&mut self, source: &str, range: Range<usize>) {
        let (start, end) = (range.start, range.end);
        let head = if start == 0 { 0 } else { source.floor_char_boundary(end.min(start + CONTEXT)) };
        let tail = if end == source.len() { end } else { source.ceil_char_boundary(end.saturating_sub(CONTEXT)) };
        if tail <= head.max(start) {
            return self.push_part(source, range);
        }
        if head > start {
            self.push_part(source, start..head);
        }
        self.is_complete = false;
        self.offsets.even(self.text.len(), head.max(start)..tail);
        self.text.push('\n');
        if end > tail {
            self.push_part(source, tail..end);
        }
    }

    fn push_part(&mut self, source: &str, range: Range<usize>) {
        self.offsets.even(self.text.len(), range.clone());
        self.text.push_str(source.get(range).unwrap_or_default());
    }
}
