//! What a key may do. A key is for inference or for administration, never for both.

mod admin;
mod inference;

use serde::{Deserialize, Serialize};

pub use admin::{AdminAct, AdminScopes};
pub use inference::{InferenceScopes, Operation};

#[cfg(feature = "openapi")]
pub(crate) use admin::AdminWire;

/// What a key may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scopes {
    /// Ask models.
    Inference(InferenceScopes),
    /// Administer the gateway.
    Admin(AdminScopes),
}

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
    /// A pattern that is empty, too long, or has spaces or control characters or a whole key in it.
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
        matches!(self, Self::Inference(scopes) if scopes.permits(operation, model))
    }

    /// Whether the key may administer this.
    pub fn permits_admin(&self, act: AdminAct) -> bool {
        matches!(self, Self::Admin(scopes) if scopes.permits(act))
    }

    /// Whether system texts sent with this key are trusted.
    pub fn trusts_system(&self) -> bool {
        matches!(self, Self::Inference(scopes) if scopes.trusts_system())
    }

    /// Whether everything permitted here is permitted by `most`. When in doubt, no: each pattern
    /// must lie within one pattern of `most`.
    pub fn is_subset_of(&self, most: &Self) -> bool {
        match (self, most) {
            (Self::Inference(own), Self::Inference(most)) => own.is_subset_of(most),
            (Self::Admin(own), Self::Admin(most)) => own.is_subset_of(most),
            _ => false,
        }
    }

    /// Whether a key with these scopes may make one with `child`'s: inference keys within what it
    /// [grants](AdminScopes::grants), and admin keys that may do no more than itself. An inference key makes
    /// nothing.
    pub fn may_issue(&self, child: &Self) -> bool {
        self.permits_admin(AdminAct::KeysWrite) && self.covers(child)
    }

    /// Whether what a key with these scopes once made may be this.
    pub(crate) fn covers(&self, child: &Self) -> bool {
        match (self, child) {
            (Self::Admin(maker), Self::Inference(child)) => maker.grants().is_none_or(|most| child.is_subset_of(most)),
            (Self::Admin(maker), Self::Admin(child)) => child.is_subset_of(maker),
            (Self::Inference(_), _) => false,
        }
    }

    /// What is left of these scopes under a maker's; `None` when nothing is.
    pub(crate) fn clipped_to(&self, maker: &Self) -> Option<Self> {
        match (self, maker) {
            (Self::Inference(child), Self::Admin(maker)) => match maker.grants() {
                Some(most) => child.clipped_to(most).map(Self::Inference),
                None => Some(self.clone()),
            },
            (Self::Admin(child), Self::Admin(maker)) => child.clipped_to(maker).map(Self::Admin),
            (_, Self::Inference(_)) => None,
        }
    }
}
