//! One normalized view of a text, for detection only: what is handed out is never taken from it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

use crate::decode::{self, Source, View};
use crate::fold::{self, fold};
use crate::offsets::Offsets;

/// A text, its folded form and its decoded contents. The latter two are made on first use.
#[derive(Debug)]
pub struct Normalized<'t> {
    original: &'t str,
    folded: OnceCell<Cow<'t, str>>,
    offsets: OnceCell<Offsets>,
    views: OnceCell<Vec<View>>,
}

impl<'t> Normalized<'t> {
    /// Prepares `text`. Costs nothing until a view is asked for.
    pub fn new(text: &'t str) -> Self {
        Self { original: text, folded: OnceCell::new(), offsets: OnceCell::new(), views: OnceCell::new() }
    }

    /// The text as it is.
    pub fn original(&self) -> &'t str {
        self.original
    }

    /// The text in NFKC (Unicode Standard Annex 15) and lower case, without characters that do not
    /// show and without loose accents, every run of white space as one space, and common Cyrillic
    /// and Greek look-alikes as Latin letters in words that have a Latin letter, curly quotes as
    /// straight ones.
    ///
    /// Linear in the length of the text; single signs of Unicode that stand for whole words stay what they are.
    pub fn folded(&self) -> &str {
        self.folded.get_or_init(|| fold(self.original))
    }

    /// The part of the original, on character boundaries, that these bytes of the folded text were made from.
    ///
    /// The first call folds the text once more, so ask only once something was found.
    pub fn original_range(&self, folded: Range<usize>) -> Range<usize> {
        self.offsets.get_or_init(|| fold::offsets(self.original)).source(folded, self.original)
    }

    /// The part of the original, on character boundaries, that these bytes of a view's folded text were made from:
    /// of what was decoded, all of its code. `view` must come from [`views`](Self::views) of the same text.
    pub fn original_range_of(&self, view: &View, folded: Range<usize>) -> Range<usize> {
        let mut source = view.source();
        let mut range = view.in_source(folded, self.text_of(source));
        while let Some(outer) = source.view.and_then(|at| self.views().get(at)) {
            let is_folded = source.is_folded;
            source = outer.source();
            let text = self.text_of(source);
            range = if is_folded { outer.in_source(range, text) } else { outer.text_in_source(range, text) };
        }
        if source.is_folded { self.original_range(range) } else { range }
    }

    fn text_of(&self, source: Source) -> &str {
        match (source.view.and_then(|at| self.views().get(at)), source.is_folded) {
            (Some(view), true) => view.folded(),
            (Some(view), false) => view.text(),
            (None, true) => self.folded(),
            (None, false) => self.original,
        }
    }

    /// Other readings of the text: what it says in base64, base32, hexadecimal or binary digits, percent encoding,
    /// character references of HTML, escapes as in JSON or C, tag characters, variation selectors and Morse code, up
    /// to three codes inside each other; and of each of these as of the text itself, how it reads with letters put
    /// together that stood apart, with letters for numbers, rotated by thirteen places and backwards.
    ///
    /// Made in time linear in the text. All views together are at most four times as long, or 4 KiB of a
    /// short text; what goes beyond is dropped.
    pub fn views(&self) -> &[View] {
        self.views.get_or_init(|| decode::views(self.original, self.folded()))
    }
}
