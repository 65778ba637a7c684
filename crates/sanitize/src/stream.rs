//! A text that comes in chunks.

use std::fmt;
use std::sync::Arc;

use crate::eraser::Eraser;
use crate::error::Blocked;
use crate::finding::{Action, Finding, Mode};
use crate::placeholders::{Placeholders, Restorer};
use crate::redactor::Redactor;
use crate::sanitizer::Policy;

/// Bytes that are judged at once.
const PIECE: usize = 64 << 10;

/// Cleans a text that comes in chunks, for one stream. Made by
/// [`Sanitizer::stream`](crate::Sanitizer::stream).
///
/// What comes out of all calls together is what [`Sanitizer::check`](crate::Sanitizer::check) gives
/// for the whole text, however it was cut. Text is held back from the first byte where something may
/// still be found: at most 64 bytes for tokens that are erased and 192 for everything else, and up
/// to 12 bytes at the size limit. A sanitizer with a detector for whole texts holds everything back
/// until the end or the size limit.
pub struct StreamSanitizer {
    policy: Arc<Policy>,
    eraser: Option<Eraser>,
    redactor: Redactor,
    restorer: Option<Restorer>,
    seen: usize,
    is_finished: bool,
}

impl StreamSanitizer {
    pub(crate) fn new(policy: Arc<Policy>, placeholders: Placeholders) -> Self {
        let eraser = policy.tokens.clone().map(Eraser::new);
        let redactor = Redactor::new(policy.max_bytes, placeholders);
        Self { policy, eraser, redactor, restorer: None, seen: 0, is_finished: false }
    }

    /// Puts the values that the placeholders stood for at the start back into the clean text.
    #[must_use]
    pub fn restoring(self) -> Self {
        let restorer = self.redactor.placeholders.restorer();
        self.restored_by(Some(restorer))
    }

    pub(crate) fn restored_by(mut self, restorer: Option<Restorer>) -> Self {
        self.restorer = restorer;
        self
    }

    /// Takes a chunk and gives the text that may be handed on. Chunks after
    /// [`finish`](Self::finish) are ignored.
    ///
    /// # Errors
    /// [`Blocked`] if the text must not be handed out, on this and every later call. Nothing of what
    /// was found has left, and clean text of this call that stood before it is not given either.
    pub fn push(&mut self, chunk: &str) -> Result<String, Blocked> {
        if self.is_finished {
            return self.redactor.take();
        }
        let mut rest = chunk;
        // In pieces, so that no more is read of a long text than there is room for.
        while !rest.is_empty() && !self.redactor.is_cut() {
            let (piece, later) = rest.split_at(rest.floor_char_boundary(PIECE.min(rest.len())));
            self.push_piece(piece);
            rest = later;
        }
        let clean = self.redactor.take()?;
        Ok(match &mut self.restorer {
            Some(restorer) => restorer.push(&clean),
            None => clean,
        })
    }

    fn push_piece(&mut self, piece: &str) {
        let Redactor { buffer, report, .. } = &mut self.redactor;
        match &mut self.eraser {
            Some(eraser) => eraser.push(piece, buffer, &mut |finding| {
                report.file(finding, Action::Redact, Mode::Enforce);
            }),
            None => buffer.push_str(piece, self.seen),
        }
        self.seen += piece.len();
        self.redactor.advance(&self.policy, false);
    }

    /// Ends the text and gives what was held back.
    ///
    /// # Errors
    /// [`Blocked`] as for [`push`](Self::push).
    pub fn finish(&mut self) -> Result<String, Blocked> {
        if !self.is_finished {
            self.is_finished = true;
            if let Some(eraser) = &mut self.eraser {
                eraser.finish(&mut self.redactor.buffer);
            }
            self.redactor.advance(&self.policy, true);
        }
        let clean = self.redactor.take()?;
        Ok(match &mut self.restorer {
            Some(restorer) => restorer.push(&clean) + &restorer.finish(),
            None => clean,
        })
    }

    /// What was found so far, at most [`MAX_FINDINGS`](crate::MAX_FINDINGS).
    pub fn findings(&self) -> &[Finding] {
        &self.redactor.report.findings
    }

    /// The strongest action that was taken so far.
    pub fn action(&self) -> Action {
        self.redactor.report.action
    }

    /// Whether the text has reached the size limit; all that follows is dropped.
    pub fn is_cut(&self) -> bool {
        self.redactor.is_cut()
    }

    pub(crate) fn into_parts(self) -> (Vec<Finding>, Placeholders) {
        (self.redactor.report.findings, self.redactor.placeholders)
    }
}

impl fmt::Debug for StreamSanitizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("StreamSanitizer");
        debug.field("seen", &self.seen).field("action", &self.action()).finish_non_exhaustive()
    }
}
