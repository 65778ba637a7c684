//! Long parts of a system prompt, told word for word.

use std::collections::BTreeMap;

use crate::detector::Detector;
use crate::finding::{Finding, Label, Severity};
use crate::letters::{self, Letter, Recent};
use crate::normalize::Normalized;

/// The longest stretch of text that is compared at once, in bytes.
const WINDOW: usize = 192;
/// How many bytes of letters and digits are compared at a time.
const GRAM: usize = size_of::<u64>();
/// The shortest prompt that is looked for, in bytes of letters and digits.
const LEAST: usize = 40;
/// The longest match that is waited for, so that white space and punctuation have room in the window.
const MOST: usize = 150;
/// How many bytes of letters and digits of the prompts are remembered.
const MAX_PROMPTS: usize = 256 << 10;

/// Finds a long part of a system prompt that is repeated word for word, whatever the case, white space and punctuation
/// as far as the part, with them, fits in 192 bytes.
///
/// It looks for a run of letters and digits whose every eight bytes stand in a prompt. Made for a request from its own
/// prompts: that costs about as much as sorting their bytes. What is reworded, translated or encoded passes, and so does
/// what is stretched: 100 letters with a space behind each are 200 bytes.
#[derive(Debug, Clone)]
pub struct Overlap {
    /// Every eight bytes in a row of the prompts, in order.
    grams: Vec<u64>,
    /// Tells most grams that are not in the list.
    filter: Vec<u64>,
    /// Prompts that are too short for a run, by their last gram.
    short: BTreeMap<u64, Vec<u8>>,
    least: usize,
}

/// What is known while a text is read: no more than a window of it.
struct Reader<'o> {
    overlap: &'o Overlap,
    recent: Recent,
    gram: u64,
    /// How many grams in a row stand in a prompt.
    run: usize,
}

impl Overlap {
    /// How long a run must be if nothing is said, in bytes of letters and digits.
    pub const DEFAULT_LEAST: usize = 100;

    /// Looks for runs of `least` bytes of letters and digits of the prompts, at least 40 and at most 150, and for whole prompts
    /// that are shorter than that and no shorter than 40. Remembers 256 KiB of them.
    pub fn new<P: AsRef<str>>(prompts: impl IntoIterator<Item = P>, least: usize) -> Self {
        let least = least.clamp(LEAST, MOST);
        let (mut grams, mut short, mut room) = (Vec::new(), BTreeMap::new(), MAX_PROMPTS);
        for prompt in prompts {
            let mut bytes = Vec::new();
            letters::each(prompt.as_ref(), |letter| bytes.push(letter.byte));
            bytes.truncate(room);
            room -= bytes.len();
            if bytes.len() < LEAST {
                continue;
            }
            grams.extend(bytes.array_windows().map(|gram: &[u8; GRAM]| u64::from_be_bytes(*gram)));
            if bytes.len() < least
                && let Some(last) = grams.last()
            {
                short.insert(*last, bytes);
            }
        }
        grams.sort_unstable();
        grams.dedup();
        let mut filter = vec![0; (grams.len() / 8).next_power_of_two().max(64)];
        for gram in &grams {
            let (word, bit) = place(*gram, filter.len());
            if let Some(word) = filter.get_mut(word) {
                *word |= bit;
            }
        }
        Self { grams, filter, short, least }
    }

    fn knows(&self, gram: u64) -> bool {
        let (word, bit) = place(gram, self.filter.len());
        self.filter.get(word).is_some_and(|word| word & bit != 0) && self.grams.binary_search(&gram).is_ok()
    }

    /// Whether a gram starts with the last `length` bytes of this one.
    fn knows_start(&self, gram: u64, length: usize) -> bool {
        let bits = 8 * (GRAM - length);
        let low = gram.checked_shl(bits as u32).unwrap_or(0);
        let next = self.grams.partition_point(|known| *known < low);
        self.grams.get(next).is_some_and(|known| known >> bits == low >> bits)
    }

    fn read(&self, text: &str, mut each: impl FnMut(&Reader<'_>)) {
        let mut reader = Reader { overlap: self, recent: Recent::new(), gram: 0, run: 0 };
        letters::each(text, |letter| {
            reader.take(letter);
            each(&reader);
        });
    }
}

/// Where a filter of so many words has the bit of a gram (Knuth, "The Art of Computer Programming", volume 3, 6.4).
fn place(gram: u64, words: usize) -> (usize, u64) {
    let hash = gram.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((hash >> 40) as usize & (words - 1), 1 << (hash >> 34 & 63))
}

impl Reader<'_> {
    fn take(&mut self, letter: Letter) {
        self.recent.push(letter);
        self.gram = self.gram << 8 | u64::from(letter.byte);
        let is_known = self.recent.count() >= GRAM && self.overlap.knows(self.gram);
        self.run = if is_known { self.run + 1 } else { 0 };
    }

    /// What is repeated and ends here, if it is long enough.
    fn hit(&self) -> Option<std::ops::Range<usize>> {
        let last = self.recent.back(1)?;
        let is_long = self.run > self.overlap.least - GRAM;
        let length = if is_long { self.overlap.least } else { self.short()? };
        let first = self.recent.back(length)?;
        let is_whole = first.is_first && last.end - first.start <= WINDOW;
        is_whole.then_some(first.start..last.end)
    }

    /// The length of the short prompt that ends here.
    fn short(&self) -> Option<usize> {
        let prompt = self.overlap.short.get(&self.gram).filter(|_| self.run > 0)?;
        let is_same =
            |(back, byte): (usize, &u8)| self.recent.back(back + 1).is_some_and(|letter| letter.byte == *byte);
        prompt.iter().rev().enumerate().all(is_same).then_some(prompt.len())
    }

    /// Where something that is not yet long enough starts.
    fn open(&self) -> Option<usize> {
        let letters = match self.run {
            0 => (1..GRAM.min(self.recent.count() + 1))
                .rev()
                .find(|length| self.overlap.knows_start(self.gram, *length))?,
            run => run + GRAM - 1,
        };
        self.recent.back(letters).map(|letter| letter.start)
    }
}

impl Detector for Overlap {
    fn label(&self) -> Label {
        Label::PromptLeak
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        if self.grams.is_empty() {
            return;
        }
        self.read(text.original(), |reader| {
            if let Some(range) = reader.hit() {
                found.push(Finding::new(Label::PromptLeak, "leak.system_prompt", Severity::High).at(range));
            }
        });
    }

    fn window(&self) -> Option<usize> {
        Some(WINDOW)
    }

    fn open_from(&self, tail: &str) -> usize {
        let from = tail.ceil_char_boundary(tail.len().saturating_sub(WINDOW));
        let mut open = None;
        self.read(tail.get(from..).unwrap_or_default(), |reader| open = reader.open());
        open.map_or(tail.len(), |open| from + open)
    }
}
