//! The seam: something that looks at a text and says what it saw.

use std::sync::Arc;

use crate::finding::{Finding, Label};
use crate::normalize::Normalized;
use crate::tokens::TokenSet;

/// How many bytes to the left of a match a detector with a window may look at.
pub const LEFT_CONTEXT: usize = 64;

/// Something that looks at a text and says what it saw.
///
/// A detector is local, synchronous, infallible and pure: the same text gives the same findings, in
/// time linear in its length. `sanitize::testing::suite` (feature `testing`) checks an
/// implementation against this contract.
///
/// A detector with a [`window`](Self::window) also promises to be local: every finding has a range,
/// and whether it is made depends on the bytes of that range, one character after it and at most
/// [`LEFT_CONTEXT`] bytes before it. That is what makes a stream give the text that a whole check
/// gives.
pub trait Detector: Send + Sync {
    /// What it looks for, in one word.
    fn label(&self) -> Label;

    /// Adds what it finds in `text` to `found`.
    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>);

    /// The most bytes it needs to see from the first byte of a match to be sure of it. `None`: it
    /// judges whole texts only, and a stream with such a detector is held until its end.
    fn window(&self) -> Option<usize>;

    /// The first byte of `tail` from which a match may still be growing; `tail.len()` if there is
    /// none. Streams release what stands before it. The answer is never further from the end than
    /// the window, which is also what the provided method says.
    fn open_from(&self, tail: &str) -> usize {
        let window = self.window().unwrap_or(usize::MAX);
        tail.floor_char_boundary(tail.len().saturating_sub(window))
    }

    /// Literal tokens that, when this detector redacts, are erased to a fixed point: no token may
    /// be put together by the removal of another. A redacting detector that returns a set here is
    /// run as this set only.
    fn token_set(&self) -> Option<&TokenSet> {
        None
    }
}

impl<D: Detector + ?Sized> Detector for Arc<D> {
    fn label(&self) -> Label {
        (**self).label()
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        (**self).detect(text, found);
    }

    fn window(&self) -> Option<usize> {
        (**self).window()
    }

    fn open_from(&self, tail: &str) -> usize {
        (**self).open_from(tail)
    }

    fn token_set(&self) -> Option<&TokenSet> {
        (**self).token_set()
    }
}
