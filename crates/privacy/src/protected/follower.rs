//! Follows a text letter by letter and says where protected passages end.

use std::ops::Range;

use super::Protected;
use super::letters::{self, Letter};
use super::prints::{Prints, SPAN};

/// How many letters are remembered: more than the longest passage that is waited for, and a power of two.
const REMEMBERED: usize = 256;
/// How many letters are hashed before their fingerprints are looked up together.
const AHEAD: usize = 512;

/// Where a letter starts, and whether it is the first byte of its character.
type Place = (usize, bool);

/// Letters that are not yet looked at, and whether each brings the next of the fingerprints.
struct Ahead {
    letters: Vec<(Letter, bool)>,
    prints: Vec<u64>,
}

#[derive(Clone)]
pub(super) struct Follower {
    prints: Prints,
    /// How many letters were looked at.
    count: usize,
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
            count: 0,
            places: [(0, false); REMEMBERED],
            last: None,
            is_known: false,
            run: 0,
            changes: (0, 0),
        }
    }

    /// Goes on with a text that starts at byte `from` and gives each passage that ends in it.
    pub(super) fn read(&mut self, protected: &Protected, text: &str, from: usize, mut found: impl FnMut(Range<usize>)) {
        let mut ahead = Ahead { letters: Vec::with_capacity(text.len().min(AHEAD)), prints: Vec::new() };
        let (mut prints, mut last) = (self.prints.clone(), self.last);
        letters::each(text, |letter| {
            let print = prints.push(&protected.key, letter.byte);
            ahead.letters.push((letter, print != last));
            if print != last {
                ahead.prints.extend(print);
                last = print;
            }
            if ahead.letters.len() == AHEAD {
                self.look_up(protected, &mut ahead, from, &mut found);
            }
        });
        self.look_up(protected, &mut ahead, from, &mut found);
        (self.prints, self.last) = (prints, last);
    }

    fn look_up(&mut self, protected: &Protected, ahead: &mut Ahead, from: usize, found: &mut impl FnMut(Range<usize>)) {
        protected.filter.fetch(ahead.prints.iter().copied());
        let mut are_known = ahead.prints.drain(..).map(|print| protected.filter.contains(print));
        for (letter, is_new) in ahead.letters.drain(..) {
            self.take(letter.start + from, letter.is_first, if is_new { are_known.next() } else { None });
            if let Some(start) = self.start(protected.least) {
                found(start..letter.end + from);
            }
        }
    }

    /// Takes a letter, and whether the fingerprint that ends with it is known, if it is another one than before.
    #[inline]
    fn take(&mut self, start: usize, is_first: bool, is_known: Option<bool>) {
        if let Some(place) = self.places.get_mut(self.count % REMEMBERED) {
            *place = (start, is_first);
        }
        self.count += 1;
        if let Some(is_known) = is_known {
            self.is_known = is_known;
            self.changes = (self.count, self.changes.0);
        }
        self.run = if self.is_known { self.run + 1 } else { 0 };
    }

    /// Where the passage starts that ends with the last letter.
    #[inline]
    fn start(&self, least: usize) -> Option<usize> {
        // So many fingerprints lie in a passage of the least length.
        let needed = least - SPAN + 1;
        if self.run < needed {
            return None;
        }
        // Three of them are different: the same one over and over, as of rows of zeros, says little.
        let is_three = self.count - self.changes.1 + 1 < needed;
        let (start, is_first) = self.place(least)?;
        (is_three && is_first).then_some(start)
    }

    /// Where the letter so many before the next one starts. The last one is 1 before.
    fn place(&self, letters: usize) -> Option<Place> {
        let at = self.count.checked_sub(letters)?;
        self.places.get(at % REMEMBERED).copied()
    }

    /// Where the first passage starts that may still become long enough: every later one starts here or behind.
    pub(super) fn open(&self, least: usize) -> Option<usize> {
        let letters = (self.run + SPAN - 1).min(least - 1).min(self.count);
        self.place(letters).filter(|_| letters > 0).map(|(start, _)| start)
    }
}
