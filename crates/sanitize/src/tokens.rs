//! Literal tokens and line headers: what is erased to a fixed point.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::packed;

use crate::automaton::{Automaton, Kind, ROOT};
use crate::finding::{Finding, Label, Severity};

/// How many marker characters may stand before a header when it is looked for without erasing.
/// Stays below [`crate::LEFT_CONTEXT`].
const MAX_MARKERS: usize = 32;

/// How many different lead bytes are looked for together.
const FEW: usize = 4;
/// How many bytes are looked at together.
const BLOCK: usize = 16;

/// Literal tokens, found anywhere without regard to ASCII case, and headers, found as written at
/// the start of a line behind any spaces, tabs, `#`, `*` and `>`.
///
/// Erasing reads the text once, character by character, and takes a token out the moment its last
/// character arrives; what follows then joins what stood before. So the result holds no token, not
/// even one put together by the removal of another, and it does not depend on how the text was cut
/// into chunks. Nesting that spans more than 64 bytes is not unwound: there the last part of a
/// would-be token is erased and its first part stays.
#[derive(Debug, Clone)]
pub struct TokenSet {
    tokens: Vec<Entry>,
    headers: Vec<Entry>,
    anywhere: Automaton,
    at_line: Automaton,
    leads: Leads,
    /// The same without what only headers need.
    token_leads: Leads,
    /// The headers, looked for many bytes at a time. `None` if there are none, or too many.
    written: Option<packed::Searcher>,
}

/// The bytes at which an idle state has to look on.
#[derive(Debug, Clone)]
enum Leads {
    None,
    Few([u8; FEW]),
    Many(Vec<bool>),
}

#[derive(Debug, Clone)]
struct Entry {
    rule: Cow<'static, str>,
    text: Cow<'static, str>,
}

/// Where the automata stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    token: usize,
    line: Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Behind something that is no marker.
    Inside,
    /// At the start of a line, or this far into a header.
    Head(usize),
}

impl State {
    pub(crate) const START: Self = Self { token: ROOT, line: Line::Head(ROOT) };

    /// No token and no header is open, and none can start before the next lead byte.
    pub(crate) fn is_idle(self) -> bool {
        self.token == ROOT && self.line == Line::Inside
    }
}

/// A token or header that has just been completed.
pub(crate) struct Hit<'s> {
    entry: &'s Entry,
    label: Label,
}

impl Hit<'_> {
    pub(crate) fn chars(&self) -> usize {
        self.entry.text.chars().count()
    }

    pub(crate) fn finding(&self, range: Range<usize>) -> Finding {
        Finding::new(self.label, self.entry.rule.clone(), Severity::High).at(range)
    }
}

impl Leads {
    fn new(firsts: impl Iterator<Item = u8>) -> Self {
        let cases = firsts.flat_map(|first| [first.to_ascii_lowercase(), first.to_ascii_uppercase()]);
        let bytes: BTreeSet<u8> = cases.collect();
        let Some(first) = bytes.first() else { return Self::None };
        if bytes.len() <= FEW {
            let mut padded = bytes.iter().chain(std::iter::repeat(first));
            return Self::Few(std::array::from_fn(|_| padded.next().copied().unwrap_or(*first)));
        }
        Self::Many((0..=u8::MAX).map(|byte| bytes.contains(&byte)).collect())
    }

    /// Where the first lead byte stands.
    fn first_in(&self, text: &[u8]) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Few([a, b, c, d]) => {
                let is_lead = |byte: u8| (byte == *a) | (byte == *b) | (byte == *c) | (byte == *d);
                let mut from = 0;
                for block in text.as_chunks::<BLOCK>().0 {
                    if block.iter().fold(false, |any, byte| any | is_lead(*byte)) {
                        break;
                    }
                    from += BLOCK;
                }
                let rest = text.get(from..)?;
                Some(from + rest.iter().position(|byte| is_lead(*byte))?)
            }
            Self::Many(leads) => text.iter().position(|byte| leads.get(usize::from(*byte)).copied().unwrap_or(true)),
        }
    }
}

impl TokenSet {
    /// A set of `(rule id, literal)` pairs: tokens and headers. Empty literals are left out.
    /// Headers are meant to be words such as `SYSTEM:`; a header that starts with a marker or a
    /// line break is never found.
    pub fn new<R, T>(tokens: impl IntoIterator<Item = (R, T)>, headers: impl IntoIterator<Item = (R, T)>) -> Self
    where
        R: Into<Cow<'static, str>>,
        T: Into<Cow<'static, str>>,
    {
        Self::compile(entries(tokens), entries(headers))
    }

    /// Tokens and headers of several sets as one, those of some rules only: removal in one may complete a token of
    /// another. `None` if there are none.
    pub(crate) fn merged<'s, K: Fn(&str) -> bool>(sets: impl Iterator<Item = (&'s Self, K)>) -> Option<Self> {
        let (mut tokens, mut headers) = (Vec::new(), Vec::new());
        for (set, is_kept) in sets {
            tokens.extend(set.tokens.iter().filter(|entry| is_kept(&entry.rule)).cloned());
            headers.extend(set.headers.iter().filter(|entry| is_kept(&entry.rule)).cloned());
        }
        (!tokens.is_empty() || !headers.is_empty()).then(|| Self::compile(tokens, headers))
    }

    pub(crate) fn rules(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().chain(&self.headers).map(|entry| &*entry.rule)
    }

    fn compile(tokens: Vec<Entry>, headers: Vec<Entry>) -> Self {
        let firsts = || tokens.iter().filter_map(|entry| entry.text.bytes().next());
        let token_leads = Leads::new(firsts());
        let leads = Leads::new(firsts().chain([b'\n', b'\r']));
        let written = packed::Searcher::new(headers.iter().map(|entry| entry.text.as_bytes()));
        let anywhere = Automaton::new(Kind::Anywhere, tokens.iter().map(|entry| &*entry.text));
        let at_line = Automaton::new(Kind::Anchored, headers.iter().map(|entry| &*entry.text));
        Self { tokens, headers, anywhere, at_line, leads, token_leads, written }
    }

    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().chain(&self.headers).map(|entry| &*entry.text)
    }

    /// The longest literal, in bytes.
    pub fn longest(&self) -> usize {
        self.words().map(str::len).max().unwrap_or(0)
    }

    /// How many bytes at the start of `text` an idle state can pass over.
    pub(crate) fn idle_len(&self, text: &str) -> usize {
        self.leads.first_in(text.as_bytes()).unwrap_or(text.len())
    }

    pub(crate) fn step(&self, state: State, ch: char) -> State {
        let line = match state.line {
            _ if is_line_break(ch) => Line::Head(ROOT),
            Line::Inside => Line::Inside,
            Line::Head(ROOT) if is_marker(ch) => Line::Head(ROOT),
            Line::Head(at) => match self.at_line.step(at, ch) {
                ROOT => Line::Inside,
                further => Line::Head(further),
            },
        };
        State { token: self.anywhere.step(state.token, ch), line }
    }

    /// How many characters of a token and of a header are open.
    pub(crate) fn open(&self, state: State) -> [usize; 2] {
        let header = match state.line {
            Line::Inside => 0,
            Line::Head(at) => self.at_line.depth(at),
        };
        [self.anywhere.depth(state.token), header]
    }

    /// What was completed by the step into this state.
    pub(crate) fn hit(&self, state: State) -> Option<Hit<'_>> {
        if let Some(index) = self.anywhere.word(state.token) {
            let entry = self.tokens.get(index)?;
            return Some(Hit { entry, label: Label::ControlToken });
        }
        let Line::Head(at) = state.line else { return None };
        let entry = self.headers.get(self.at_line.word(at)?)?;
        Some(Hit { entry, label: Label::RoleHeader })
    }

    /// Reports every token and header in `text` without erasing.
    pub(crate) fn scan(&self, text: &str, found: &mut Vec<Finding>) {
        // Lines matter only if a header stands anywhere at all.
        let may_have_headers = || self.written.as_ref().is_none_or(|written| written.find(text).is_some());
        let has_headers = !self.headers.is_empty() && may_have_headers();
        let (leads, mut state) = match has_headers {
            true => (&self.leads, State::START),
            false => (&self.token_leads, State { line: Line::Inside, ..State::START }),
        };
        let mut markers = 0_usize;
        let mut at = 0_usize;
        loop {
            if state.is_idle() {
                let rest = text.as_bytes().get(at..).unwrap_or_default();
                at += leads.first_in(rest).unwrap_or(rest.len());
            }
            let Some(ch) = text.get(at..).and_then(|rest| rest.chars().next()) else { return };
            at += ch.len_utf8();
            state = self.step(state, ch);
            markers = match ch {
                _ if is_line_break(ch) => 0,
                _ if is_marker(ch) => markers + 1,
                _ => markers,
            };
            if markers > MAX_MARKERS {
                state.line = Line::Inside;
            }
            if let Some(hit) = self.hit(state) {
                found.push(hit.finding(at.saturating_sub(hit.entry.text.len())..at));
            }
        }
    }

    /// The first byte of `tail` from which a token or header may still be growing.
    pub(crate) fn open_from(&self, tail: &str) -> usize {
        let from = tail.floor_char_boundary(tail.len().saturating_sub(crate::LEFT_CONTEXT));
        let last = tail.get(from..).unwrap_or_default();
        let state = last.chars().fold(State::START, |state, ch| self.step(state, ch));
        let [token, header] = self.open(state);
        let open = match self.hit(state).map(|hit| hit.label) {
            Some(Label::ControlToken) => 0,
            Some(_) => token,
            None => token.max(header),
        };
        let bytes: usize = last.chars().rev().take(open).map(char::len_utf8).sum();
        tail.len() - bytes
    }
}

fn entries<R, T>(pairs: impl IntoIterator<Item = (R, T)>) -> Vec<Entry>
where
    R: Into<Cow<'static, str>>,
    T: Into<Cow<'static, str>>,
{
    let pairs = pairs.into_iter().map(|(rule, text)| Entry { rule: rule.into(), text: text.into() });
    pairs.filter(|entry| !entry.text.is_empty()).collect()
}

const fn is_line_break(ch: char) -> bool {
    matches!(ch, '\n' | '\r')
}

const fn is_marker(ch: char) -> bool {
    matches!(ch, ' ' | '\t' | '#' | '*' | '>')
}
