//! What the score sees of a text: hashed n-grams of characters, words and concepts, each at the
//! block of bytes in which it ends. The trainer sees the same through `sanitize::training`.

use crate::score::lexicon::{Concept, Lexicon};

/// How many slots there are, as a power of two.
pub(crate) const BITS: u32 = 18;
/// How many bytes of folded text are summed up together. Windows start at multiples of it.
pub(crate) const BLOCK: usize = 64;
/// How many blocks make a window.
pub(crate) const WINDOW: usize = 3;
/// How many times a feature of concepts is counted: one says more than a feature of letters, of which
/// a window has many more.
const CONCEPT_WORTH: usize = 4;
/// The furthest that two concepts of one feature stand apart, in bytes of folded text.
const REACH: usize = 96;

/// A text of fewer features is divided by this many: a greeting says too little to be far from the middle.
const LEAST: u32 = 128;

/// What a sum of weights is divided by: texts of any length become comparable.
#[expect(clippy::cast_precision_loss, reason = "a window has fewer than 2^24 features")]
pub(crate) fn norm(count: u32) -> f32 {
    (count.max(LEAST) as f32).sqrt()
}

/// Kinds of features, so that equal contents of two kinds fall into different slots.
#[derive(Clone, Copy)]
enum Kind {
    Chars4 = 1,
    Chars5,
    Word,
    Words2,
    Words3,
    Skip,
    Concept,
    Concepts2,
    Concepts3,
}

/// Calls `sink` with the block and the slot of every feature of `folded`, but only once for those
/// that come again within a window: what is repeated does not count more. Fewer than four features
/// a byte in English prose, never more than eight.
pub(crate) fn visit(folded: &str, lexicon: &Lexicon, mut sink: impl FnMut(usize, usize)) {
    let mut recent = Recent::new();
    visit_words(folded, &mut |block, slot| {
        if recent.is_new(block, slot) {
            sink(block, slot);
        }
    });
    visit_concepts(folded, lexicon, &mut |block, slot| {
        if recent.is_new(block, slot) {
            (0..CONCEPT_WORTH).for_each(|_| sink(block, slot));
        }
    });
}

/// Which slots were counted not long ago. It forgets some, and then they are counted again.
struct Recent {
    counted: Box<[(u32, u32)]>,
}

impl Recent {
    const LEN: usize = 1 << 12;

    fn new() -> Self {
        Self { counted: vec![(u32::MAX, 0); Self::LEN].into() }
    }

    fn is_new(&mut self, block: usize, slot: usize) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "texts are shorter than 2^32 blocks, slots than 2^18")]
        let (block, slot) = (block as u32, slot as u32);
        let Some(place) = self.counted.get_mut(slot as usize % Self::LEN) else { return true };
        let is_new = place.0 != slot || block >= place.1 + WINDOW as u32;
        if is_new {
            *place = (slot, block);
        }
        is_new
    }
}

fn visit_words(folded: &str, sink: &mut impl FnMut(usize, usize)) {
    let mut chars = [0_u64; 4];
    let mut words = Words::default();
    for (at, ch) in folded.char_indices() {
        let block = at / BLOCK;
        let code = u64::from(u32::from(ch)) + 1;
        let [c1, c2, c3, c4] = chars;
        let three = mix(mix(code, c1), c2);
        let four = mix(three, c3);
        sink(block, slot(four, Kind::Chars4));
        sink(block, slot(mix(four, c4), Kind::Chars5));
        chars = [code, c1, c2, c3];
        if is_ideograph(ch) {
            words.end(block, sink);
            words.grow(code);
            words.end(block, sink);
        } else if ch.is_alphanumeric() {
            words.grow(code);
        } else {
            words.end(block, sink);
        }
    }
    words.end(folded.len().saturating_sub(1) / BLOCK, sink);
}

/// The word that is being read and the two before it, hashed. Zero stands for none.
#[derive(Default)]
struct Words {
    current: u64,
    last: u64,
    before: u64,
}

impl Words {
    const fn grow(&mut self, code: u64) {
        self.current = mix(self.current, code);
    }

    fn end(&mut self, block: usize, sink: &mut impl FnMut(usize, usize)) {
        let word = std::mem::take(&mut self.current);
        if word == 0 {
            return;
        }
        let pair = mix(self.last, word);
        sink(block, slot(word, Kind::Word));
        sink(block, slot(pair, Kind::Words2));
        sink(block, slot(mix(self.before, pair), Kind::Words3));
        sink(block, slot(mix(self.before, word), Kind::Skip));
        self.before = std::mem::replace(&mut self.last, word);
    }
}

fn visit_concepts(folded: &str, lexicon: &Lexicon, sink: &mut impl FnMut(usize, usize)) {
    let mut past: [Option<(usize, Concept)>; 3] = [None; 3];
    for (end, concept) in lexicon.concepts(folded) {
        let block = end.saturating_sub(1) / BLOCK;
        let code = concept.code();
        sink(block, slot(code, Kind::Concept));
        let near = past.map(|one| one.filter(|(at, _)| at + REACH >= end).map(|(_, concept)| concept.code()));
        for other in near.into_iter().flatten() {
            sink(block, slot(mix(other, code), Kind::Concepts2));
        }
        if let [Some(last), Some(before), _] = near {
            sink(block, slot(mix(mix(before, last), code), Kind::Concepts3));
        }
        let [last, before, _] = past;
        past = [Some((end, concept)), last, before];
    }
}

/// Scripts that write no spaces: every character is a word.
const fn is_ideograph(ch: char) -> bool {
    matches!(ch, '\u{e00}'..='\u{e7f}' | '\u{3041}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

/// Multiplication by an odd number with its bits well spread (Steele and Vigna, "Computationally
/// easy, spectrally good multipliers").
const fn mix(state: u64, code: u64) -> u64 {
    (state.rotate_left(23) ^ code).wrapping_mul(0xd134_2543_de82_ef95)
}

const fn slot(hash: u64, kind: Kind) -> usize {
    (mix(hash, kind as u64) >> (u64::BITS - BITS)) as usize
}
