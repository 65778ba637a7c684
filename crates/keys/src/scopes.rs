//! What a key may do. A key is for inference or for administration, never for both.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::glob;

/// What a key may ask of a model.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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

/// What a key may administer.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AdminAct {
    /// List keys.
    #[serde(rename = "keys:read")]
    KeysRead,
    /// Issue, rotate and revoke keys.
    #[serde(rename = "keys:write")]
    KeysWrite,
    /// Read and verify the audit trail.
    #[serde(rename = "audit:read")]
    AuditRead,
    /// Read metrics.
    #[serde(rename = "metrics:read")]
    MetricsRead,
    /// Reload the configuration.
    #[serde(rename = "config:reload")]
    ConfigReload,
}

/// What a key may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scopes {
    /// Ask models.
    Inference(InferenceScopes),
    /// Administer the gateway.
    Admin(AdminScopes),
}

/// Which models a key may ask, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "InferenceWire")]
pub struct InferenceScopes {
    models: Vec<String>,
    operations: BTreeSet<Operation>,
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

/// What a key may administer: at least one act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<AdminAct>")]
pub struct AdminScopes(BTreeSet<AdminAct>);

/// Scopes that no key can have.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopesError {
    /// No model.
    #[error("a key needs at least one model pattern")]
    NoModel,
    /// Too many models.
    #[error("a key has at most {} model patterns", InferenceScopes::MAX_PATTERNS)]
    TooManyModels,
    /// A pattern that is empty, too long, or has spaces or control characters.
    #[error(
        "a model pattern is 1 to {} bytes without spaces or control characters",
        InferenceScopes::MAX_PATTERN_BYTES
    )]
    Pattern,
    /// No operation.
    #[error("a key needs at least one operation")]
    NoOperation,
    /// No act.
    #[error("an admin key needs at least one act")]
    NoAct,
    /// A word that names no operation or act.
    #[error("no such operation or act")]
    UnknownWord,
}

impl Scopes {
    /// Whether the key may ask this model for this. Case matters.
    pub fn permits(&self, operation: Operation, model: &str) -> bool {
        match self {
            Self::Inference(scopes) => {
                scopes.operations.contains(&operation) && scopes.models.iter().any(|glob| glob::matches(glob, model))
            }
            Self::Admin(_) => false,
        }
    }

    /// Whether the key may administer this.
    pub fn permits_admin(&self, act: AdminAct) -> bool {
        matches!(self, Self::Admin(scopes) if scopes.0.contains(&act))
    }

    /// Whether system texts sent with this key are trusted.
    pub fn trusts_system(&self) -> bool {
        matches!(self, Self::Inference(scopes) if scopes.trust_system)
    }

    /// Whether everything permitted here is permitted by `parent`. When in doubt, no: each pattern
    /// must lie within one pattern of the parent.
    pub fn is_subset_of(&self, parent: &Self) -> bool {
        match (self, parent) {
            (Self::Inference(child), Self::Inference(parent)) => child.is_subset_of(parent),
            (Self::Admin(child), Self::Admin(parent)) => child.0.is_subset(&parent.0),
            _ => false,
        }
    }

    /// Whether a key with these scopes may make one with `child`'s: any inference key, and admin
    /// keys that may do no more than itself. An inference key makes nothing.
    pub fn may_issue(&self, child: &Self) -> bool {
        self.permits_admin(AdminAct::KeysWrite) && (matches!(child, Self::Inference(_)) || child.is_subset_of(self))
    }
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

    fn is_subset_of(&self, parent: &Self) -> bool {
        let is_within = |child: &String| parent.models.iter().any(|glob| glob::matches(glob, child));
        self.operations.is_subset(&parent.operations)
            && (parent.trust_system || !self.trust_system)
            && self.models.iter().all(is_within)
    }
}

impl TryFrom<InferenceWire> for InferenceScopes {
    type Error = ScopesError;

    fn try_from(wire: InferenceWire) -> Result<Self, ScopesError> {
        let scopes = Self::new(wire.models, wire.operations)?;
        Ok(Self { trust_system: wire.trust_system, ..scopes })
    }
}

impl AdminScopes {
    /// These acts.
    ///
    /// # Errors
    /// [`ScopesError::NoAct`] when there is none.
    pub fn new(acts: impl IntoIterator<Item = AdminAct>) -> Result<Self, ScopesError> {
        let acts: BTreeSet<_> = acts.into_iter().collect();
        if acts.is_empty() { Err(ScopesError::NoAct) } else { Ok(Self(acts)) }
    }

    /// Every act.
    pub fn all() -> Self {
        Self(AdminAct::ALL.iter().copied().collect())
    }

    /// The acts, in the order of [`AdminAct::ALL`].
    pub fn acts(&self) -> impl Iterator<Item = AdminAct> + '_ {
        self.0.iter().copied()
    }
}

impl TryFrom<BTreeSet<AdminAct>> for AdminScopes {
    type Error = ScopesError;

    fn try_from(acts: BTreeSet<AdminAct>) -> Result<Self, ScopesError> {
        Self::new(acts)
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

impl AdminAct {
    /// Every act.
    pub const ALL: &[Self] = &[Self::KeysRead, Self::KeysWrite, Self::AuditRead, Self::MetricsRead, Self::ConfigReload];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::AuditRead => "audit:read",
            Self::MetricsRead => "metrics:read",
            Self::ConfigReload => "config:reload",
        }
    }
}

impl FromStr for Operation {
    type Err = ScopesError;

    fn from_str(word: &str) -> Result<Self, ScopesError> {
        Self::ALL.iter().copied().find(|operation| operation.as_str() == word).ok_or(ScopesError::UnknownWord)
    }
}

impl FromStr for AdminAct {
    type Err = ScopesError;

    fn from_str(word: &str) -> Result<Self, ScopesError> {
        Self::ALL.iter().copied().find(|act| act.as_str() == word).ok_or(ScopesError::UnknownWord)
    }
}
