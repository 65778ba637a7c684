//! What the matches of each rule begin with, looked for in one pass for all rules.
//!
//! The literals are read off the patterns, so they cannot disagree with them. Where one stands, the
//! pattern is tried there and only there; most tries end within a few bytes.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex_automata::meta::{self, Regex};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, Look};

use crate::error::BuildError;
use crate::rules::Rule;

/// The most literals of one rule; those of patterns with many beginnings get shorter.
const MAX_LITERALS: usize = 64;
/// The longest literal, in bytes. Longer ones hardly tell more and make the automaton large.
const MAX_LEN: usize = 8;
/// The shortest literal that is worth looking for, in bytes.
const MIN_LEN: usize = 3;
/// How often a pattern is tried in one text before all of it is searched instead, so that time stays
/// linear for texts made of beginnings.
const MAX_TRIES: u16 = 256;
/// Stands for the tries of a rule that is done with a text.
const DONE: u16 = u16::MAX;

/// Finds the rules that match a text.
#[derive(Debug)]
pub(crate) struct Leads {
    patterns: Vec<Pattern>,
    automaton: AhoCorasick,
    /// For each literal, what it leads to.
    leads: Vec<Vec<Lead>>,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    /// Literals, one of which must be in the text. Empty if nothing more is asked.
    gates: Vec<&'static str>,
    /// Its literals are its gates: nothing is known about where a match starts.
    is_loose: bool,
}

#[derive(Debug, Clone, Copy)]
struct Lead {
    rule: usize,
    /// Whether the literal must stand at the start of a word.
    at_word: bool,
}

impl Leads {
    pub(crate) fn new(rules: &[Rule]) -> Result<Self, BuildError> {
        let mut patterns = Vec::new();
        let mut leads: BTreeMap<Vec<u8>, Vec<Lead>> = BTreeMap::new();
        for (index, rule) in rules.iter().enumerate() {
            let broken = |reason: String| BuildError::Pattern { rule: rule.id.to_owned(), reason };
            let hir = regex_syntax::parse(rule.pattern).map_err(|error| broken(error.to_string()))?;
            let regex = meta::Builder::new().build_from_hir(&hir).map_err(|error| broken(error.to_string()))?;
            let starts = starts(&hir);
            let is_loose = starts.is_none();
            if is_loose && rule.gates.is_empty() {
                return Err(broken("its matches start with too little to look for, and it has no gate".to_owned()));
            }
            let gates = || rule.gates.iter().map(|gate| gate.as_bytes().to_vec()).collect();
            let starts_at_word = !is_loose && hir.properties().look_set_prefix().contains(Look::WordAscii);
            for literal in starts.unwrap_or_else(gates) {
                let at_word = starts_at_word && literal.first().copied().is_some_and(is_word);
                leads.entry(literal).or_default().push(Lead { rule: index, at_word });
            }
            patterns.push(Pattern { regex, gates: rule.gates.clone(), is_loose });
        }
        let automaton = AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(leads.keys());
        let automaton = automaton.map_err(|error| BuildError::Gate { reason: error.to_string() })?;
        Ok(Self { patterns, automaton, leads: leads.into_values().collect() })
    }

    /// Calls `matched` with the index of every rule that matches `text`, once each.
    pub(crate) fn matching(&self, text: &str, mut matched: impl FnMut(usize)) {
        let mut tries = vec![0; self.patterns.len()];
        for hit in self.automaton.find_overlapping_iter(text) {
            let leads = self.leads.get(hit.pattern().as_usize()).map_or(&[][..], Vec::as_slice);
            let before = hit.start().checked_sub(1).and_then(|at| text.as_bytes().get(at));
            let in_word = before.copied().is_some_and(is_word);
            for lead in leads.iter().filter(|lead| !(lead.at_word && in_word)) {
                let (Some(pattern), Some(tries)) = (self.patterns.get(lead.rule), tries.get_mut(lead.rule)) else {
                    continue;
                };
                if *tries != DONE && pattern.is_match(text, hit.start(), tries) {
                    *tries = DONE;
                    matched(lead.rule);
                }
            }
        }
    }
}

impl Pattern {
    /// Tries the pattern at `start`, or on the whole text if it is not to be tried again.
    fn is_match(&self, text: &str, start: usize, tries: &mut u16) -> bool {
        *tries += 1;
        let input = if self.is_loose || *tries > MAX_TRIES {
            *tries = DONE;
            Input::new(text)
        } else {
            Input::new(text).span(start..text.len()).anchored(Anchored::Yes)
        };
        self.regex.is_match(input) && (self.gates.is_empty() || self.gates.iter().any(|gate| text.contains(gate)))
    }
}

/// Literals, one of which every match starts with; `None` if they would be too short to be of use.
fn starts(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let mut starts: Seq = Extractor::new().kind(ExtractKind::Prefix).limit_total(MAX_LITERALS).extract(hir);
    starts.keep_first_bytes(MAX_LEN);
    starts.sort();
    // Now a literal that starts with another comes after it, and is left out.
    starts.make_inexact();
    starts.minimize_by_preference();
    let literals = starts.literals()?.iter().map(|literal| literal.as_bytes().to_vec());
    let literals: Vec<_> = literals.collect();
    literals.iter().all(|literal| literal.len() >= MIN_LEN).then_some(literals)
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
