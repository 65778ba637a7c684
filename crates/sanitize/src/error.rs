//! Why a sanitizer could not be built, and why a stream stopped.

use crate::finding::Finding;

/// A sanitizer could not be built: the configuration or a rule file is at fault, never a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A line of a rule file could not be read.
    #[error("rule file, line {line}: {problem}")]
    RuleLine {
        /// The line, counted from one.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The pattern of a rule does not compile, or gives nothing to look for.
    #[error("pattern of rule {rule}: {reason}")]
    Pattern {
        /// The id of the rule.
        rule: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A detector's window is longer than a stream may hold back. Such a detector must see whole
    /// texts: let it return no window.
    #[error("a {label} detector wants to hold back {window} bytes, the limit is {limit}")]
    WindowTooLong {
        /// The label of the detector.
        label: &'static str,
        /// The window it asked for, in bytes.
        window: usize,
        /// The longest window there is, in bytes.
        limit: usize,
    },
    /// A weight file of the score cannot be used.
    #[error("weight file: {0}")]
    Weights(&'static str),
    /// The placeholder is empty, has no letter or digit, has a control character, or could become
    /// part of a token that is to be removed.
    #[error("this placeholder could form a token or a header with the text beside it")]
    Placeholder,
    /// A canary has other characters than ASCII letters and digits, or is shorter than 12 or longer than 32; or there
    /// are too many of them.
    #[error("a canary has 12 to 32 ASCII letters and digits")]
    CanaryWord,
}

/// The text must not be handed out. Nothing of what was found has left the stream.
///
/// Retrying the same text gives the same answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("blocked by rule {} ({})", .finding.rule(), .finding.label().as_str())]
pub struct Blocked {
    finding: Finding,
}

impl Blocked {
    pub(crate) fn new(finding: Finding) -> Self {
        Self { finding }
    }

    /// What it was blocked for.
    pub fn finding(&self) -> &Finding {
        &self.finding
    }
}
