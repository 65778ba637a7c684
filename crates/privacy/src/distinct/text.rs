//! The sketch of a text: of its words, pairs of words and four characters in a row, in lower case and compatibility
//! form (NFKC), without punctuation.

use unicode_normalization::UnicodeNormalization as _;

use super::sketch::Sketch;

/// Features that are counted, about: of more, a share is, which their own hashes choose.
const FEATURES: usize = 8_192;
/// The last four characters, of 21 bits each.
const GRAM: u128 = (1 << 84) - 1;

/// How many features have each of 64 bits: numbers of up to 32 bits, of which each word holds one bit.
struct Counts {
    words: [u64; 2],
    mask: u64,
    features: u32,
    planes: [u64; 32],
}

/// None, if there is neither a letter nor a digit.
pub(super) fn sketch(words: [u64; 2], text: &str) -> Option<Sketch> {
    // About three features for two characters.
    let shares = (text.len() / FEATURES * 3 / 2 + 1).next_power_of_two();
    let mut counts = Counts { words, mask: shares as u64 - 1, features: 0, planes: [0; 32] };
    if text.is_ascii() {
        counts.add_all(text.bytes().map(|byte| char::from(byte.to_ascii_lowercase())));
    } else {
        counts.add_all(text.nfkc().flat_map(char::to_lowercase));
    }
    counts.sketch()
}

impl Counts {
    fn add_all(&mut self, chars: impl Iterator<Item = char>) {
        let (mut word, mut last_word, mut is_in_word, mut gram) = (0, 0_u64, false, 0_u128);
        for ch in chars.chain([' ']) {
            let is_letter = ch.is_alphanumeric();
            if is_letter {
                word = mix(word ^ u64::from(ch));
            } else if is_in_word {
                self.add(1, word);
                self.add(2, last_word.rotate_left(1) ^ word);
                (last_word, word) = (word, 0);
            }
            if is_letter || is_in_word {
                gram = (gram << 21 | u128::from(u32::from(if is_letter { ch } else { ' ' }))) & GRAM;
                self.add(3, mix((gram >> 64) as u64) ^ gram as u64);
            }
            is_in_word = is_letter;
        }
    }

    fn add(&mut self, kind: u64, feature: u64) {
        let [one, other] = self.words;
        let hash = mix(mix(feature ^ kind ^ one) ^ other);
        if hash.rotate_left(32) & self.mask != 0 {
            return;
        }
        self.features = self.features.saturating_add(1);
        let mut carry = hash;
        for plane in &mut self.planes {
            (*plane, carry) = (*plane ^ carry, *plane & carry);
            if carry == 0 {
                break;
            }
        }
    }

    /// The bits that more than half of the features have.
    fn sketch(&self) -> Option<Sketch> {
        let count = |at: u32| (0_u32..).zip(&self.planes).map(|(bit, plane)| (plane >> at & 1) << bit).sum::<u64>();
        let is_set = |at: u32| count(at) * 2 > u64::from(self.features);
        let bits = (0..64).filter(|at| is_set(*at)).fold(0, |bits, at| bits | 1 << at);
        (self.features > 0).then(|| Sketch::of_bits(bits))
    }
}

/// The finaliser of splitmix64: spreads every bit, keeps no secret.
const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ value >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ value >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ value >> 31
}
