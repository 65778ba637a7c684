//! Decisions in calls of their own, to measure what waiting together brings.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::LimiterError;
use crate::charge::{Charge, merge};
use crate::op::Op;
use crate::redis::RedisLimiter;
use crate::redis::batch::Batch;
use crate::redis::groups::same_slot;
use crate::redis::link::Link;

/// A connection on which every decision is a call of its own.
pub struct Alone(Arc<Link>);

impl RedisLimiter {
    /// A connection for [`reserve_alone`](Self::reserve_alone).
    pub fn alone(&self) -> Alone {
        Alone(Arc::new(Link::new(self.server.clone())))
    }

    /// One decision in a call of its own. In a cluster all charges must lie in one slot.
    ///
    /// # Errors
    /// As [`Limiter::reserve`](crate::Limiter::reserve).
    pub async fn reserve_alone(&self, charges: &[Charge<'_>], link: &Alone) -> Result<bool, LimiterError> {
        let permit = self.permits.fetch_add(1, Ordering::Relaxed);
        let charges = merge(charges)?;
        let slot = same_slot(&self.server.place, &charges).ok_or(LimiterError::Charges)?;
        let node = self.server.place.node(slot).ok_or(LimiterError::Unavailable)?;
        let mut batch = Batch::default();
        let place = batch.push(Op::take(&charges, permit)).map_err(|_| LimiterError::Charges)?;
        let answer = link.0.call(&node, slot, &batch).await.map_err(|_| LimiterError::Unavailable)?;
        Ok(batch.decode(&answer)?.of(place)?.is_taken)
    }
}
