//! What a key may do, how much, from where and when: all that a maker hands on, and never more of it than it
//! has.

use serde::{Deserialize, Serialize};

use crate::UnixMillis;
use crate::limits::KeyLimits;
use crate::networks::Networks;
use crate::scopes::Scopes;

/// What a key may do, how much, from where and when. A family shares them.
///
/// Of an admin key, `limits` are the most that each key it makes may have.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Terms {
    /// What it may do.
    pub scopes: Scopes,
    /// How much it may use.
    #[serde(default)]
    pub limits: KeyLimits,
    /// From where it may be used.
    #[serde(default)]
    pub addresses: Networks,
    /// Not valid before.
    #[serde(default)]
    pub not_before: Option<UnixMillis>,
    /// Not valid from here on.
    #[serde(default)]
    pub expires_at: Option<UnixMillis>,
}

impl Terms {
    /// These scopes, without any limit, from anywhere, for ever.
    pub fn new(scopes: Scopes) -> Self {
        let (limits, addresses) = (KeyLimits::default(), Networks::default());
        Self { scopes, limits, addresses, not_before: None, expires_at: None }
    }

    /// With these limits.
    #[must_use]
    pub fn limits(mut self, limits: KeyLimits) -> Self {
        self.limits = limits;
        self
    }

    /// From these networks only.
    #[must_use]
    pub fn addresses(mut self, addresses: Networks) -> Self {
        self.addresses = addresses;
        self
    }

    /// Not valid before.
    #[must_use]
    pub fn not_before(mut self, at: Option<UnixMillis>) -> Self {
        self.not_before = at;
        self
    }

    /// Not valid from here on.
    #[must_use]
    pub fn expires_at(mut self, at: Option<UnixMillis>) -> Self {
        self.expires_at = at;
        self
    }

    /// The first of these terms that a maker with `most` cannot hand on.
    pub(crate) fn beyond(&self, most: &Self) -> Option<&'static str> {
        let outlives = most.expires_at.is_some_and(|last| self.expires_at.is_none_or(|end| end > last));
        match () {
            () if !most.scopes.covers(&self.scopes) => Some("scopes"),
            () if !self.limits.are_within(&most.limits) => Some("limits"),
            () if !self.addresses.are_within(&most.addresses) => Some("addresses"),
            () if outlives => Some("expires_at"),
            () => None,
        }
    }

    /// What is left of these terms under a maker's; `None` when nothing is.
    pub(crate) fn clipped_to(&self, most: &Self) -> Option<Self> {
        let expires_at = match (self.expires_at, most.expires_at) {
            (Some(end), Some(last)) => Some(end.min(last)),
            (end, last) => end.or(last),
        };
        Some(Self {
            scopes: self.scopes.clipped_to(&most.scopes)?,
            limits: self.limits.clipped_to(&most.limits),
            addresses: self.addresses.clipped_to(&most.addresses)?,
            not_before: self.not_before.max(most.not_before),
            expires_at,
        })
    }
}
