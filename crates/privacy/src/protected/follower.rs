//! Follows a text letter by letter and says where a protected passage ends.

use std::ops::Range;

use super::Protected;
use super::letters::Letter;
use super::prints::{Prints, SPAN};

/// How many letters are remembered: more than the longest passage that is waited for, and a power of two.
const REMEMBERED: usize = 256;

/// Where a letter starts, and whether it is the first byte of its character.
type Place = (usize, bool);

#[derive(Clone)]
pub(super) struct Follower {
    prints: Prints,
    places: [Place; REMEMBERED],
    last: Option<u64>,
    is_known: bool,
    /// How many fingerprints in a row are known, counted at each letter.
    run: usize,
    /// At how many letters the fingerprint last became another one, and the time before.
    changes: (usize, usize),
}

impl Follower {
    pub(super) fn new() -> Self {
        Self {
            prints: Prints::new(),
            places: [(0, false); REMEMBERED],
            last: None,
            is_known: false,
            run: 0,
            changes: (0, 0),
        }
    }

    /// Takes a letter and gives the passage that ends with it.
    #[inline]
    pub(super) fn take(&mut self, protected: &Protected, letter: Letter) -> Option<Range<usize>> {
        if let Some(place) = self.places.get_mut(self.prints.count() % REMEMBERED) {
            *place = (letter.start, letter.is_first);
        }
        let print = self.prints.push(&protected.key, letter.byte)?;
        if self.last != Some(print) {
            self.last = Some(print);
            self.is_known = protected.filter.contains(print);
            self.changes = (self.prints.count(), self.changes.0);
        }
        self.run = if self.is_known { self.run + 1 } else { 0 };
        self.hit(protected.least, letter.end)
    }

    #[inline]
    fn hit(&self, least: usize, end: usize) -> Option<Range<usize>> {
        // So many fingerprints lie in a passage of the least length.
        let needed = least - SPAN + 1;
        // Three of them are different: the same one over and over, as of rows of zeros, says little.
        let is_three = self.prints.count() - self.changes.1 + 1 < needed;
        let (start, is_first) = self.place(least)?;
        (self.run >= needed && is_three && is_first).then_some(start..end)
    }

    /// Where the letter so many before the next one starts. The last one is 1 before.
    fn place(&self, letters: usize) -> Option<Place> {
        let at = self.prints.count().checked_sub(letters)?;
        self.places.get(at % REMEMBERED).copied()
    }

    /// Where the first passage starts that may still become long enough: every later one starts here or behind.
    pub(super) fn open(&self, least: usize) -> Option<usize> {
        let letters = (self.run + SPAN - 1).min(least - 1).min(self.prints.count());
        self.place(letters).filter(|_| letters > 0).map(|(start, _)| start)
    }
}
