//! Runs the detectors over a growing text and lets out what none of them can still claim.
//!
//! Offsets are absolute: bytes of the text behind the eraser. All text before `decided` was judged;
//! all text before `cursor` was let out or removed. Findings are taken in the order of their first
//! byte; one that starts inside what is already removed only makes the removed part longer.

use std::cmp::Reverse;
use std::ops::Range;

use crate::detector::LEFT_CONTEXT;
use crate::error::Blocked;
use crate::finding::{Action, Finding, Mode, Rest};
use crate::mapped::Mapped;
use crate::normalize::Normalized;
use crate::placeholders::Placeholders;
use crate::sanitizer::{MAX_WINDOW, Policy};
use crate::sink::Sink;
use crate::verdict::Report;

/// How many judged bytes pile up before they are forgotten.
const SLACK: usize = 256;

pub(crate) struct Redactor {
    pub(crate) buffer: Mapped,
    pub(crate) report: Report,
    pub(crate) placeholders: Placeholders,
    sink: Sink,
    decided: usize,
    cursor: usize,
    /// Removals whose end is not yet in sight.
    open: Vec<Removal>,
    /// How far the removals of each kind were followed: one that would go on from before there adds nothing.
    read: Vec<(Rest, usize)>,
}

/// A removal that goes on behind what proved it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Removal {
    rest: Rest,
    /// Everything before this is read.
    at: usize,
}

/// A finding and where it is in the text behind the eraser.
struct Claim {
    range: Range<usize>,
    finding: Finding,
    action: Action,
    mode: Mode,
}

impl Redactor {
    pub(crate) fn new(max_bytes: usize, placeholders: Placeholders) -> Self {
        Self {
            buffer: Mapped::default(),
            report: Report::new(),
            placeholders,
            sink: Sink::new(max_bytes),
            decided: 0,
            cursor: 0,
            open: Vec::new(),
            read: Vec::new(),
        }
    }

    /// Judges what came into the buffer; `is_last` if nothing follows.
    pub(crate) fn advance(&mut self, policy: &Policy, is_last: bool) {
        let end = self.buffer.end();
        if self.sink.is_cut() {
            self.buffer.forget(end);
            return;
        }
        if policy.is_whole_text && self.buffer.len() > policy.max_bytes {
            self.buffer.truncate(policy.max_bytes);
            self.judge(policy, self.buffer.end());
            self.sink.cut();
        } else if is_last {
            self.judge(policy, end);
            self.sink.finish();
        } else if !policy.is_whole_text {
            self.judge(policy, self.frontier(policy));
        }
    }

    /// What was let out since the last call, unless the text is blocked.
    pub(crate) fn take(&mut self) -> Result<String, Blocked> {
        match &self.report.blocked {
            Some(finding) => Err(Blocked::new(finding.clone())),
            None => Ok(self.sink.take()),
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.sink.is_cut()
    }

    /// The first byte that some detector may still claim when more text comes.
    fn frontier(&self, policy: &Policy) -> usize {
        let end = self.buffer.end();
        let from = self.buffer.floor(end.saturating_sub(MAX_WINDOW + LEFT_CONTEXT));
        let tail = self.buffer.slice(from..end);
        let open = policy.slots.iter().map(|slot| slot.open_from(tail)).min();
        from + tail.floor_char_boundary(open.unwrap_or(tail.len()))
    }

    /// Judges the text before `frontier`.
    fn judge(&mut self, policy: &Policy, frontier: usize) {
        let frontier = frontier.max(self.decided);
        self.read_on();
        for claim in self.claims(policy, frontier) {
            self.let_out(claim.range.start);
            if self.sink.is_cut() {
                return;
            }
            self.settle(claim, policy);
        }
        self.let_out(frontier);
        self.decided = frontier;
        let keep = self.decided.saturating_sub(LEFT_CONTEXT).min(self.cursor);
        if keep >= self.buffer.start() + SLACK {
            self.buffer.forget(keep);
        }
    }

    /// The findings that start between what is decided and `frontier`, in order.
    fn claims(&self, policy: &Policy, frontier: usize) -> Vec<Claim> {
        let mut claims = Vec::new();
        if frontier == self.decided {
            return claims;
        }
        let from = self.buffer.floor(self.decided.saturating_sub(LEFT_CONTEXT));
        let text = Normalized::new(self.buffer.slice(from..self.buffer.end()));
        let mut found = Vec::new();
        for slot in &policy.slots {
            slot.detect(&text, &mut found);
            for finding in found.drain(..) {
                let Some((action, mode)) = policy.reaction(slot, finding.rule()) else { continue };
                let claim = Claim { action, mode, ..self.claim(finding, text.original(), from) };
                if (self.decided..frontier).contains(&claim.range.start) {
                    claims.push(claim);
                }
            }
        }
        // Of those that start together the longest comes first: it is the one that the others are a part of.
        claims.sort_by_key(|claim| (claim.range.start, Reverse(claim.range.end)));
        claims
    }

    /// Puts a finding in `text`, which starts at `from`, in its place. One without a place is put
    /// where judging goes on.
    fn claim(&self, finding: Finding, text: &str, from: usize) -> Claim {
        let (action, mode) = (Action::Allow, Mode::Observe);
        let Some(range) = finding.range() else {
            return Claim { range: self.decided..self.decided, finding, action, mode };
        };
        let start = text.floor_char_boundary(range.start);
        let end = text.ceil_char_boundary(range.end.min(text.len())).max(start);
        let range = from + start..from + end;
        let finding = finding.at(self.buffer.original(range.clone()));
        Claim { range, finding, action, mode }
    }

    fn settle(&mut self, claim: Claim, policy: &Policy) {
        let Claim { range, finding, action, mode } = claim;
        let rest = finding.rest();
        let redacts = mode == Mode::Enforce && action == Action::Redact && !range.is_empty();
        if redacts && self.open.is_empty() && self.report.blocked.is_none() {
            self.put_placeholder(&range, &finding, policy);
        }
        // One place is one finding: what is a part of what was removed already is not another.
        if !(redacts && range.end <= self.cursor) {
            self.report.file(finding, action, mode);
        }
        if !redacts {
            return;
        }
        self.cursor = self.cursor.max(range.end);
        if let Some(rest) = rest.filter(|rest| !self.was_read(*rest, range.end)) {
            self.open.push(Removal { rest, at: range.end });
            self.read_on();
        }
    }

    /// Puts something in the place of what is about to be removed, or of what it adds to what was.
    fn put_placeholder(&mut self, range: &Range<usize>, finding: &Finding, policy: &Policy) {
        let from = range.start.max(self.cursor);
        if from >= range.end {
            return;
        }
        let value = self.buffer.slice(from..range.end);
        let numbered = if policy.is_numbered { self.placeholders.of(finding, value) } else { None };
        match numbered {
            Some(numbered) => self.sink.push_str(&numbered),
            None if from == range.start => self.sink.push_str(&policy.placeholder),
            None => {}
        }
    }

    /// Follows the open removals through the buffer. Those that stay open have reached its end.
    fn read_on(&mut self) {
        for removal in std::mem::take(&mut self.open) {
            let (at, is_open) = self.end_of(removal);
            self.cursor = self.cursor.max(at);
            self.note(removal.rest, at, is_open);
            let further = Removal { at, ..removal };
            if is_open && !self.open.contains(&further) {
                self.open.push(further);
            }
        }
    }

    /// Whether a removal that goes on at `from` would only find the end that another one has found, or not found.
    fn was_read(&self, rest: Rest, from: usize) -> bool {
        self.read.iter().any(|(known, to)| *known == rest && from <= *to)
    }

    /// Remembers how far a removal was followed, so that the next one need not read the same again.
    fn note(&mut self, rest: Rest, at: usize, is_open: bool) {
        let to = match rest {
            // One that starts inside a footer goes on to the next.
            Rest::Through(footer) if !is_open => at.saturating_sub(footer.len()),
            _ => at,
        };
        match self.read.iter_mut().find(|(known, _)| *known == rest) {
            Some((_, known)) => *known = to.max(*known),
            None => self.read.push((rest, to)),
        }
    }

    /// How far a removal goes in the buffer, and whether it goes on behind it.
    fn end_of(&self, removal: Removal) -> (usize, bool) {
        let end = self.buffer.end();
        let behind = self.buffer.slice(removal.at..end);
        match removal.rest {
            Rest::While(class) => {
                let run = behind.bytes().take_while(|byte| class.contains(*byte)).count();
                (removal.at + run, run == behind.len())
            }
            Rest::Through(footer) => match behind.find(*footer) {
                Some(at) => (removal.at + at + footer.len(), false),
                None => {
                    let read = end.saturating_sub(footer.len() - 1);
                    (self.buffer.floor(read).max(removal.at), true)
                }
            },
        }
    }

    /// Lets out what stands before `to`, unless it is removed.
    fn let_out(&mut self, to: usize) {
        if to <= self.cursor || !self.open.is_empty() {
            return;
        }
        if self.report.blocked.is_none() {
            self.sink.push_str(self.buffer.slice(self.cursor..to));
        }
        self.cursor = to;
    }
}
