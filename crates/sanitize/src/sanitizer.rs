//! Which detectors run, what follows from their findings, and the whole-text check.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::control::ControlTokens;
use crate::detector::{Detector, LEFT_CONTEXT};
use crate::eraser::MAX_HELD;
use crate::error::BuildError;
use crate::finding::{Action, Finding, Label, Mode, Severity};
use crate::injection::Injection;
use crate::json::JsonStream;
use crate::normalize::Normalized;
use crate::placeholders::{self, Placeholders};
use crate::score::Score;
use crate::secrets::Secrets;
use crate::stream::StreamSanitizer;
use crate::tokens::TokenSet;
use crate::verdict::Verdict;

/// The size limit of a sanitizer that was given none: 1 MiB.
pub const DEFAULT_MAX_BYTES: usize = 1 << 20;

/// The longest window of a detector, so that both stages of a stream hold at most 256 bytes.
pub(crate) const MAX_WINDOW: usize = 192;

const _: () = assert!(MAX_HELD + MAX_WINDOW <= 256 && LEFT_CONTEXT <= MAX_WINDOW);

/// The rule of the finding that stands for a detector that panicked.
pub const PANIC_RULE: &str = "detector.panic";

/// A detector and what follows from its findings.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) detector: Arc<dyn Detector>,
    pub(crate) action: Action,
    pub(crate) mode: Mode,
}

impl Slot {
    /// What the detector finds. One that panics has not looked: that is a finding of its own, which counts as one of its.
    pub(crate) fn detect(&self, text: &Normalized<'_>, found: &mut Vec<Finding>) {
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let mut found = Vec::new();
            self.detector.detect(text, &mut found);
            found
        }));
        match looked {
            Ok(mut seen) => found.append(&mut seen),
            Err(_) => found.push(Finding::new(Label::Panic, PANIC_RULE, Severity::High)),
        }
    }

    /// The first byte of `tail` that it may still claim.
    pub(crate) fn open_from(&self, tail: &str) -> usize {
        let asked = catch_unwind(AssertUnwindSafe(|| self.detector.open_from(tail)));
        asked.unwrap_or_else(|_| tail.len().saturating_sub(MAX_WINDOW))
    }
}

/// What is to be done about the findings of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exception {
    /// They are left out.
    Dropped,
    React(Action, Mode),
}

/// All that a stream needs to know.
#[derive(Clone)]
pub(crate) struct Policy {
    /// Detectors that see the text behind the eraser.
    pub(crate) slots: Vec<Slot>,
    /// Rules that are not treated as their detector is.
    exceptions: BTreeMap<String, Exception>,
    /// What follows from a detector that panics.
    on_panic: Action,
    /// What is erased.
    pub(crate) tokens: Option<Arc<TokenSet>>,
    pub(crate) placeholder: String,
    /// Whether values get placeholders of their own.
    pub(crate) is_numbered: bool,
    pub(crate) max_bytes: usize,
    /// Whether a detector must see whole texts.
    pub(crate) is_whole_text: bool,
}

impl Policy {
    /// What is done about a finding of this rule; `None` if it is left out.
    pub(crate) fn reaction(&self, slot: &Slot, rule: &str) -> Option<(Action, Mode)> {
        match self.exceptions.get(rule) {
            _ if rule == PANIC_RULE => Some((self.on_panic, slot.mode)),
            Some(Exception::Dropped) => None,
            Some(Exception::React(action, mode)) => Some((*action, *mode)),
            None => Some((slot.action, slot.mode)),
        }
    }

    fn erases(&self, slot: &Slot, rule: &str) -> bool {
        self.reaction(slot, rule) == Some((Action::Redact, Mode::Enforce))
    }

    /// Whether a detector still finds anything behind the eraser.
    fn is_looking(&self, slot: &Slot) -> bool {
        let is_left = |rule: &str| !self.erases(slot, rule) && self.reaction(slot, rule).is_some();
        slot.detector.token_set().is_none_or(|set| set.rules().any(is_left))
    }

    fn count_windows(&mut self) -> Result<(), BuildError> {
        for slot in &self.slots {
            fits(slot.detector.label(), slot.detector.window().unwrap_or(0), MAX_WINDOW)?;
        }
        self.is_whole_text = self.slots.iter().any(|slot| slot.detector.window().is_none());
        Ok(())
    }
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
            policy: Policy {
                slots: Vec::new(),
                exceptions: BTreeMap::new(),
                on_panic: Action::Block,
                tokens: None,
                placeholder: "[removed]".to_owned(),
                is_numbered: false,
                max_bytes: DEFAULT_MAX_BYTES,
                is_whole_text: false,
            },
        }
    }

    /// For texts on their way to a model: control tokens and injections block, secrets are
    /// reported, role headers (`SYSTEM: Ubuntu` is honest in a bug report) and the score are observed.
    ///
    /// # Errors
    /// If the rules compiled into this crate are broken, which its tests rule out.
    pub fn input_default() -> Result<Self, BuildError> {
        Self::builder()
            .detector(ControlTokens::tokens_only(), Action::Block)
            .detector(Injection::new()?, Action::Block)
            .detector(Secrets::new(), Action::Allow)
            .observe(ControlTokens::headers_only(), Action::Block)
            .observe(Score::new()?, Action::Block)
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
        self.check_with(text, &mut Placeholders::new())
    }

    /// The same for one of several texts that belong together: the same value gets the same placeholder in all of them.
    pub fn check_with<'t>(&self, text: &'t str, placeholders: &mut Placeholders) -> Verdict<'t> {
        let mut stream = self.stream_with(std::mem::take(placeholders));
        let clean = stream.push(text).and_then(|start| Ok(start + &stream.finish()?));
        let (action, is_cut) = (stream.action(), stream.is_cut());
        let text = match clean {
            Err(_) => Cow::Borrowed(""),
            Ok(clean) if clean == text => Cow::Borrowed(text),
            Ok(clean) => Cow::Owned(clean),
        };
        let findings;
        (findings, *placeholders) = stream.into_parts();
        Verdict { text, action, findings, is_cut }
    }

    /// Starts a text that comes in chunks.
    pub fn stream(&self) -> StreamSanitizer {
        self.stream_with(Placeholders::new())
    }

    /// The same, going on with placeholders that other texts have begun.
    pub fn stream_with(&self, placeholders: Placeholders) -> StreamSanitizer {
        StreamSanitizer::new(Arc::clone(&self.policy), placeholders)
    }

    /// Starts JSON text that comes in chunks, such as the arguments of a tool call: each string in it is a text of its
    /// own, and what comes out is JSON if what came in was.
    pub fn json_stream(&self) -> JsonStream {
        self.json_stream_with(Placeholders::new())
    }

    /// The same, going on with placeholders that other texts have begun.
    pub fn json_stream_with(&self, placeholders: Placeholders) -> JsonStream {
        JsonStream::new(Arc::clone(&self.policy), placeholders)
    }

    /// The same sanitizer with one more detector, for what only one request needs to look for. Costs a few small copies.
    ///
    /// Tokens of the detector are redacted like any other finding, not to a fixed point.
    ///
    /// # Errors
    /// [`BuildError::WindowTooLong`] for a window of more than 192 bytes.
    pub fn also(&self, detector: impl Detector + 'static, action: Action, mode: Mode) -> Result<Self, BuildError> {
        let mut policy = Policy::clone(&self.policy);
        policy.slots.push(Slot { detector: Arc::new(detector), action, mode });
        policy.count_windows()?;
        Ok(Self { policy: Arc::new(policy) })
    }

    /// Whether a stream is held back to its end, because a detector must see whole texts.
    pub fn is_whole_text(&self) -> bool {
        self.policy.is_whole_text
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
    policy: Policy,
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
        self.policy.slots.push(Slot { detector: Arc::new(detector), action, mode });
        self
    }

    /// Treats the findings of one rule otherwise than its detector says. The last word about a rule counts.
    pub fn rule(mut self, rule: impl Into<String>, action: Action, mode: Mode) -> Self {
        self.policy.exceptions.insert(rule.into(), Exception::React(action, mode));
        self
    }

    /// Leaves the findings of one rule out.
    pub fn without_rule(mut self, rule: impl Into<String>) -> Self {
        self.policy.exceptions.insert(rule.into(), Exception::Dropped);
        self
    }

    /// What follows when a detector panics and so has not looked: [`Action::Block`] if nothing is said. There is a
    /// finding of the rule [`PANIC_RULE`] in either case; where the detector is observed it changes nothing.
    pub fn on_panic(mut self, action: Action) -> Self {
        self.policy.on_panic = action;
        self
    }

    /// What stands for redacted text, `[removed]` if nothing is said. Erased tokens leave nothing.
    pub fn placeholder(mut self, placeholder: impl Into<String>) -> Self {
        self.policy.placeholder = placeholder.into();
        self
    }

    /// Lets secrets and personal data have placeholders that tell their kind, with a number for each value: `[EMAIL_1]`,
    /// `[SECRET_2]`. See [`Placeholders`].
    pub fn numbered_placeholders(mut self) -> Self {
        self.policy.is_numbered = true;
        self
    }

    /// The most bytes of a result, [`DEFAULT_MAX_BYTES`] if nothing is said. A longer text is cut on
    /// a character boundary and ends in [`TRUNCATION_MARK`](crate::TRUNCATION_MARK), which counts
    /// and is left out if it does not fit.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.policy.max_bytes = max_bytes;
        self
    }

    /// Builds the sanitizer.
    ///
    /// # Errors
    /// [`BuildError::WindowTooLong`] for a window of more than 192 bytes, or erased tokens of more
    /// than 64; [`BuildError::Placeholder`] for a placeholder that could form a token.
    pub fn build(self) -> Result<Sanitizer, BuildError> {
        let mut policy = self.policy;
        let sets = policy.slots.iter().filter_map(|slot| {
            let set = slot.detector.token_set()?;
            Some((set, |rule: &str| policy.erases(slot, rule)))
        });
        let tokens = TokenSet::merged(sets);
        fits(Label::ControlToken, tokens.as_ref().map_or(0, TokenSet::longest), MAX_HELD)?;
        let numbered = placeholders::examples().filter(|_| policy.is_numbered);
        let mut placeholders = numbered.chain([policy.placeholder.clone()]);
        if !placeholders.all(|placeholder| is_safe_placeholder(&placeholder, tokens.as_ref())) {
            return Err(BuildError::Placeholder);
        }
        policy.tokens = tokens.map(Arc::new);
        let slots = std::mem::take(&mut policy.slots);
        policy.slots = slots.into_iter().filter(|slot| policy.is_looking(slot)).collect();
        policy.count_windows()?;
        Ok(Sanitizer { policy: Arc::new(policy) })
    }
}

impl fmt::Debug for SanitizerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SanitizerBuilder");
        debug.field("max_bytes", &self.policy.max_bytes).finish_non_exhaustive()
    }
}

fn fits(label: Label, window: usize, limit: usize) -> Result<(), BuildError> {
    match window <= limit {
        true => Ok(()),
        false => Err(BuildError::WindowTooLong { label: label.as_str(), window, limit }),
    }
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
