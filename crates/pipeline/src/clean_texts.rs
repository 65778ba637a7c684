//! Texts of requests in which nothing was found. A conversation comes again with each of its turns, and a document with
//! each question about it: what was looked at already, under the same rules, is not looked at anew.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Shorter texts are looked at as fast as they are looked up.
const LEAST_BYTES: usize = 512;

/// A set of texts that forgets the oldest: digests, no text is kept.
///
/// A tenant finds its own texts only, so that how long an answer takes tells no tenant what others asked. They share the
/// places: who sends very many texts is looked at more often, and so are others meanwhile.
pub struct CleanTexts {
    most: usize,
    generations: Mutex<Generations>,
}

/// How a text is looked at, which is part of what was found out.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    Plain,
    Json,
}

/// A text as the set knows it: BLAKE3 over tenant, form and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Known([u8; 32]);

/// When the younger half is full, the older one is forgotten; what is asked for becomes young again.
#[derive(Debug, Default)]
struct Generations {
    young: HashSet<Known>,
    old: HashSet<Known>,
}

impl CleanTexts {
    /// Keeps at most so many texts (of one, two), of 32 bytes each and what a hash set takes beside them; none, if 0.
    pub fn new(most: usize) -> Self {
        Self { most, generations: Mutex::default() }
    }

    /// What a text would be known as, if it is one to remember.
    pub(crate) fn known(&self, tenant: &str, form: Form, text: &str) -> Option<Known> {
        (self.most > 0 && text.len() >= LEAST_BYTES).then(|| Known::of(tenant, form, text))
    }

    /// Whether nothing was found in it before.
    pub(crate) fn contains(&self, known: &Known) -> bool {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if generations.young.contains(known) {
            return true;
        }
        let is_old = generations.old.contains(known);
        if is_old {
            generations.remember(*known, self.most);
        }
        is_old
    }

    /// Nothing was found in it.
    pub(crate) fn remember(&self, known: Known) {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner).remember(known, self.most);
    }
}

impl Known {
    fn of(tenant: &str, form: Form, text: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(tenant.len() as u64).to_le_bytes()).update(tenant.as_bytes());
        hasher.update(&[form as u8]).update(text.as_bytes());
        Self(hasher.finalize().into())
    }
}

impl Generations {
    fn remember(&mut self, known: Known, most: usize) {
        if self.young.contains(&known) {
            return;
        }
        if self.young.len() >= (most / 2).max(1) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_finds_its_own_texts_as_they_were_looked_at() {
        let clean = CleanTexts::new(16);
        let text = "a ".repeat(LEAST_BYTES);
        let known = |tenant, form| clean.known(tenant, form, &text).unwrap();
        clean.remember(known("acme", Form::Plain));
        assert!(clean.contains(&known("acme", Form::Plain)));
        assert!(!clean.contains(&known("acme", Form::Json)));
        assert!(!clean.contains(&known("other", Form::Plain)));
        assert!(clean.known("acme", Form::Plain, "short").is_none());
        assert!(CleanTexts::new(0).known("acme", Form::Plain, &text).is_none());
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let clean = CleanTexts::new(4);
        let known = |number: usize| Known::of("acme", Form::Plain, &number.to_string());
        for number in 0..100 {
            clean.remember(known(number));
            assert!(clean.contains(&known(0)), "{number}: asked for all the time");
        }
        let kept = (0..100).filter(|number| clean.contains(&known(*number))).count();
        assert!(kept <= 4, "{kept}");
        assert!(!clean.contains(&known(50)));
    }
}
