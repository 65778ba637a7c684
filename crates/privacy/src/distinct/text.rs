//! The sketch of a text: of its words, pairs of words and four characters in a row, in lower case and compatibility
//! form (NFKC), without punctuation.

use unicode_normalization::UnicodeNormalization as _;

use super::sketch::Sketch;

/// Features that are counted, about: of more, a share is, which their own hashes choose.
const FEATURES: usize = 8_192;
/// Characters of a feature.
const GRAM: usize = 4;

/// Signs that are added up, 64 at once.
struct Counts {
    words: [u64; 2],
    sums: [f32; 64],
    mask: u64,
    is_empty: bool,
}

/// None, if there is neither a letter nor a digit.
pub(super) fn sketch(words: [u64; 2], text: &str) -> Option<Sketch> {
    // About three features for two characters.
    let shares = (text.len() / FEATURES * 3 / 2 + 1).next_power_of_two();
    let mut counts = Counts { words, sums: [0.0; 64], mask: shares as u64 - 1, is_empty: true };
    let (mut word, mut last_word, mut is_in_word) = (0, 0_u64, false);
    let mut gram = [' '; GRAM];
    for ch in text.nfkc().flat_map(char::to_lowercase).chain([' ']) {
        let is_letter = ch.is_alphanumeric();
        if is_letter {
            word = mix(word ^ u64::from(ch));
        } else if is_in_word {
            counts.add(1, word);
            counts.add(2, last_word.rotate_left(1) ^ word);
            (last_word, word) = (word, 0);
        }
        if is_letter || is_in_word {
            gram.rotate_left(1);
            if let Some(last) = gram.last_mut() {
                *last = if is_letter { ch } else { ' ' };
            }
            counts.add(3, gram.iter().fold(0, |hash, ch| mix(hash ^ u64::from(*ch))));
        }
        is_in_word = is_letter;
    }
    (!counts.is_empty).then(|| Sketch::of_sums(&counts.sums))
}

impl Counts {
    fn add(&mut self, kind: u64, feature: u64) {
        let [one, other] = self.words;
        let hash = mix(mix(feature ^ kind ^ one) ^ other);
        if hash.rotate_left(32) & self.mask != 0 {
            return;
        }
        self.is_empty = false;
        for (at, sum) in self.sums.iter_mut().enumerate() {
            *sum += if hash >> at & 1 == 0 { -1.0 } else { 1.0 };
        }
    }
}

/// The finaliser of splitmix64: spreads every bit, keeps no secret.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}
