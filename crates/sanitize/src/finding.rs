//! What a detector saw, and what is to be done about it.

use std::borrow::Cow;
use std::ops::Range;

/// What kind of thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Label {
    /// A chat-template control token, such as `<|im_start|>`.
    ControlToken,
    /// A role header at the start of a line, such as `SYSTEM:`.
    RoleHeader,
    /// An instruction that tries to replace the ones the model was given.
    Injection,
    /// A request to act without the model's rules.
    Jailbreak,
    /// A request to reveal hidden instructions.
    Extraction,
    /// A credential.
    Secret,
    /// Personal data, such as the number of a card.
    Personal,
    /// A detector that panicked and has not looked.
    Panic,
    /// A link that carries data away when it is loaded or followed.
    Exfiltration,
    /// A word that was planted to see whether it leaks.
    Canary,
    /// A long part of a system prompt, word for word.
    PromptLeak,
    /// The same few words over and over.
    Repetition,
    /// A text that looks like an attack as a whole.
    Score,
    /// A label of a detector outside this crate.
    Custom(&'static str),
}

impl Label {
    /// A stable lower-case word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ControlToken => "control_token",
            Self::RoleHeader => "role_header",
            Self::Injection => "injection",
            Self::Jailbreak => "jailbreak",
            Self::Extraction => "extraction",
            Self::Secret => "secret",
            Self::Personal => "personal",
            Self::Panic => "panic",
            Self::Exfiltration => "exfiltration",
            Self::Canary => "canary",
            Self::PromptLeak => "prompt_leak",
            Self::Repetition => "repetition",
            Self::Score => "score",
            Self::Custom(name) => name,
        }
    }
}

/// How bad a finding is if it is real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Worth a line in a log.
    Low,
    /// Worth a look.
    Medium,
    /// Worth stopping.
    High,
}

impl Severity {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What to do with a text in which something was found. Ordered by strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Report it and leave the text as it is.
    Allow,
    /// Remove what was found.
    Redact,
    /// Hand out none of the text.
    Block,
}

impl Action {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Redact => "redact",
            Self::Block => "block",
        }
    }
}

/// Whether a detector's findings have consequences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// Its action is taken.
    Enforce,
    /// Its findings are reported and change neither text nor verdict.
    Observe,
}

impl Mode {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// Text that belongs to a finding although its end was not yet in sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Bytes of this class that follow directly.
    While(Class),
    /// All that follows, through the first occurrence of this literal.
    Through(&'static &'static str),
}

/// A set of characters that credentials and links are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// `A-Z`, `0-9`
    Upper,
    /// `a-f`, `0-9`
    Hex,
    /// `A-Z`, `a-z`, `0-9`
    Alnum,
    /// [`Class::Alnum`], `+`, `/` and `=`
    Base64,
    /// [`Class::Alnum`] and `_`
    Word,
    /// [`Class::Word`] and `-`
    Dashed,
    /// [`Class::Dashed`] and `.`
    Dotted,
    /// All but white space, controls, quotes and brackets
    Link,
}

impl Class {
    pub(crate) const fn contains(self, byte: u8) -> bool {
        match self {
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Hex => matches!(byte, b'a'..=b'f' | b'0'..=b'9'),
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Word => byte.is_ascii_alphanumeric() || byte == b'_',
            Self::Dashed => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
            Self::Link => byte > b' ' && !matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b')' | b'}' | b'|' | 0x7f),
        }
    }
}

/// One thing a detector saw. It never carries the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    label: Label,
    rule: Cow<'static, str>,
    severity: Severity,
    /// Means nothing unless it has a place. An `Option` would be larger, and streams keep many of these.
    range: Range<usize>,
    has_place: bool,
    rest: Option<Rest>,
    action: Action,
    mode: Mode,
}

impl Finding {
    /// A finding without a place. `rule` is the stable id of what matched.
    pub fn new(label: Label, rule: impl Into<Cow<'static, str>>, severity: Severity) -> Self {
        Self {
            label,
            rule: rule.into(),
            severity,
            range: 0..0,
            has_place: false,
            rest: None,
            action: Action::Allow,
            mode: Mode::Enforce,
        }
    }

    /// The same finding at `range`: bytes of [`Normalized::original`](crate::Normalized::original),
    /// on character boundaries.
    #[must_use]
    pub fn at(mut self, range: Range<usize>) -> Self {
        self.range = range;
        self.has_place = true;
        self
    }

    /// What kind of thing was found.
    pub fn label(&self) -> Label {
        self.label
    }

    /// The stable id of the rule that matched.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// How bad it is if it is real.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Where it is, in bytes of the text as it was given (all chunks of a stream counted on), if known.
    ///
    /// For a token that only came together when another was removed, the range spans both. For a
    /// secret without a bound (a key block, a JWT) it covers what proved it; removal goes on behind.
    pub fn range(&self) -> Option<Range<usize>> {
        self.has_place.then(|| self.range.clone())
    }

    /// What its detector was set to do; in [`Mode::Observe`], what would have been done.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Whether it had consequences.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    pub(crate) fn with_rest(mut self, rest: Option<Rest>) -> Self {
        self.rest = rest;
        self
    }

    pub(crate) fn rest(&self) -> Option<Rest> {
        self.rest
    }

    /// Makes this one longer by `next`, which is of the same rule and starts inside it. Whether it did.
    pub(crate) fn join(&mut self, next: &Self) -> bool {
        let is_same = self.rule == next.rule && self.mode == next.mode && self.action == next.action;
        let starts_inside = is_same && self.has_place && next.has_place && self.range.contains(&next.range.start);
        if starts_inside {
            self.range.end = self.range.end.max(next.range.end);
        }
        starts_inside
    }

    /// Whether something follows from it.
    pub(crate) fn is_enforced(&self) -> bool {
        self.mode == Mode::Enforce && self.action != Action::Allow
    }

    pub(crate) fn judged(mut self, action: Action, mode: Mode) -> Self {
        self.action = action;
        self.mode = mode;
        self
    }
}
