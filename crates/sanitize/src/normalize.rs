//! One normalized view of a text, for detection only: what is handed out is never taken from it.

use std::borrow::Cow;
use std::cell::OnceCell;

use crate::decode::{self, View};
use crate::fold::fold;

/// A text, its folded form and its decoded contents. The latter two are made on first use.
#[derive(Debug)]
pub struct Normalized<'t> {
    original: &'t str,
    folded: OnceCell<Cow<'t, str>>,
    views: OnceCell<Vec<View>>,
}

impl<'t> Normalized<'t> {
    /// Prepares `text`. Costs nothing until a view is asked for.
    pub fn new(text: &'t str) -> Self {
        Self { original: text, folded: OnceCell::new(), views: OnceCell::new() }
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
    /// Linear in the length of the text; at most about eleven times as long.
    pub fn folded(&self) -> &str {
        self.folded.get_or_init(|| fold(self.original))
    }

    /// What the text contains in base64, hexadecimal, percent encoding or tag characters, two
    /// layers deep and at most one MiB in all.
    pub fn views(&self) -> &[View] {
        self.views.get_or_init(|| decode::views(self.original))
    }
}
