//! How texts are screened: what holds for whom, and what one request takes with it to its answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use core_validate::{InferenceRequest, ModelName, Origin, Slot};
use keys::{FamilyId, Principal};
use sanitize::{
    Action, Blocked, Canary, Classifier, Finding, JsonStream, Mode, Overlap, Placeholders, Sanitizer, StreamSanitizer,
};
use sha2::{Digest as _, Sha256};

use crate::clean_texts::CleanTexts;

/// How texts are screened.
pub struct Screening {
    /// What holds unless an exception fits.
    pub rules: Arc<ScreenRules>,
    /// The first one that fits a request holds alone.
    pub exceptions: Vec<ScreenException>,
    /// Over the texts that the audit trail keeps.
    pub audit: Sanitizer,
    /// Whether the audit trail keeps texts at all, or their digests only.
    pub keep_text: bool,
}

/// Other rules for some callers and models.
pub struct ScreenException {
    /// For these tenants; for all if there are none.
    pub tenants: Vec<String>,
    /// For these families of keys; for all if there are none.
    pub families: Vec<FamilyId>,
    /// For these models; for all if there are none.
    pub models: Vec<ModelName>,
    /// What holds for them.
    pub rules: Arc<ScreenRules>,
}

/// What happens to the texts of a request and of its answer.
pub struct ScreenRules {
    /// Over every text of a request.
    pub input: Sanitizer,
    /// Over every text of an answer.
    pub output: Sanitizer,
    /// Whether answers get the values back that placeholders stood for in the request.
    pub restores: bool,
    /// Texts in which `input` found nothing, which are not looked at anew.
    pub clean: CleanTexts,
    /// System texts that are not screened.
    pub trusted: BTreeSet<TextDigest>,
    /// What happens to an answer that repeats the system text of its request.
    pub prompt_leak: Option<(Action, Mode)>,
    /// A word is planted in system texts, which must not be in an answer.
    pub canary: Option<Planted>,
    /// A judge elsewhere.
    pub judge: Option<Judge>,
}

/// The SHA-256 of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TextDigest([u8; 32]);

/// How words are made that are planted in system texts.
pub struct Planted {
    /// What the words of tenants are made from.
    pub secret: Arc<[u8]>,
    /// What happens to an answer with such a word.
    pub action: Action,
    /// Whether it does.
    pub mode: Mode,
}

/// A judge elsewhere, and what is made of what it says.
#[derive(Clone)]
pub struct Judge {
    /// Whom to ask.
    pub classifier: Arc<dyn Classifier>,
    /// How long it may take.
    pub deadline: Duration,
    /// Whether a request is refused for what it says.
    pub mode: Mode,
    /// Whether requests pass that it did not judge.
    pub lets_pass: bool,
    /// Most bytes of text that it is asked about.
    pub max_bytes: usize,
}

impl TextDigest {
    /// That of a text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        let bytes = pairs.iter().map(|pair| {
            let digits = std::str::from_utf8(pair).ok().filter(|digits| !digits.starts_with('+'))?;
            u8::from_str_radix(digits, 16).ok()
        });
        let bytes: Option<Vec<u8>> = bytes.collect();
        Some(Self(bytes?.try_into().ok()?))
    }
}

impl std::fmt::Display for TextDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Screening {
    /// The rules for a request.
    pub(crate) fn of(&self, principal: Option<&Principal>, model: &ModelName) -> &Arc<ScreenRules> {
        let tenant = principal.map(|principal| principal.tenant().as_str()).unwrap_or_default();
        self.rules_for(tenant, principal.map(Principal::family), Some(model))
    }

    /// The rules for a tenant, a family of keys and a model.
    pub fn rules_for(&self, tenant: &str, family: Option<&FamilyId>, model: Option<&ModelName>) -> &Arc<ScreenRules> {
        let exception = self.exceptions.iter().find(|exception| exception.fits(tenant, family, model));
        exception.map_or(&self.rules, |exception| &exception.rules)
    }
}

impl ScreenException {
    fn fits(&self, tenant: &str, family: Option<&FamilyId>, model: Option<&ModelName>) -> bool {
        (self.tenants.is_empty() || self.tenants.iter().any(|one| one == tenant))
            && (self.families.is_empty() || family.is_some_and(|family| self.families.contains(family)))
            && (self.models.is_empty() || model.is_some_and(|model| self.models.contains(model)))
    }
}

/// What a request takes with it to its answer.
pub(crate) struct AnswerScreen {
    sanitizer: Sanitizer,
    placeholders: Placeholders,
    restores: bool,
    /// The word that is planted in the request.
    planted: Option<String>,
}

impl AnswerScreen {
    /// That of a request whose texts were screened. `placeholders` are those of its texts.
    pub(crate) fn new(
        rules: &ScreenRules,
        request: &InferenceRequest,
        planted: Option<String>,
        placeholders: Placeholders,
    ) -> Self {
        let mut sanitizer = rules.output.clone();
        // Neither is refused: their windows are within bounds, and the word is of our own making.
        if let (Some(canary), Some(word)) = (&rules.canary, &planted)
            && let Ok(detector) = Canary::new([word])
            && let Ok(more) = sanitizer.also(detector, canary.action, canary.mode)
        {
            sanitizer = more;
        }
        if let Some((action, mode)) = rules.prompt_leak {
            let texts = request.texts().filter(|text| text.origin() == Origin::System && !text.is_key());
            let prompts: Vec<_> = texts.map(|text| text.text()).collect();
            let overlap = Overlap::new(&prompts, Overlap::DEFAULT_LEAST);
            if !prompts.is_empty()
                && let Ok(more) = sanitizer.also(overlap, action, mode)
            {
                sanitizer = more;
            }
        }
        Self { sanitizer, placeholders, restores: rules.restores, planted }
    }

    /// The word to plant in the request, if one is.
    pub(crate) fn planted(&self) -> Option<&str> {
        self.planted.as_deref()
    }

    /// What looks at texts whose parts were cleaned already.
    pub(crate) fn sanitizer(&self) -> &Sanitizer {
        &self.sanitizer
    }

    /// What cleans the text of a slot.
    pub(crate) fn cleaner(&self, slot: Slot) -> Cleaner {
        let placeholders = self.placeholders.clone();
        match slot {
            Slot::Arguments(..) => {
                let stream = self.sanitizer.json_stream_with(placeholders);
                Cleaner::Json(Box::new(if self.restores { stream.restoring() } else { stream }))
            }
            _ => {
                let stream = self.sanitizer.stream_with(placeholders);
                Cleaner::Text(Box::new(if self.restores { stream.restoring() } else { stream }))
            }
        }
    }
}

/// Cleans one text of an answer, whole or in chunks. Arguments of tool calls are JSON.
pub(crate) enum Cleaner {
    Text(Box<StreamSanitizer>),
    Json(Box<JsonStream>),
}

impl Cleaner {
    pub(crate) fn push(&mut self, chunk: &str) -> Result<String, Blocked> {
        match self {
            Self::Text(stream) => stream.push(chunk),
            Self::Json(stream) => stream.push(chunk),
        }
    }

    pub(crate) fn finish(&mut self) -> Result<String, Blocked> {
        match self {
            Self::Text(stream) => stream.finish(),
            Self::Json(stream) => stream.finish(),
        }
    }

    /// Whether the text is longer than what is handed out.
    pub(crate) fn is_cut(&self) -> bool {
        match self {
            Self::Text(stream) => stream.is_cut(),
            Self::Json(_) => false,
        }
    }

    pub(crate) fn findings(&self) -> &[Finding] {
        match self {
            Self::Text(stream) => stream.findings(),
            Self::Json(stream) => stream.findings(),
        }
    }
}
