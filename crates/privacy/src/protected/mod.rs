//! Texts that answers must not repeat.

mod build;
mod error;
mod file;
mod filter;
mod follower;
mod letters;
mod prints;
mod secret;
mod stream;

use std::fmt;
use std::ops::Range;

use zeroize::Zeroizing;

pub use build::ProtectedBuilder;
pub use error::ProtectedError;
use filter::Filter;
use follower::Follower;
use prints::{HashKey, SPAN, WINDOW};
pub use secret::ProtectedSecret;
use secret::Salt;
pub use stream::ProtectedStream;

/// The shortest passage that holds three different fingerprints wherever it is cut.
const DEFAULT_LEAST: usize = SPAN + 2 * WINDOW;
/// The longest passage that is waited for.
const MOST: usize = 150;

/// Texts that answers must not repeat: gigabytes of them, in about 1.5 bits for each byte.
///
/// Only letters and digits are compared, without case and accents: other line breaks, spaces and punctuation change
/// nothing. A passage of [`DEFAULT_LEAST`](Self::DEFAULT_LEAST) of them is always found, one that is more than 28
/// shorter hardly ever, and what is found may reach 14 letters beyond it. Words that are changed, added or left out at least
/// that often pass, so do translations and encodings.
///
/// Kept are hashes, and only some: texts cannot be read from it. For who may learn what, see [`ProtectedSecret`]. To
/// change the texts while in use, put it into an `Arc` and exchange that.
pub struct Protected {
    salt: Salt,
    mac: Zeroizing<[u8; 32]>,
    key: HashKey,
    filter: Filter,
    prints: u64,
    least: usize,
}

impl Protected {
    /// How long a passage must be if nothing is said, in bytes of letters and digits: about 90 bytes of English.
    pub const DEFAULT_LEAST: usize = DEFAULT_LEAST;

    /// Begins to read texts that are no more than `room` bytes together. Takes about `room` * 0.19 bytes at once.
    ///
    /// # Errors
    /// [`ProtectedError::Random`], and [`ProtectedError::Memory`] if there is not so much.
    pub fn builder(room: u64, secret: &ProtectedSecret) -> Result<ProtectedBuilder, ProtectedError> {
        ProtectedBuilder::new(room, secret)
    }

    /// Looks for passages of so many bytes of letters and digits, at least [`DEFAULT_LEAST`](Self::DEFAULT_LEAST) and at
    /// most 150. More of them spares phrases that many texts share.
    #[must_use]
    pub fn least(mut self, letters: usize) -> Self {
        self.least = letters.clamp(DEFAULT_LEAST, MOST);
        self
    }

    /// How many fingerprints are kept, about one for each 8 letters of different texts.
    pub fn fingerprints(&self) -> u64 {
        self.prints
    }

    /// How much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        self.filter.size() + size_of::<Self>()
    }

    /// Where protected passages stand in a text, in order and apart. Linear in its length.
    pub fn matches(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        self.each_passage(text, |range| join(&mut found, range));
        found
    }

    /// Calls `found` with every protected passage of exactly the least length, one for each letter where one ends.
    ///
    /// Whether a range is given depends on nothing but the text in it. So a text may be looked at in overlapping parts:
    /// each range that lies in one of them is given, at its place.
    pub fn each_passage(&self, text: &str, found: impl FnMut(Range<usize>)) {
        Follower::new().read(self, text, 0, found);
    }

    /// The first byte of `tail` from which a passage may still be growing; `tail.len()` if there is none.
    ///
    /// `tail` may begin in the middle of a text: before its first byte anything may have stood.
    pub fn open_from(&self, tail: &str) -> usize {
        let mut follower = Follower::new();
        follower.read(self, tail, 0, |_| {});
        follower.open(self.least).unwrap_or(tail.len())
    }
}

impl fmt::Debug for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protected").field("fingerprints", &self.prints).finish_non_exhaustive()
    }
}

/// Adds a range behind others, to the last one if they touch.
fn join(found: &mut Vec<Range<usize>>, range: Range<usize>) {
    match found.last_mut() {
        Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
        _ => found.push(range),
    }
}
