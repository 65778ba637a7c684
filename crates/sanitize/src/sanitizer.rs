//! Which detectors run, what follows from their findings, and the whole-text check.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::control::ControlTokens;
use crate::detector::{Detector, LEFT_CONTEXT};
use crate::eraser::MAX_HELD;
use crate::error::BuildError;
use crate::finding::{Action, Mode};
use crate::injection::Injection;
use crate::secrets::Secrets;
use crate::stream::StreamSanitizer;
use crate::tokens::TokenSet;
use crate::verdict::Verdict;

/// The size limit of a sanitizer that was given none: 1 MiB.
pub const DEFAULT_MAX_BYTES: usize = 1 << 20;

/// The longest window of a detector, so that both stages of a stream hold at most 256 bytes.
pub(crate) const MAX_WINDOW: usize = 192;

const _: () = assert!(MAX_HELD + MAX_WINDOW <= 256 && LEFT_CONTEXT <= MAX_WINDOW);

/// A detector and what follows from its findings.
pub(crate) struct Slot {
    pub(crate) detector: Arc<dyn Detector>,
    pub(crate) action: Action,
    pub(crate) mode: Mode,
}

impl Slot {
    /// The tokens to erase, if that is what this slot is for.
    fn erased(&self) -> Option<&TokenSet> {
        let erases = self.mode == Mode::Enforce && self.action == Action::Redact;
        self.detector.token_set().filter(|_| erases)
    }
}

/// All that a stream needs to know.
pub(crate) struct Policy {
    /// Detectors that see the text behind the eraser.
    pub(crate) slots: Vec<Slot>,
    /// Rules whose findings are observed, whatever their detector is set to.
    pub(crate) observed: Vec<String>,
    /// What is erased.
    pub(crate) tokens: Option<Arc<TokenSet>>,
    pub(crate) placeholder: String,
    pub(crate) max_bytes: usize,
    /// Whether a detector must see whole texts.
    pub(crate) is_whole_text: bool,
}

/// Looks at texts and cleans them. Cheap to clone; one serves any number of texts and threads.
///
/// The order is fixed: tokens of redacting detectors are erased, the other detectors look at what is
/// left, their redactions are replaced by the placeholder, and the result is cut to the size limit.
#[derive(Clone)]
pub struct Sanitizer {
    policy: Arc<Policy>,
}

impl Sanitizer {
    /// A sanitizer without detectors, to be filled.
    pub fn builder() -> SanitizerBuilder {
        SanitizerBuilder {
            slots: Vec::new(),
            observed: Vec::new(),
            placeholder: "[removed]".to_owned(),
            max_bytes: DEFAULT_MAX_BYTES,
        }
    }

    /// For texts on their way to a model: control tokens and injections block, secrets are
    /// reported, role headers are observed (`SYSTEM: Ubuntu` is honest in a bug report).
    ///
    /// # Errors
    /// If the rules compiled into this crate are broken, which its tests rule out.
    pub fn input_default() -> Result<Self, BuildError> {
        Self::builder()
            .detector(ControlTokens::tokens_only(), Action::Block)
            .detector(Injection::new()?, Action::Block)
            .detector(Secrets::new(), Action::Allow)
            .observe(ControlTokens::headers_only(), Action::Block)
            .build()
    }

    /// For texts on their way from a model: control tokens and role headers are erased, secrets
    /// become `[redacted]`. Streams are not buffered.
    ///
    /// # Errors
    /// If the rules compiled into this crate are broken, which its tests rule out.
    pub fn output_default() -> Result<Self, BuildError> {
        Self::builder()
            .detector(ControlTokens::new(), Action::Redact)
            .detector(Secrets::new(), Action::Redact)
            .placeholder("[redacted]")
            .build()
    }

    /// Checks a whole text, in time linear in its length.
    pub fn check<'t>(&self, text: &'t str) -> Verdict<'t> {
        let mut stream = self.stream();
        let clean = stream.push(text).and_then(|start| Ok(start + &stream.finish()?));
        let (action, is_cut) = (stream.action(), stream.is_cut());
        let text = match clean {
            Err(_) => Cow::Borrowed(""),
            Ok(clean) if clean == text => Cow::Borrowed(text),
            Ok(clean) => Cow::Owned(clean),
        };
        Verdict { text, action, findings: stream.into_findings(), is_cut }
    }

    /// Starts a text that comes in chunks.
    pub fn stream(&self) -> StreamSanitizer {
        StreamSanitizer::new(Arc::clone(&self.policy))
    }
}

impl fmt::Debug for Sanitizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Sanitizer");
        debug.field("max_bytes", &self.policy.max_bytes).finish_non_exhaustive()
    }
}

/// Collects what a [`Sanitizer`] is made of.
#[must_use = "call `build`"]
pub struct SanitizerBuilder {
    slots: Vec<Slot>,
    observed: Vec<String>,
    placeholder: String,
    max_bytes: usize,
}

impl SanitizerBuilder {
    /// Adds a detector whose findings have `action` as their consequence.
    pub fn detector(self, detector: impl Detector + 'static, action: Action) -> Self {
        self.slot(detector, action, Mode::Enforce)
    }

    /// Adds a detector whose findings are reported and change nothing. `action` is what they are
    /// reported with.
    pub fn observe(self, detector: impl Detector + 'static, action: Action) -> Self {
        self.slot(detector, action, Mode::Observe)
    }

    fn slot(mut self, detector: impl Detector + 'static, action: Action, mode: Mode) -> Self {
        self.slots.push(Slot { detector: Arc::new(detector), action, mode });
        self
    }

    /// Findings of these rules are reported and change nothing, whatever their detector is set to.
    pub fn observe_rules(mut self, rules: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.observed.extend(rules.into_iter().map(Into::into));
        self
    }

    /// What stands for redacted text, `[removed]` if nothing is said. Erased tokens leave nothing.
    pub fn placeholder(mut self, placeholder: impl Into<String>) -> Self {
        self.placeholder = placeholder.into();
        self
    }

    /// The most bytes of a result, [`DEFAULT_MAX_BYTES`] if nothing is said. A longer text is cut on
    /// a character boundary and ends in [`TRUNCATION_MARK`](crate::TRUNCATION_MARK), which counts
    /// and is left out if it does not fit.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Builds the sanitizer.
    ///
    /// # Errors
    /// [`BuildError::WindowTooLong`] for a window of more than 192 bytes, or erased tokens of more
    /// than 64; [`BuildError::Placeholder`] for a placeholder that could form a token.
    pub fn build(self) -> Result<Sanitizer, BuildError> {
        for slot in &self.slots {
            check_window(slot)?;
        }
        let sets: Vec<_> = self.slots.iter().filter_map(Slot::erased).collect();
        let tokens = (!sets.is_empty()).then(|| Arc::new(TokenSet::merged(&sets, &self.observed)));
        if !is_safe_placeholder(&self.placeholder, tokens.as_deref()) {
            return Err(BuildError::Placeholder);
        }
        // Behind the eraser, only its observed rules still find anything.
        let observed = self.observed;
        let is_looking = |slot: &Slot| slot.erased().is_none_or(|set| set.has_rule_of(&observed));
        let slots: Vec<_> = self.slots.into_iter().filter(is_looking).collect();
        let is_whole_text = slots.iter().any(|slot| slot.detector.window().is_none());
        let (placeholder, max_bytes) = (self.placeholder, self.max_bytes);
        let policy = Policy { slots, observed, tokens, placeholder, max_bytes, is_whole_text };
        Ok(Sanitizer { policy: Arc::new(policy) })
    }
}

impl fmt::Debug for SanitizerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SanitizerBuilder");
        debug.field("max_bytes", &self.max_bytes).finish_non_exhaustive()
    }
}

fn check_window(slot: &Slot) -> Result<(), BuildError> {
    let (window, limit) = match slot.erased() {
        Some(set) => (set.longest(), MAX_HELD),
        None => (slot.detector.window().unwrap_or(0), MAX_WINDOW),
    };
    if window <= limit {
        return Ok(());
    }
    Err(BuildError::WindowTooLong { label: slot.detector.label().as_str(), window, limit })
}

/// Whether no token or header can come together from a placeholder and the text beside it.
fn is_safe_placeholder(placeholder: &str, tokens: Option<&TokenSet>) -> bool {
    let is_plain = placeholder.chars().any(char::is_alphanumeric) && !placeholder.chars().any(char::is_control);
    let placeholder = placeholder.to_ascii_lowercase();
    let is_apart = |word: &str| {
        let word = word.to_ascii_lowercase();
        let mut cuts = placeholder.char_indices().map(|(at, _)| placeholder.split_at(at));
        let meets = |(head, tail): (&str, &str)| word.starts_with(tail) || (!head.is_empty() && word.ends_with(head));
        !word.contains(&placeholder) && !placeholder.contains(&word) && !cuts.any(meets)
    };
    is_plain && tokens.is_none_or(|set| set.words().all(is_apart))
}
