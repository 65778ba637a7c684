//! What the matches of each rule begin with, looked for in one pass for all rules.
//!
//! The literals are read off the patterns, so they cannot disagree with them. Where one stands, the
//! pattern is tried there and only there; most tries end within a few bytes. A pattern that begins with what
//! every text is full of also has gates, literals one of which every match holds, and is not tried before one was
//! seen. An automaton takes two
//! and a half nanoseconds a byte here, since each step waits for the one before; a filter over the
//! hashes of all four-byte windows takes a quarter of that.

use std::collections::BTreeMap;
use std::ops::Range;

use regex_automata::meta::{self, Regex};
use regex_automata::{Anchored, Input};
use regex_syntax::hir::literal::{ExtractKind, Extractor, Seq};
use regex_syntax::hir::{Hir, Look};

use crate::error::BuildError;
use crate::rules::Rule;

/// The most literals of one rule; those of patterns with many beginnings get shorter. The larger
/// numbers are for patterns whose literals would be too short otherwise.
const MAX_LITERALS: [usize; 3] = [64, 256, 1024];
/// The longest literal, in bytes. Longer ones hardly tell more, and there are more of them.
const MAX_LEN: usize = 8;
/// The first bytes of a literal, by which it is found.
type Key = [u8; 4];
/// How often a pattern is tried in one text before all of it is searched instead, so that time stays
/// linear for texts made of beginnings: a try costs about as much as a search of so many bytes.
const TRIES: usize = 256;
const BYTES_PER_TRY: usize = 64;
const TOO_SHORT: &str = "there is too little to look for: give it a gate of four bytes or more";

/// Finds the rules that match a text.
#[derive(Debug)]
pub(crate) struct Leads {
    patterns: Vec<Pattern>,
    filter: Filter,
    keys: Keys,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    /// Whether it is looked for only in texts with one of its gates.
    is_gated: bool,
    /// Nothing is known about where a match starts.
    is_loose: bool,
}

#[derive(Debug)]
struct Lead {
    /// What follows the key.
    rest: Vec<u8>,
    rule: usize,
    is_gate: bool,
    /// Whether the literal must stand at the start of a word.
    at_word: bool,
}

/// What one text has shown of a rule.
#[derive(Debug, Clone, Default)]
struct Trail {
    is_done: bool,
    has_gate: bool,
    tries: usize,
    /// Where the last match ends.
    end: usize,
    /// Where a match may start, while no gate was seen.
    starts: Vec<usize>,
}

impl Leads {
    pub(crate) fn new(rules: &[Rule]) -> Result<Self, BuildError> {
        let mut patterns = Vec::new();
        let mut leads: BTreeMap<Key, Vec<Lead>> = BTreeMap::new();
        for (rule, Rule { id, pattern, gates, .. }) in rules.iter().enumerate() {
            let broken = |reason: String| BuildError::Pattern { rule: (*id).to_owned(), reason };
            let hir = regex_syntax::parse(pattern).map_err(|error| broken(error.to_string()))?;
            let regex = meta::Builder::new().build_from_hir(&hir).map_err(|error| broken(error.to_string()))?;
            // Behind a gate few are tried, and fewer literals are quicker to tell apart.
            let longest = if gates.is_empty() { MAX_LEN } else { size_of::<Key>() };
            let starts = starts(&hir, longest);
            let (is_gated, is_loose) = (!gates.is_empty(), starts.is_none());
            if is_loose && !is_gated {
                return Err(broken(TOO_SHORT.to_owned()));
            }
            let starts_at_word = hir.properties().look_set_prefix().contains(Look::WordAscii);
            let starts = starts.unwrap_or_default().into_iter().map(|literal| (literal, false));
            let gates = gates.iter().map(|gate| (gate.as_bytes().to_vec(), true));
            for (literal, is_gate) in starts.chain(gates) {
                let at_word = !is_gate && starts_at_word && literal.first().copied().is_some_and(is_word);
                let (key, rest) = literal.split_first_chunk().ok_or_else(|| broken(TOO_SHORT.to_owned()))?;
                leads.entry(*key).or_default().push(Lead { rest: rest.to_vec(), rule, is_gate, at_word });
            }
            patterns.push(Pattern { regex, is_gated, is_loose });
        }
        let filter = Filter::new(leads.keys());
        Ok(Self { patterns, filter, keys: Keys::new(leads) })
    }

    /// Calls `matched` with the index of every rule that matches `text` and with where it does: matches of one rule
    /// come in order and do not overlap.
    pub(crate) fn matching(&self, text: &str, mut matched: impl FnMut(usize, Range<usize>)) {
        let mut trails = vec![Trail::default(); self.patterns.len()];
        for (start, key) in text.as_bytes().array_windows().enumerate() {
            if self.filter.may_hold(*key)
                && let Some(leads) = self.keys.get(*key)
            {
                self.follow(leads, text, start, &mut trails, &mut matched);
            }
        }
    }

    fn follow(
        &self,
        leads: &[Lead],
        text: &str,
        at: usize,
        trails: &mut [Trail],
        matched: &mut impl FnMut(usize, Range<usize>),
    ) {
        let (before, behind) = text.as_bytes().split_at_checked(at).unwrap_or_default();
        let in_word = before.last().copied().is_some_and(is_word);
        let behind = behind.get(size_of::<Key>()..).unwrap_or_default();
        let fits = |lead: &&Lead| !(lead.at_word && in_word) && behind.starts_with(&lead.rest);
        for lead in leads.iter().filter(fits) {
            let (Some(pattern), Some(trail)) = (self.patterns.get(lead.rule), trails.get_mut(lead.rule)) else {
                continue;
            };
            let mut found = |range| matched(lead.rule, range);
            if lead.is_gate {
                pattern.open(text, trail, &mut found);
            } else {
                pattern.meet(text, at, trail, &mut found);
            }
        }
    }
}

/// Tells most keys that are not in a set from those that are.
#[derive(Debug)]
struct Filter {
    bits: Box<[u64; 1024]>,
}

impl Filter {
    fn new<'k>(keys: impl Iterator<Item = &'k Key>) -> Self {
        let mut bits = Box::new([0; 1024]);
        for key in keys {
            let (word, bit) = Self::place(*key);
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
        Self { bits }
    }

    fn may_hold(&self, key: Key) -> bool {
        let (word, bit) = Self::place(key);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    const fn place(key: Key) -> (usize, u64) {
        let hash = hash(key);
        ((hash >> 22) as usize, 1 << ((hash >> 16) & 63))
    }
}

/// Multiplicative hashing: Knuth, "The Art of Computer Programming", volume 3, 6.4.
const fn hash(key: Key) -> u32 {
    u32::from_le_bytes(key).wrapping_mul(0x9e37_79b1)
}

/// For each key, the literals that start with it: an open table, since a search tree takes a dozen steps for what the
/// filter lets pass.
#[derive(Debug)]
struct Keys {
    /// At least twice as many as there are keys, a power of two.
    slots: Vec<Option<(Key, Vec<Lead>)>>,
}

impl Keys {
    fn new(leads: BTreeMap<Key, Vec<Lead>>) -> Self {
        let mut keys = Self { slots: Vec::new() };
        keys.slots.resize_with((2 * leads.len()).next_power_of_two(), || None);
        for (key, leads) in leads {
            let free = keys.probes(key).find(|at| keys.slots.get(*at).is_some_and(Option::is_none));
            if let Some(slot) = free.and_then(|at| keys.slots.get_mut(at)) {
                *slot = Some((key, leads));
            }
        }
        keys
    }

    fn get(&self, key: Key) -> Option<&[Lead]> {
        let slots = self.probes(key).map_while(|at| self.slots.get(at)?.as_ref());
        slots.into_iter().find(|(of, _)| *of == key).map(|(_, leads)| leads.as_slice())
    }

    /// The slots in which a key may be, in order.
    fn probes(&self, key: Key) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len() - 1;
        let first = (hash(key) >> 8) as usize;
        (0..=mask).map(move |step| (first + step) & mask)
    }
}

impl Pattern {
    /// A match may start here.
    fn meet(&self, text: &str, start: usize, trail: &mut Trail, found: &mut impl FnMut(Range<usize>)) {
        if !self.is_gated || trail.has_gate {
            self.follow(text, start, trail, found);
        } else if trail.starts.len() <= most_tries(text) {
            trail.starts.push(start);
        }
    }

    /// A gate was seen: what was put aside is tried.
    fn open(&self, text: &str, trail: &mut Trail, found: &mut impl FnMut(Range<usize>)) {
        if std::mem::replace(&mut trail.has_gate, true) {
            return;
        }
        if self.is_loose {
            self.search(text, trail, found);
        }
        for start in std::mem::take(&mut trail.starts) {
            self.follow(text, start, trail, found);
        }
    }

    /// Tries the pattern at `start`, or on the rest of the text if it is not to be tried again.
    fn follow(&self, text: &str, start: usize, trail: &mut Trail, found: &mut impl FnMut(Range<usize>)) {
        if trail.is_done || start < trail.end {
            return;
        }
        trail.tries += 1;
        if trail.tries > most_tries(text) {
            self.search(text, trail, found);
        } else if let Some(hit) = self.regex.find(Input::new(text).span(start..text.len()).anchored(Anchored::Yes)) {
            trail.end = hit.end();
            found(hit.range());
        }
    }

    /// Looks for all matches that are left.
    fn search(&self, text: &str, trail: &mut Trail, found: &mut impl FnMut(Range<usize>)) {
        trail.is_done = true;
        self.regex.find_iter(Input::new(text).span(trail.end..text.len())).for_each(|hit| found(hit.range()));
    }
}

fn most_tries(text: &str) -> usize {
    TRIES.max(text.len() / BYTES_PER_TRY)
}

/// Literals, one of which every match starts with; `None` if they would be too short to be of use.
fn starts(hir: &Hir, longest: usize) -> Option<Vec<Vec<u8>>> {
    MAX_LITERALS.into_iter().find_map(|most| {
        let mut starts: Seq = Extractor::new().kind(ExtractKind::Prefix).limit_total(most).extract(hir);
        starts.keep_first_bytes(longest);
        starts.sort();
        // Now a literal that starts with another comes after it, and is left out.
        starts.make_inexact();
        starts.minimize_by_preference();
        let literals: Vec<_> = starts.literals()?.iter().map(|literal| literal.as_bytes().to_vec()).collect();
        literals.iter().all(|literal| literal.len() >= size_of::<Key>()).then_some(literals)
    })
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
