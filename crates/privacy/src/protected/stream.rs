//! A text that comes in chunks.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::follower::Follower;
use super::{Protected, join};

/// Looks for protected passages in a text that comes in chunks, in less than 8 KiB.
#[derive(Clone)]
pub struct ProtectedStream {
    protected: Arc<Protected>,
    follower: Follower,
    seen: usize,
}

impl ProtectedStream {
    /// Keeps to these passages until its end, also when the caller has newer ones.
    pub fn new(protected: Arc<Protected>) -> Self {
        Self { protected, follower: Follower::new(), seen: 0 }
    }

    /// Takes a chunk and gives what is found in it, in bytes of the whole text; a passage may start in earlier chunks.
    ///
    /// However a text is cut, all ranges together cover what [`Protected::matches`] gives for the whole.
    pub fn push(&mut self, chunk: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        self.follower.read(&self.protected, chunk, self.seen, |range| join(&mut found, range));
        self.seen += chunk.len();
        found
    }

    /// No later chunk makes a passage that starts before this byte: what stands before it may leave.
    pub fn settled(&self) -> usize {
        self.follower.open(self.protected.least).unwrap_or(self.seen)
    }
}

impl fmt::Debug for ProtectedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectedStream").field("seen", &self.seen).finish_non_exhaustive()
    }
}
