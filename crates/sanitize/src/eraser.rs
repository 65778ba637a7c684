//! Erases tokens and headers to a fixed point, one character at a time.
//!
//! The characters that may still be erased are held on a stack, each with the state of the automata
//! behind it. A completed token is popped, and the state is then that of the text before it, as if
//! the token had never come. A character is released when no open token reaches back to it: neither
//! the one that is open now nor one that would be open again if that one were popped (`anchor`).
//! Every step depends on single characters, so chunks make no difference.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::finding::Finding;
use crate::mapped::Mapped;
use crate::tokens::{Hit, State, TokenSet};

/// The most bytes held back. Beyond it the oldest are released although a nested token may reach
/// them; if it does, the rest of that token is erased, so that it is never completed.
pub(crate) const MAX_HELD: usize = 64;

/// For how many more characters there is room when there was none: a stream is to stay small.
const HELD_AT_ONCE: usize = 16;

#[derive(Debug)]
pub(crate) struct Eraser {
    set: Arc<TokenSet>,
    held: VecDeque<Held>,
    held_bytes: usize,
    /// The state behind all that was released.
    released: State,
    /// How many characters were released.
    count: usize,
    /// How many bytes were read.
    seen: usize,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    ch: char,
    state: State,
    /// The first character, counted from the start of the output, that must be held in this state.
    anchor: usize,
    /// Where it stands in the original, in bytes.
    at: usize,
}

impl Eraser {
    pub(crate) fn new(set: Arc<TokenSet>) -> Self {
        Self { set, held: VecDeque::new(), held_bytes: 0, released: State::START, count: 0, seen: 0 }
    }

    /// Reads a chunk; appends what is released to `out` and what was erased to `erased`.
    pub(crate) fn push(&mut self, chunk: &str, out: &mut Mapped, erased: &mut dyn FnMut(Finding)) {
        let mut rest = chunk;
        loop {
            if self.held.is_empty() && self.released.is_idle() {
                let (plain, further) = rest.split_at(self.set.idle_len(rest));
                if !plain.is_empty() {
                    out.push_str(plain, self.seen);
                    self.count += plain.chars().count();
                    self.seen += plain.len();
                }
                rest = further;
            }
            let mut chars = rest.chars();
            let Some(ch) = chars.next() else { return };
            rest = chars.as_str();
            self.push_char(ch, out, erased);
        }
    }

    /// Releases what is still held: no token can be completed any more.
    pub(crate) fn finish(&mut self, out: &mut Mapped) {
        while self.release(out) {}
    }

    fn push_char(&mut self, ch: char, out: &mut Mapped, erased: &mut dyn FnMut(Finding)) {
        let at = self.seen;
        self.seen += ch.len_utf8();
        let state = self.set.step(self.state(), ch);
        let anchor = self.anchor_of(state);
        if self.held.len() == self.held.capacity() {
            self.held.reserve_exact(HELD_AT_ONCE);
        }
        self.held.push_back(Held { ch, state, anchor, at });
        self.held_bytes += ch.len_utf8();
        let set = Arc::clone(&self.set);
        if let Some(hit) = set.hit(state) {
            erased(self.erase(&hit));
        }
        let keep = self.held.back().map_or(self.count, |last| last.anchor);
        while self.count < keep && self.release(out) {}
        while self.held_bytes > MAX_HELD && self.release(out) {}
    }

    fn state(&self) -> State {
        self.held.back().map_or(self.released, |last| last.state)
    }

    /// The anchor of a character that is about to be pushed and leads to `state`.
    fn anchor_of(&self, state: State) -> usize {
        let behind = self.count + self.held.len() + 1;
        let reach = |open: usize| {
            let start = behind.saturating_sub(open);
            if open == 0 || start <= self.count {
                return start.max(self.count);
            }
            let before = self.held.get(start - self.count - 1);
            before.map_or(start, |held| held.anchor.min(start))
        };
        let [token, header] = self.set.open(state);
        reach(token).min(reach(header))
    }

    fn erase(&mut self, hit: &Hit<'_>) -> Finding {
        let end = self.seen;
        let mut start = end;
        for _ in 0..hit.chars() {
            let Some(gone) = self.held.pop_back() else { break };
            self.held_bytes -= gone.ch.len_utf8();
            start = gone.at;
        }
        hit.finding(start..end)
    }

    /// Releases the oldest character, if there is one.
    fn release(&mut self, out: &mut Mapped) -> bool {
        let Some(first) = self.held.pop_front() else { return false };
        self.held_bytes -= first.ch.len_utf8();
        self.released = first.state;
        self.count += 1;
        out.push(first.ch, first.at);
        true
    }
}
