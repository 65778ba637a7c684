//! Credentials with a known prefix.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use crate::detector::Detector;
use crate::finding::{Finding, Label, Severity};
use crate::normalize::Normalized;
use crate::secret_rules::{FORMS, Form, Probe};

/// Longer than any form needs from its first byte to be certain, in bytes.
const WINDOW: usize = 192;

/// The prefixes of all forms, looked for many bytes at a time. `None` where they do not compile, which tests rule out.
static PREFIXES: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let prefixes = FORMS.iter().map(|form| form.prefix);
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(prefixes).ok()
});

/// Finds credentials that are written with a known prefix: AWS access key ids, GitHub, GitLab,
/// Slack, Stripe, OpenAI, Anthropic and Google keys, JSON Web Tokens, private key blocks and
/// Portcullis keys.
///
/// Lengths and alphabets are checked, a JWT by its header; stand-ins such as `AKIAIOSFODNN7EXAMPLE`
/// or `glpat-XXXXXXXXXXXXXXXXXXXX` are passed over. A prefix counts only at the start of a word.
/// It looks at the text as it is: an encoded, spaced or split credential is not found, nor one
/// without a prefix. What was found is credential-shaped; no checksum or issuer is asked.
///
/// A key block is redacted from its header through its footer, or to the end of the text if there
/// is none.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Secrets;

impl Secrets {
    /// All forms.
    pub fn new() -> Self {
        Self
    }

    /// The ids of the rules.
    pub fn rules() -> impl Iterator<Item = &'static str> {
        FORMS.iter().map(|form| form.rule)
    }
}

impl Detector for Secrets {
    fn label(&self) -> Label {
        Label::Secret
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        let bytes = text.original().as_bytes();
        for (at, form, rest) in prefixed(bytes) {
            let (len, rest) = match form.probe(rest) {
                Probe::Match(len, rest) => (len, rest),
                Probe::Open(Some(len)) => (len, None),
                Probe::Open(None) | Probe::No => continue,
            };
            let finding = Finding::new(Label::Secret, form.rule, Severity::High);
            found.push(finding.at(at..at + len).with_rest(rest));
        }
    }

    fn window(&self) -> Option<usize> {
        Some(WINDOW)
    }

    fn open_from(&self, tail: &str) -> usize {
        let bytes = tail.as_bytes();
        let is_open = |form: &Form, rest: &[u8]| {
            if rest.len() < form.prefix.len() {
                return form.prefix.as_bytes().starts_with(rest);
            }
            rest.starts_with(form.prefix.as_bytes()) && matches!(form.probe(rest), Probe::Open(_))
        };
        starts(bytes, bytes.len().saturating_sub(WINDOW))
            .find(|(_, form, rest)| is_open(form, rest))
            .map_or(bytes.len(), |(at, _, _)| at)
    }
}

/// Every place where a prefix stands as it may, with the form and the bytes from there.
fn prefixed(bytes: &[u8]) -> impl Iterator<Item = (usize, &'static Form, &[u8])> {
    let mut from = 0;
    let places = std::iter::from_fn(move || {
        let at = match &*PREFIXES {
            Some(prefixes) => prefixes.find(Input::new(bytes).range(from..))?.start(),
            None => from + bytes.get(from..)?.iter().position(|byte| is_first(*byte))?,
        };
        from = at + 1;
        Some(at)
    });
    let forms = places.flat_map(move |at| forms_at(bytes, at));
    forms.filter(|(_, form, rest)| rest.starts_with(form.prefix.as_bytes()))
}

/// Every place from `from` on where a form may start, with the form and the bytes from there.
fn starts(bytes: &[u8], from: usize) -> impl Iterator<Item = (usize, &'static Form, &[u8])> {
    let places = bytes.iter().enumerate().skip(from).filter(|(_, byte)| is_first(**byte));
    places.flat_map(move |(at, _)| forms_at(bytes, at))
}

/// The forms that may start at `at`, by their first byte and the one before.
fn forms_at(bytes: &[u8], at: usize) -> impl Iterator<Item = (usize, &'static Form, &[u8])> {
    let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
    let rest = bytes.get(at..).unwrap_or_default();
    let first = rest.first().copied().filter(|first| may_follow(*first, before));
    let fits = move |form: &&'static Form| first.is_some() && form.prefix.as_bytes().first().copied() == first;
    FORMS.iter().filter(fits).map(move |form| (at, form, rest))
}

const fn is_first(byte: u8) -> bool {
    matches!(byte, b'A' | b'g' | b'x' | b's' | b'r' | b'p' | b'e' | b'-')
}

/// Whether a form may start with `first` behind `before`: at the start of a word, and a key block
/// anywhere. The payload of a JWT is not the start of another.
fn may_follow(first: u8, before: Option<u8>) -> bool {
    let in_word =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (first == b'e' && byte == b'.');
    first == b'-' || !before.is_some_and(in_word)
}
