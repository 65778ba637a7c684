//! What stands for which value: typed and numbered placeholders, and the way back.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::finding::{Finding, Label};

/// The longest placeholder that is read, in bytes.
const MAX_LEN: usize = 40;
/// How many values are told apart; those beyond have no number and no way back.
const MAX_VALUES: usize = 1024;
/// The largest number. Numbers that a text holds already are left out up to here, so there must be none beyond.
const MAX_NUMBER: u32 = 999_999;
/// What values are called.
const WORDS: [&str; 8] = ["SECRET", "EMAIL", "CARD", "IBAN", "PHONE", "SSN", "IP", "PERSONAL"];

/// Numbers redacted values, so that the same value has the same placeholder wherever it stands: `[EMAIL_1]`, `[CARD_1]`,
/// `[SECRET_2]`. One for all texts of a request; never shared between requests.
///
/// Knows the values it numbered, to put them back where that is wanted. They are never shown. Copies share what they
/// know until one learns more.
#[derive(Clone, Default)]
pub struct Placeholders {
    known: Arc<Known>,
}

#[derive(Clone, Default)]
struct Known {
    numbers: BTreeMap<(&'static str, String), u32>,
    values: BTreeMap<(&'static str, u32), String>,
    /// The highest number of each word that is taken.
    last: BTreeMap<&'static str, u32>,
}

impl Placeholders {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves out every placeholder that `text` holds already, so that whoever wrote it there cannot have it stand for a
    /// value of somebody else. Call it with all texts before the first is checked.
    pub fn reserve(&mut self, text: &str) {
        for (_, found) in written(text) {
            let Some((word, number)) = read(found).filter(|(_, number)| *number <= MAX_NUMBER) else { continue };
            let last = Arc::make_mut(&mut self.known).last.entry(word).or_insert(0);
            *last = number.max(*last);
        }
    }

    /// Whether nothing was replaced.
    pub fn is_empty(&self) -> bool {
        self.known.numbers.is_empty()
    }

    /// Puts the values back into a whole text.
    pub fn restore<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut restorer = self.restorer();
        let restored = restorer.push(text) + &restorer.finish();
        if restored == text { Cow::Borrowed(text) } else { Cow::Owned(restored) }
    }

    /// Puts the values back into a text that comes in chunks.
    pub fn restorer(&self) -> Restorer {
        Restorer { known: self.known.clone(), held: String::new() }
    }

    /// What stands for `value`; `None` for findings whose placeholder is the same for all values. What goes on behind its
    /// finding is not known whole, so it has a number of its own and no way back.
    pub(crate) fn of(&mut self, finding: &Finding, value: &str) -> Option<String> {
        let word = word(finding)?;
        let is_whole = finding.rest().is_none();
        let key = (word, value.to_owned());
        if let Some(number) = self.known.numbers.get(&key).filter(|_| is_whole) {
            return Some(written_as(word, *number));
        }
        let is_last = self.known.last.get(word).is_some_and(|last| *last >= MAX_NUMBER);
        if is_last || self.known.numbers.len() >= MAX_VALUES {
            return Some(format!("[{word}]"));
        }
        let known = Arc::make_mut(&mut self.known);
        let last = known.last.entry(word).or_insert(0);
        *last += 1;
        let number = *last;
        if is_whole {
            known.numbers.insert(key, number);
            known.values.insert((word, number), value.to_owned());
        }
        Some(written_as(word, number))
    }
}

impl fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placeholders").field("values", &self.known.numbers.len()).finish_non_exhaustive()
    }
}

/// Puts the values back into one text that comes in chunks. Made by [`Placeholders::restorer`].
///
/// Holds back at most 40 bytes, and only from a `[` on that may still become a placeholder.
#[derive(Clone)]
pub struct Restorer {
    known: Arc<Known>,
    held: String,
}

impl Restorer {
    /// Takes a chunk and gives the text that is certain.
    pub fn push(&mut self, chunk: &str) -> String {
        self.held.push_str(chunk);
        let open = open_from(&self.held);
        let rest = self.held.split_off(open);
        let certain = std::mem::replace(&mut self.held, rest);
        self.replaced(&certain)
    }

    /// Ends the text and gives what was held back.
    pub fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.held);
        self.replaced(&rest)
    }

    fn replaced(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for (at, found) in written(text) {
            let Some(value) = read(found).and_then(|key| self.known.values.get(&key)) else { continue };
            out.push_str(text.get(done..at).unwrap_or_default());
            out.push_str(value);
            done = at + found.len();
        }
        out.push_str(text.get(done..).unwrap_or_default());
        out
    }
}

impl fmt::Debug for Restorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Restorer").field("values", &self.known.values.len()).finish_non_exhaustive()
    }
}

/// Every word a placeholder can have, for whoever must know that none forms a token.
pub(crate) fn examples() -> impl Iterator<Item = String> {
    WORDS.into_iter().map(|word| written_as(word, 1))
}

/// Whether something in the text may be put back as a value.
pub(crate) fn is_in(text: &[u8]) -> bool {
    text.contains(&b'[') && written(&String::from_utf8_lossy(text)).any(|(_, found)| read(found).is_some())
}

/// The word and number of a placeholder, if it is one of ours and written as we write it.
fn read(found: &str) -> Option<(&'static str, u32)> {
    let (word, number) = found.strip_prefix('[')?.strip_suffix(']')?.rsplit_once('_')?;
    let word = WORDS.into_iter().find(|known| *known == word)?;
    let is_plain = !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit());
    Some((word, number.parse().ok().filter(|_| is_plain)?))
}

fn written_as(word: &str, number: u32) -> String {
    format!("[{word}_{number}]")
}

/// What a value is called: by its rule for personal data, so that a model can tell a card from an address.
fn word(finding: &Finding) -> Option<&'static str> {
    match (finding.label(), finding.rule()) {
        (Label::Secret, _) => Some("SECRET"),
        (Label::Personal, "personal.email") => Some("EMAIL"),
        (Label::Personal, "personal.card") => Some("CARD"),
        (Label::Personal, "personal.iban") => Some("IBAN"),
        (Label::Personal, "personal.phone") => Some("PHONE"),
        (Label::Personal, "personal.social_security") => Some("SSN"),
        (Label::Personal, "personal.address") => Some("IP"),
        (Label::Personal, _) => Some("PERSONAL"),
        _ => None,
    }
}

/// Everything in a text that is written like a placeholder, with its place.
fn written(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices('[').filter_map(|(at, _)| {
        let here = text.get(at..)?;
        let len = 1 + here.bytes().skip(1).take(MAX_LEN).take_while(|byte| is_inner(*byte)).count();
        let found = here.get(..=len)?;
        (found.ends_with(']') && found.contains('_') && found.len() <= MAX_LEN).then_some((at, found))
    })
}

/// From where a text may go on to be a placeholder.
fn open_from(text: &str) -> usize {
    let from = text.floor_char_boundary(text.len().saturating_sub(MAX_LEN));
    let tail = text.get(from..).unwrap_or_default();
    let open = tail.rfind('[').filter(|at| tail.bytes().skip(at + 1).all(is_inner));
    open.map_or(text.len(), |at| from + at)
}

const fn is_inner(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
}
