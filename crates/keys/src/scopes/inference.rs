//! What a key may ask of which models.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::format;
use crate::glob;
use crate::scopes::ScopesError;

/// What a key may ask of a model.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Chat, in any wire shape.
    Chat,
    /// Text completion.
    Complete,
    /// Embeddings.
    Embed,
    /// Tensors in, tensors out.
    Infer,
}

/// Which models a key may ask, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(try_from = "InferenceWire", deny_unknown_fields)]
pub struct InferenceScopes {
    /// Model patterns; `*` stands for any run of characters.
    models: Vec<String>,
    operations: BTreeSet<Operation>,
    /// Leaves system and developer texts unscreened.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    trust_system: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InferenceWire {
    models: Vec<String>,
    operations: BTreeSet<Operation>,
    #[serde(default)]
    trust_system: bool,
}

impl InferenceScopes {
    /// Most patterns of one key.
    pub const MAX_PATTERNS: usize = 32;
    /// Most bytes of one pattern.
    pub const MAX_PATTERN_BYTES: usize = 128;

    /// These models and operations. In a model pattern, `*` stands for any run of characters.
    ///
    /// # Errors
    /// [`ScopesError`] when one list is empty or a pattern is not allowed.
    pub fn new(
        models: impl IntoIterator<Item = impl Into<String>>,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Result<Self, ScopesError> {
        let models: Vec<String> = models.into_iter().map(Into::into).collect();
        let operations: BTreeSet<_> = operations.into_iter().collect();
        if models.len() > Self::MAX_PATTERNS {
            return Err(ScopesError::TooManyModels);
        }
        let is_allowed = |pattern: &String| {
            (1..=Self::MAX_PATTERN_BYTES).contains(&pattern.len())
                && !pattern.chars().any(|c| c.is_control() || c.is_whitespace())
                && !format::is_in(pattern)
        };
        match (models.is_empty(), models.iter().all(is_allowed), operations.is_empty()) {
            (true, ..) => Err(ScopesError::NoModel),
            (_, false, _) => Err(ScopesError::Pattern),
            (.., true) => Err(ScopesError::NoOperation),
            _ => Ok(Self { models, operations, trust_system: false }),
        }
    }

    /// Also trusts system and developer texts of its requests: they are not screened.
    #[must_use]
    pub fn with_trust_system(mut self) -> Self {
        self.trust_system = true;
        self
    }

    /// The model patterns.
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// The operations, in the order of [`Operation::ALL`].
    pub fn operations(&self) -> impl Iterator<Item = Operation> + '_ {
        self.operations.iter().copied()
    }

    /// Whether system and developer texts are trusted.
    pub fn trusts_system(&self) -> bool {
        self.trust_system
    }

    /// What permits nothing. No key has it; it is what two grants with nothing in common leave.
    pub(crate) fn nothing() -> Self {
        Self { models: Vec::new(), operations: BTreeSet::new(), trust_system: false }
    }

    pub(crate) fn permits(&self, operation: Operation, model: &str) -> bool {
        self.operations.contains(&operation) && self.models.iter().any(|glob| glob::matches(glob, model))
    }

    pub(crate) fn is_subset_of(&self, most: &Self) -> bool {
        self.operations.is_subset(&most.operations)
            && (most.trust_system || !self.trust_system)
            && self.models.iter().all(|model| most.holds(model))
    }

    fn holds(&self, pattern: &str) -> bool {
        self.models.iter().any(|glob| glob::matches(glob, pattern))
    }

    /// What both permit, or less: of two patterns that only overlap, neither is kept. `None` when nothing is
    /// left.
    pub(crate) fn clipped_to(&self, most: &Self) -> Option<Self> {
        let mut models: Vec<String> = self.models.iter().filter(|model| most.holds(model)).cloned().collect();
        models.extend(most.models.iter().filter(|model| self.holds(model)).cloned());
        models.sort_unstable();
        models.dedup();
        let operations: BTreeSet<_> = self.operations.intersection(&most.operations).copied().collect();
        let trust_system = self.trust_system && most.trust_system;
        (!models.is_empty() && !operations.is_empty()).then_some(Self { models, operations, trust_system })
    }
}

impl TryFrom<InferenceWire> for InferenceScopes {
    type Error = ScopesError;

    fn try_from(wire: InferenceWire) -> Result<Self, ScopesError> {
        let scopes = Self::new(wire.models, wire.operations)?;
        Ok(Self { trust_system: wire.trust_system, ..scopes })
    }
}

impl Operation {
    /// Every operation.
    pub const ALL: &[Self] = &[Self::Chat, Self::Complete, Self::Embed, Self::Infer];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Complete => "complete",
            Self::Embed => "embed",
            Self::Infer => "infer",
        }
    }
}

impl FromStr for Operation {
    type Err = ScopesError;

    fn from_str(word: &str) -> Result<Self, ScopesError> {
        Self::ALL.iter().copied().find(|operation| operation.as_str() == word).ok_or(ScopesError::UnknownWord)
    }
}
