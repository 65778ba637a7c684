//! The patterns of all rules for text without spaces between words.

use std::ops::Range;

use regex_automata::meta::{Builder, Regex};
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use crate::error::BuildError;
use crate::rules::Rule;

/// Finds matches of which every space may be missing, and which need not start or end with a word. Only for text in
/// which letters stood apart: in any other, it would find phrases in the middle of words.
#[derive(Debug)]
pub(crate) struct Squeezed {
    regex: Regex,
}

impl Squeezed {
    pub(crate) fn new(rules: &[Rule]) -> Result<Self, BuildError> {
        let mut patterns = Vec::with_capacity(rules.len());
        for rule in rules {
            let hir = regex_syntax::parse(rule.pattern).map_err(|error| broken(rule.id, &error))?;
            patterns.push(squeezed(&hir));
        }
        let regex = Builder::new().build_many_from_hir(&patterns).map_err(|error| broken("all", &error))?;
        Ok(Self { regex })
    }

    /// Calls `matched` with the rule and the place of matches that do not overlap.
    pub(crate) fn matching(&self, text: &str, mut matched: impl FnMut(usize, Range<usize>)) {
        self.regex.find_iter(text).for_each(|hit| matched(hit.pattern().as_usize(), hit.range()));
    }
}

fn broken(rule: &str, reason: &dyn std::fmt::Display) -> BuildError {
    BuildError::Pattern { rule: rule.to_owned(), reason: reason.to_string() }
}

/// The same pattern with spaces that may be missing, and without the edges of words.
fn squeezed(hir: &Hir) -> Hir {
    let all = |parts: &[Hir]| parts.iter().map(squeezed).collect();
    match hir.kind() {
        HirKind::Literal(literal) => {
            let mut parts = Vec::new();
            for part in literal.0.split_inclusive(|byte| *byte == b' ') {
                let word = part.strip_suffix(b" ").unwrap_or(part);
                parts.push(Hir::literal(word));
                if word.len() < part.len() {
                    parts.push(optional(Hir::literal(*b" ")));
                }
            }
            Hir::concat(parts)
        }
        HirKind::Look(Look::WordAscii) => Hir::empty(),
        HirKind::Repetition(repetition) if may_be_space(&repetition.sub) => {
            Hir::repetition(Repetition { min: 0, ..repetition.clone() })
        }
        HirKind::Repetition(repetition) => {
            Hir::repetition(Repetition { sub: Box::new(squeezed(&repetition.sub)), ..repetition.clone() })
        }
        HirKind::Class(_) if may_be_space(hir) => optional(hir.clone()),
        HirKind::Capture(capture) => squeezed(&capture.sub),
        HirKind::Concat(parts) => Hir::concat(all(parts)),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)),
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
    }
}

fn optional(hir: Hir) -> Hir {
    Hir::repetition(Repetition { min: 0, max: Some(1), greedy: true, sub: Box::new(hir) })
}

/// Whether this is one character, and a space among others.
fn may_be_space(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => class.iter().any(|range| (range.start()..=range.end()).contains(&' ')),
        HirKind::Class(Class::Bytes(class)) => class.iter().any(|range| (range.start()..=range.end()).contains(&b' ')),
        _ => false,
    }
}
