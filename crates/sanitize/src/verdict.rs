//! What became of a text.

use std::borrow::Cow;

use crate::finding::{Action, Finding, Mode};

/// How many findings a verdict lists. Those beyond it still count for the action and the text.
pub const MAX_FINDINGS: usize = 64;

/// How many of the last findings a new one may go on from.
const NEAR: usize = 4;

/// The outcome of a whole check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a blocked text must not be used"]
pub struct Verdict<'t> {
    pub(crate) text: Cow<'t, str>,
    pub(crate) action: Action,
    pub(crate) findings: Vec<Finding>,
    pub(crate) is_cut: bool,
}

impl<'t> Verdict<'t> {
    /// The strongest action that was taken. Observed findings do not count.
    pub fn action(&self) -> Action {
        self.action
    }

    /// What was found, at most [`MAX_FINDINGS`].
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether the text was longer than the sanitizer's limit and was cut.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The text to use: borrowed if nothing was changed, and empty if it is blocked.
    pub fn into_text(self) -> Cow<'t, str> {
        self.text
    }
}

/// Findings as they come in.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    pub(crate) action: Action,
    /// The first finding that blocks.
    pub(crate) blocked: Option<Finding>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { findings: Vec::new(), action: Action::Allow, blocked: None }
    }

    /// Files a finding of a detector that is set to `action` and `mode`. A finding that is to be
    /// redacted and has no place blocks.
    pub(crate) fn file(&mut self, finding: Finding, action: Action, mode: Mode) {
        let has_place = finding.range().is_some_and(|range| !range.is_empty());
        let action = if action == Action::Redact && !has_place { Action::Block } else { action };
        let finding = finding.judged(action, mode);
        if mode == Mode::Enforce {
            self.action = self.action.max(action);
            if action == Action::Block && self.blocked.is_none() {
                self.blocked = Some(finding.clone());
            }
        }
        let is_told = self.findings.iter_mut().rev().take(NEAR).any(|known| known.join(&finding));
        if is_told {
            return;
        }
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else if finding.is_enforced()
            && let Some(observed) = self.findings.iter_mut().rev().find(|known| !known.is_enforced())
        {
            // What follows from is told, however much was only observed before it.
            *observed = finding;
        }
    }
}
