//! The same few words over and over: how a model is made to lose its way, and what it looks like when it has.
//!
//! A model that is asked to repeat a word forever may leave the task and give out what it was trained on (Nasr et al.,
//! "Scalable extraction of training data from (production) language models", 2023, section 5.3).

use std::ops::Range;

use crate::detector::{Detector, LEFT_CONTEXT};
use crate::finding::{Finding, Label, Severity};
use crate::letters::{self, Letter, Recent};
use crate::normalize::Normalized;

/// How much of a repetition must be seen before it counts, in bytes; as much again as [`LEFT_CONTEXT`] stays in front.
const WINDOW: usize = 192;
/// The longest part that is repeated, in bytes of letters and digits.
const LONGEST: usize = 48;
/// How many bytes of letters and digits must fit before a repetition is followed.
const FEW: usize = 8;
/// The longest run that is told from a longer one: more than a window has letters.
const MOST: u16 = 255;
const SLOTS: usize = 1024;
/// How long a streak must be to look closer. Any repetition of more than [`FEW`] bytes is longer.
const STREAK: usize = 2;
/// How many of them a window must have.
const LEAST: usize = 48;
/// How often a part must stand in a window.
const TIMES: usize = 4;

/// Finds a part of at most 48 bytes, with at least one letter, that is repeated for about 200 bytes. Only letters and
/// digits are compared, without their case.
///
/// The first bytes of a repetition stay; what is found goes on to its end. Repetitions of what data is filled with
/// (`null`, `true`, `0x00`, a single letter without gaps) are left alone.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Repetition;

impl Repetition {
    /// Parts of any kind.
    pub fn new() -> Self {
        Self
    }
}

/// What is known while a text is read.
struct Reader {
    recent: Recent,
    latest: Latest,
    gram: u64,
    /// For each hash of [`FEW`] bytes, how many there were when it was last seen.
    seen: [usize; SLOTS],
    /// How many times in a row the last [`FEW`] bytes may have been seen no more than [`LONGEST`] before.
    streak: usize,
    /// For each distance, how many bytes in a row are the same as those before them; only kept in a streak.
    runs: Option<[u16; LONGEST]>,
}

impl Reader {
    fn new() -> Self {
        Self { recent: Recent::new(), latest: Latest::new(), gram: 0, seen: [0; SLOTS], streak: 0, runs: None }
    }

    #[inline]
    fn take(&mut self, letter: Letter) {
        self.recent.push(letter);
        self.gram = self.gram << 8 | u64::from(letter.byte);
        // Multiplicative hashing: Knuth, "The Art of Computer Programming", volume 3, 6.4.
        let slot = (self.gram.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % SLOTS;
        let count = self.recent.count();
        let before = self.seen.get_mut(slot).map_or(0, |seen| std::mem::replace(seen, count));
        self.streak = if count - before > LONGEST { 0 } else { self.streak + 1 };
        match self.streak < STREAK {
            true => self.runs = None,
            false => self.follow(letter.byte),
        }
        self.latest.push(letter.byte);
    }

    /// Goes on in a streak. Apart from [`Self::take`], which is small without it.
    #[inline(never)]
    fn follow(&mut self, byte: u8) {
        self.runs = match self.runs {
            Some(runs) => Some(further(runs, self.latest.bytes(), byte)),
            None => Some(std::array::from_fn(|at| self.run(at + 1))),
        };
    }

    /// How many of the last bytes are the same as those at this distance before them.
    fn run(&self, distance: usize) -> u16 {
        let byte = |back: usize| self.recent.back(back).map(|letter| letter.byte);
        let is_same = |back: &u16| {
            let back = usize::from(*back);
            byte(back + distance).is_some() && byte(back) == byte(back + distance)
        };
        (1..=MOST).take_while(is_same).count() as u16
    }

    /// The window that ends here, if it holds one part over and over.
    fn hit(&self) -> Option<Range<usize>> {
        // In a run of the same bytes all but the first [`FEW`] are in a streak.
        let runs = self.runs.filter(|_| self.streak >= LEAST)?;
        if usize::from(runs.into_iter().max()?) < LEAST + FEW {
            return None;
        }
        let end = self.recent.back(1)?.end;
        let letters = self.recent.since(end.checked_sub(WINDOW)?);
        let start = self.recent.back(letters).filter(|letter| letter.is_first)?.start;
        let left = start.saturating_sub(LEFT_CONTEXT);
        let is_seen = |back: usize| self.recent.back(back).is_some_and(|letter| letter.start >= left);
        let is_part = |(run, distance): &(u16, usize)| {
            usize::from(*run) >= letters + FEW
                && letters >= LEAST.max(TIMES * distance)
                && is_seen(letters + FEW + distance)
        };
        let (_, distance) = runs.into_iter().zip(1..).find(is_part)?;
        let is_first = |back: &usize| self.recent.back(*back).is_some_and(|letter| letter.is_first);
        // Characters of three bytes are words or syllables rather than letters.
        let is_letter = distance <= 2 && (1..=distance).filter(is_first).count() == 1;
        let is_padding = is_letter && letters * 4 >= WINDOW * 3;
        (!is_padding && !is_filling(self.latest.bytes().get(..distance)?)).then_some(start..end)
    }

    /// Where a window may start that is not yet full.
    fn open(&self) -> Option<usize> {
        let longest = usize::from(self.runs?.into_iter().max()?);
        (longest > FEW).then(|| self.recent.back(longest - FEW).map_or(0, |letter| letter.start))
    }
}

/// The last bytes, latest first. They grow towards the front of a buffer, so that only few of them are ever moved.
struct Latest {
    buffer: [u8; 1024],
    start: usize,
}

impl Latest {
    const FRESH: usize = 1024 - LONGEST;

    fn new() -> Self {
        Self { buffer: [0; 1024], start: Self::FRESH }
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        if self.start == 0 {
            self.buffer.copy_within(..LONGEST, Self::FRESH);
            self.start = Self::FRESH;
        }
        self.start -= 1;
        if let Some(first) = self.buffer.get_mut(self.start) {
            *first = byte;
        }
    }

    fn bytes(&self) -> [u8; LONGEST] {
        let latest = self.buffer.get(self.start..).and_then(<[u8]>::first_chunk);
        latest.copied().unwrap_or([0; LONGEST])
    }
}

/// The runs behind the next byte.
fn further(runs: [u16; LONGEST], before: [u8; LONGEST], byte: u8) -> [u16; LONGEST] {
    let mut next = runs;
    for (run, before) in next.iter_mut().zip(before) {
        *run = (*run + 1).min(MOST) * u16::from(before == byte);
    }
    next
}

/// What stands in rows in data and markup, each also starting at any other of its letters.
const FILLINGS: [&[u8]; 17] = [
    b"null",
    b"nil",
    b"none",
    b"nan",
    b"na",
    b"inf",
    b"true",
    b"false",
    b"undefined",
    b"nbsp",
    b"br",
    b"hr",
    b"td",
    b"th",
    b"tr",
    b"li",
    b"div",
];

/// Whether data is filled with this part, which may start anywhere.
fn is_filling(part: &[u8]) -> bool {
    let is_in_order = |word: &&[u8]| {
        let twice = word.iter().chain(*word).rev();
        let starts = 0..word.len();
        word.len() == part.len() && starts.into_iter().any(|start| twice.clone().skip(start).take(part.len()).eq(part))
    };
    let has_digit = part.iter().any(u8::is_ascii_digit);
    let is_number = has_digit && part.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b'u'));
    is_number || FILLINGS.iter().any(is_in_order)
}

impl Detector for Repetition {
    fn label(&self) -> Label {
        Label::Repetition
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        let mut reader = Reader::new();
        letters::each(text.original(), |letter| {
            reader.take(letter);
            if let Some(range) = reader.hit() {
                found.push(Finding::new(Label::Repetition, "repetition.run", Severity::Medium).at(range));
            }
        });
    }

    fn window(&self) -> Option<usize> {
        Some(WINDOW)
    }

    fn open_from(&self, tail: &str) -> usize {
        let mut reader = Reader::new();
        letters::each(tail, |letter| reader.take(letter));
        let least = tail.ceil_char_boundary(tail.len().saturating_sub(WINDOW));
        reader.open().map_or(tail.len(), |open| open.max(least))
    }
}
