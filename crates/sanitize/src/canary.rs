//! Words that are planted in a system prompt to see whether it leaks.

use aho_corasick::AhoCorasick;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::canary_forms::forms;
use crate::detector::Detector;
use crate::error::BuildError;
use crate::finding::{Finding, Label, Severity};
use crate::letters::{self, Letter};
use crate::normalize::Normalized;

/// The longest stretch of text that is taken for one word, in bytes.
const WINDOW: usize = 192;
/// How long a word may be: short enough for its longest form, six characters for each of its own, to fit the window.
const LENGTHS: std::ops::RangeInclusive<usize> = 12..=32;
/// How long a derived word is: 100 bits.
const DERIVED: usize = 20;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

type HmacSha256 = Hmac<Sha256>;

/// Finds words that were planted in a text that must not be repeated, such as a system prompt.
///
/// A word is found plain, backwards, in ROT13, base64 (of either case, wherever it starts in the encoded text), in
/// hexadecimal, decimal or octal numbers, percent encoded once or twice, and as `\x`, `\u` or HTML escapes; in any case and with
/// anything but letters and digits between the characters (spaces, line breaks, dots, what does not show), as long as all of it
/// fits in 192 bytes. Other ciphers, translations and words told letter by letter in sentences pass.
#[derive(Debug, Clone)]
pub struct Canary {
    forms: Vec<Vec<u8>>,
    searcher: AhoCorasick,
}

impl Canary {
    /// Looks for these words: 12 to 32 ASCII letters and digits each, which should be random.
    ///
    /// # Errors
    /// [`BuildError::CanaryWord`] for any other word, or so many words that they cannot be searched together.
    pub fn new<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> Result<Self, BuildError> {
        let mut all = Vec::new();
        for word in words {
            let word = word.as_ref().as_bytes();
            if !LENGTHS.contains(&word.len()) || !word.iter().all(u8::is_ascii_alphanumeric) {
                return Err(BuildError::CanaryWord);
            }
            all.extend(forms(word));
        }
        all.sort_unstable();
        all.dedup();
        let searcher = AhoCorasick::new(&all).map_err(|_| BuildError::CanaryWord)?;
        Ok(Self { forms: all, searcher })
    }

    /// The word of a tenant: 20 characters of HMAC-SHA-256 (RFC 2104) over its name. It tells nothing about the secret
    /// or other words, and is the same as long as the secret is.
    pub fn derive(secret: &[u8], tenant: &str) -> String {
        let mut key = hmac::digest::Key::<HmacSha256>::default();
        let digest = Sha256::digest(secret);
        let secret = if secret.len() > key.len() { digest.as_slice() } else { secret };
        key.iter_mut().zip(secret).for_each(|(slot, byte)| *slot = *byte);
        let mut mac = HmacSha256::new(&key);
        mac.update(b"canary\0");
        mac.update(tenant.as_bytes());
        let bytes = mac.finalize().into_bytes();
        let letter = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('a', char::from);
        bytes.iter().take(DERIVED).map(letter).collect()
    }
}

impl Detector for Canary {
    fn label(&self) -> Label {
        Label::Canary
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        let text = text.original();
        let mut squeezed = Vec::new();
        letters::each(text, |letter| squeezed.push(letter.byte));
        let hits: Vec<_> = self.searcher.find_overlapping_iter(&squeezed).map(|hit| hit.range()).collect();
        if hits.is_empty() {
            return;
        }
        let mut places = Vec::with_capacity(squeezed.len());
        letters::each(text, |letter| places.push((letter.start, letter.end)));
        for hit in hits {
            let (Some((start, _)), Some((_, end))) = (places.get(hit.start), places.get(hit.end - 1)) else { continue };
            if end - start <= WINDOW {
                found.push(Finding::new(Label::Canary, "canary", Severity::High).at(*start..*end));
            }
        }
    }

    fn window(&self) -> Option<usize> {
        Some(WINDOW)
    }

    fn open_from(&self, tail: &str) -> usize {
        let from = tail.ceil_char_boundary(tail.len().saturating_sub(WINDOW));
        let mut letters: Vec<Letter> = Vec::new();
        letters::each(tail.get(from..).unwrap_or_default(), |letter| letters.push(letter));
        let squeezed: Vec<u8> = letters.iter().map(|letter| letter.byte).collect();
        let is_open = |at: usize| {
            let rest = squeezed.get(at..).unwrap_or_default();
            self.forms.iter().any(|form| form.len() > rest.len() && form.starts_with(rest))
        };
        let open = letters.iter().enumerate().find(|(at, letter)| letter.is_first && is_open(*at));
        open.map_or(tail.len(), |(_, letter)| from + letter.start)
    }
}
