//! What a key may administer, and what the keys that it makes may do at most.

use std::collections::BTreeSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::scopes::{InferenceScopes, ScopesError};

/// What a key may administer.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AdminAct {
    /// List keys.
    #[serde(rename = "keys:read")]
    KeysRead,
    /// Issue, change, rotate and revoke keys.
    #[serde(rename = "keys:write")]
    KeysWrite,
    /// Reach beyond the own tenant, and make tenants.
    #[serde(rename = "tenants:all")]
    TenantsAll,
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

/// What a key may administer: at least one act. Serialized as the list of acts, or with
/// [`grants`](Self::grants) as `{"acts": [..], "grants": {..}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "AdminWire", try_from = "AdminWire")]
pub struct AdminScopes {
    acts: BTreeSet<AdminAct>,
    grants: Option<InferenceScopes>,
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub(crate) enum AdminWire {
    Acts(BTreeSet<AdminAct>),
    Granting(Granting),
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct Granting {
    acts: BTreeSet<AdminAct>,
    grants: InferenceScopes,
}

impl AdminScopes {
    /// These acts.
    ///
    /// # Errors
    /// [`ScopesError::NoAct`] when there is none.
    pub fn new(acts: impl IntoIterator<Item = AdminAct>) -> Result<Self, ScopesError> {
        let acts: BTreeSet<_> = acts.into_iter().collect();
        if acts.is_empty() { Err(ScopesError::NoAct) } else { Ok(Self { acts, grants: None }) }
    }

    /// Every act.
    pub fn all() -> Self {
        Self { acts: AdminAct::ALL.iter().copied().collect(), grants: None }
    }

    /// The keys that it makes may ask models for no more than this.
    #[must_use]
    pub fn with_grants(mut self, most: InferenceScopes) -> Self {
        self.grants = Some(most);
        self
    }

    /// The acts, in the order of [`AdminAct::ALL`].
    pub fn acts(&self) -> impl Iterator<Item = AdminAct> + '_ {
        self.acts.iter().copied()
    }

    /// What the inference keys that it makes may do at most; anything, when there is none.
    pub fn grants(&self) -> Option<&InferenceScopes> {
        self.grants.as_ref()
    }

    pub(crate) fn permits(&self, act: AdminAct) -> bool {
        self.acts.contains(&act)
    }

    pub(crate) fn is_subset_of(&self, most: &Self) -> bool {
        let grants_less = match (&self.grants, &most.grants) {
            (_, None) => true,
            (Some(own), Some(most)) => own.is_subset_of(most),
            (None, Some(_)) => false,
        };
        grants_less && self.acts.is_subset(&most.acts)
    }

    /// What both permit; `None` when nothing is left. Grants that have nothing in common grant nothing.
    pub(crate) fn clipped_to(&self, maker: &Self) -> Option<Self> {
        let acts: BTreeSet<_> = self.acts.intersection(&maker.acts).copied().collect();
        let grants = match (&self.grants, &maker.grants) {
            (Some(own), Some(most)) => Some(own.clipped_to(most).unwrap_or_else(InferenceScopes::nothing)),
            (own, most) => own.clone().or_else(|| most.clone()),
        };
        (!acts.is_empty()).then_some(Self { acts, grants })
    }
}

impl From<AdminScopes> for AdminWire {
    fn from(scopes: AdminScopes) -> Self {
        match scopes.grants {
            None => Self::Acts(scopes.acts),
            Some(grants) => Self::Granting(Granting { acts: scopes.acts, grants }),
        }
    }
}

impl TryFrom<AdminWire> for AdminScopes {
    type Error = ScopesError;

    fn try_from(wire: AdminWire) -> Result<Self, ScopesError> {
        match wire {
            AdminWire::Acts(acts) => Self::new(acts),
            AdminWire::Granting(Granting { acts, grants }) => Ok(Self::new(acts)?.with_grants(grants)),
        }
    }
}

impl AdminAct {
    /// Every act.
    pub const ALL: &[Self] =
        &[Self::KeysRead, Self::KeysWrite, Self::TenantsAll, Self::AuditRead, Self::MetricsRead, Self::ConfigReload];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::KeysRead => "keys:read",
            Self::KeysWrite => "keys:write",
            Self::TenantsAll => "tenants:all",
            Self::AuditRead => "audit:read",
            Self::MetricsRead => "metrics:read",
            Self::ConfigReload => "config:reload",
        }
    }
}

impl FromStr for AdminAct {
    type Err = ScopesError;

    fn from_str(word: &str) -> Result<Self, ScopesError> {
        Self::ALL.iter().copied().find(|act| act.as_str() == word).ok_or(ScopesError::UnknownWord)
    }
}
