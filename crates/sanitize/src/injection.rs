//! Phrases that try to take a model over, from `rules/injection.txt`.

use std::collections::BTreeSet;

use aho_corasick::AhoCorasick;
use regex_automata::meta::Regex;

use crate::detector::Detector;
use crate::error::BuildError;
use crate::finding::{Finding, Label};
use crate::normalize::Normalized;
use crate::rules::{self, Rule};

const BUILT_IN: &str = include_str!("../rules/injection.txt");

/// Finds known phrasings of injections, jailbreaks and requests for the system prompt, in the
/// folded text and in what it contains in encoded form.
///
/// A net with holes: new phrasings, most languages and requests that look ordinary pass. On public
/// attack collections, lists like this one find about one in fifteen. It judges whole texts and its
/// findings have no range, so with [`Action::Redact`](crate::Action::Redact) it blocks.
#[derive(Debug)]
pub struct Injection {
    rules: Vec<Rule>,
    patterns: Vec<Regex>,
    gate: AhoCorasick,
    /// The rule that each literal of the gate belongs to.
    gated: Vec<usize>,
}

impl Injection {
    /// The built-in rules. Compiles them, which takes milliseconds: keep the result.
    ///
    /// # Errors
    /// If the rule file compiled into this crate is broken, which its tests rule out.
    pub fn new() -> Result<Self, BuildError> {
        let rules = rules::parse(BUILT_IN)?;
        let patterns = rules.iter().map(compile).collect::<Result<_, _>>()?;
        let mut literals = Vec::new();
        let mut gated = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            literals.extend(rule.gates.iter().copied());
            gated.resize(literals.len(), index);
        }
        let gate = AhoCorasick::new(&literals).map_err(|error| BuildError::Gate { reason: error.to_string() })?;
        Ok(Self { rules, patterns, gate, gated })
    }

    /// All rules, with their examples.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The indices of the rules that may match `text`.
    fn candidates(&self, text: &str) -> BTreeSet<usize> {
        let mut candidates = BTreeSet::new();
        for literal in self.gate.find_overlapping_iter(text) {
            candidates.extend(self.gated.get(literal.pattern().as_usize()));
            if candidates.len() == self.rules.len() {
                break;
            }
        }
        candidates
    }

    fn matching(&self, text: &str, matched: &mut BTreeSet<usize>) {
        for index in self.candidates(text) {
            if self.patterns.get(index).is_some_and(|pattern| pattern.is_match(text)) {
                matched.insert(index);
            }
        }
    }
}

fn compile(rule: &Rule) -> Result<Regex, BuildError> {
    Regex::new(rule.pattern)
        .map_err(|error| BuildError::Pattern { rule: rule.id.to_owned(), reason: error.to_string() })
}

impl Detector for Injection {
    fn label(&self) -> Label {
        Label::Injection
    }

    fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        let mut matched = BTreeSet::new();
        self.matching(text.folded(), &mut matched);
        for view in text.views() {
            self.matching(view.folded(), &mut matched);
        }
        let rules = matched.iter().filter_map(|index| self.rules.get(*index));
        found.extend(rules.map(|rule| Finding::new(rule.label, rule.id, rule.severity)));
    }

    fn window(&self) -> Option<usize> {
        None
    }
}
