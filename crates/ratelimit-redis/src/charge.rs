//! What a request costs: units of buckets.

use std::sync::Arc;

use crate::LimiterError;
use crate::quota::Quota;
use crate::unit::is_same_unit;

/// Most bytes of a bucket's name.
pub const MAX_NAME_BYTES: usize = 256;
/// Most charges of one call.
pub const MAX_CHARGES: usize = 32;

/// `cost` units of one bucket.
///
/// A bucket's quotas are told apart by their units. Name all of them in every call about a bucket, those
/// that cost nothing with a cost of 0: the others do not refill while they are left out.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) unit: &'static str,
    pub(crate) policy: &'static str,
    pub(crate) quota: Quota,
    pub(crate) cost: u64,
    pub(crate) floor: u64,
}

impl<'a> Charge<'a> {
    /// `cost` units of this bucket, such as `family:0123`, whose quota is `quota` now. `unit` says what is
    /// counted, such as `requests`. A slot costs 1 or nothing.
    ///
    /// In a Redis Cluster, buckets whose names have the same part in braces, as `{team:7}` and
    /// `{team:7}:key:0123`, are charged in one call.
    pub const fn new(bucket: &'a str, unit: &'static str, quota: Quota, cost: u64) -> Self {
        Self { bucket, unit, policy: unit, quota, cost, floor: 0 }
    }

    /// The name of the quota in headers and refusals; the unit, if it is not set.
    #[must_use]
    pub const fn policy(self, policy: &'static str) -> Self {
        Self { policy, ..self }
    }

    /// Leaves so many units for others, who are more important.
    #[must_use]
    pub const fn floor(self, units: u64) -> Self {
        Self { floor: units, ..self }
    }

    /// What is counted.
    pub const fn unit(&self) -> &'static str {
        self.unit
    }

    /// What it costs.
    pub const fn cost(&self) -> u64 {
        self.cost
    }

    /// Most units that this charge may find.
    pub(crate) fn most(&self) -> u64 {
        self.quota.most().saturating_sub(self.floor)
    }
}

/// A charge as it is kept: what is named twice is one charge.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) bucket: Arc<str>,
    pub(crate) unit: &'static str,
    pub(crate) policy: &'static str,
    pub(crate) quota: Quota,
    /// What is charged for certain.
    pub(crate) cost: u64,
    /// What may be charged beyond it: nobody knows whether the call that said so has run.
    pub(crate) doubt: u64,
    pub(crate) floor: u64,
}

impl Held {
    pub(crate) fn as_charge(&self) -> Charge<'_> {
        let Self { bucket, unit, policy, quota, cost, floor, .. } = self;
        Charge { bucket, unit, policy, quota: *quota, cost: *cost, floor: *floor }
    }
}

/// The charges of one call, each bucket's unit once.
///
/// # Errors
/// [`LimiterError::Charges`], [`LimiterError::SameUnit`].
pub(crate) fn merge(charges: &[Charge<'_>]) -> Result<Vec<Held>, LimiterError> {
    if charges.len() > MAX_CHARGES {
        return Err(LimiterError::Charges);
    }
    let mut merged: Vec<Held> = Vec::with_capacity(charges.len());
    for charge in charges {
        let Charge { bucket, unit, policy, quota, cost, floor } = *charge;
        let is_slot = quota.lease().is_some();
        // A slot is held or not, however often it is named.
        let cost = if is_slot { cost.min(1) } else { cost };
        if bucket.len() > MAX_NAME_BYTES {
            return Err(LimiterError::Charges);
        }
        let is_like = |held: &Held| held.unit != unit && *held.bucket == *bucket && is_same_unit(held.unit, unit);
        if !is_slot && merged.iter().any(|held| held.quota.lease().is_none() && is_like(held)) {
            return Err(LimiterError::SameUnit);
        }
        match merged.iter_mut().find(|held| *held.bucket == *bucket && held.unit == unit) {
            Some(same) => {
                same.cost = if is_slot { same.cost.max(cost) } else { same.cost.saturating_add(cost) };
                same.floor = same.floor.max(floor);
            }
            None => {
                // One name for all quotas of a bucket, which follow each other.
                let last = merged.last().filter(|held| *held.bucket == *bucket);
                let bucket = last.map_or_else(|| bucket.into(), |held| held.bucket.clone());
                merged.push(Held { bucket, unit, policy, quota, cost, doubt: 0, floor });
            }
        }
    }
    Ok(merged)
}

/// What a request cost in the end, by unit. A unit that is not named keeps its charge.
#[derive(Debug, Clone, Default)]
pub struct Actual {
    units: Vec<(&'static str, u64)>,
}

impl Actual {
    /// Every charge stays as it is.
    pub fn as_charged() -> Self {
        Self::default()
    }

    /// This unit cost so much, in every bucket that counts it.
    #[must_use]
    pub fn unit(mut self, unit: &'static str, cost: u64) -> Self {
        self.units.push((unit, cost));
        self
    }

    pub(crate) fn of(&self, held: &Held) -> u64 {
        let named = self.units.iter().find(|(name, _)| *name == held.unit);
        named.map_or(held.cost, |(_, cost)| *cost)
    }
}
