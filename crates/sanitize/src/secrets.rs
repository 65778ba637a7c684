//! Credentials with a known prefix or a telling name.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use crate::detector::Detector;
use crate::finding::{Finding, Label, Severity};
use crate::normalize::Normalized;
use crate::secret_rules::{FORMS, Form, Probe};
use crate::secret_values::{self, Value};

/// Longer than any form needs from its first byte to be certain, in bytes.
const WINDOW: usize = 192;

/// The prefixes of all forms, looked for many bytes at a time. `None` where they do not compile, which tests rule out.
static PREFIXES: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let prefixes = FORMS.iter().map(|form| form.prefix);
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(prefixes).ok()
});

/// Finds credentials that are written with a known prefix (those of clouds, code hosts, model services and chats, JSON
/// Web Tokens, private key blocks, Portcullis keys), what is assigned to a name such as `password` or `api_key`, and
/// passwords in URLs.
///
/// Lengths and alphabets are checked, GitHub and npm tokens by their checksum, a JWT by its header, what is assigned by
/// its entropy; stand-ins such as `AKIAIOSFODNN7EXAMPLE` or `glpat-XXXXXXXXXXXXXXXXXXXX` are passed over. A prefix
/// counts only at the start of a word. What only a name tells is `secret.assigned`, of medium severity; all others are
/// high. It looks at the text as it is: an encoded, spaced or split credential is not found. No issuer is asked.
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
        FORMS.iter().map(|form| form.rule).chain(secret_values::RULES)
    }
}

impl Detector for Secrets {
    fn label(&self) -> Label {
        Label::Secret
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        let bytes = text.original().as_bytes();
        let mut file = |at: usize, rule, severity, probe| {
            let (len, rest) = match probe {
                Probe::Match(len, rest) => (len, rest),
                Probe::Open(Some(len)) => (len, None),
                Probe::Open(None) | Probe::No => return,
            };
            found.push(Finding::new(Label::Secret, rule, severity).at(at..at + len).with_rest(rest));
        };
        for (at, form, rest) in prefixed(bytes) {
            file(at, form.rule, Severity::High, form.probe(rest));
        }
        for value in secret_values::values(bytes) {
            let has_form = || forms_at(bytes, value.at).any(|(_, form, rest)| form.is_match(rest));
            if !has_form() {
                file(value.at, value.rule, value.severity, value.probe(bytes));
            }
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
        let least = bytes.len().saturating_sub(WINDOW);
        let form = starts(bytes, least).find(|(_, form, rest)| is_open(form, rest)).map(|(at, _, _)| at);
        let is_open = |value: &Value| value.at >= least && matches!(value.probe(bytes), Probe::Open(_));
        let value = secret_values::values(bytes).find(is_open).map(|value| value.at);
        form.into_iter().chain(value).min().unwrap_or(bytes.len())
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

/// The first bytes of all prefixes.
static FIRSTS: LazyLock<[bool; 256]> = LazyLock::new(|| {
    let is_first = |byte: u8| FORMS.iter().any(|form| form.prefix.as_bytes().first() == Some(&byte));
    std::array::from_fn(|byte| u8::try_from(byte).is_ok_and(is_first))
});

fn is_first(byte: u8) -> bool {
    FIRSTS.get(usize::from(byte)).copied().unwrap_or(true)
}

/// Whether a form may start with `first` behind `before`: at the start of a word, and a key block
/// anywhere. The payload of a JWT is not the start of another.
fn may_follow(first: u8, before: Option<u8>) -> bool {
    let in_word =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (first == b'e' && byte == b'.');
    first == b'-' || !before.is_some_and(in_word)
}
