//! The arithmetic of one token bucket, in whole numbers, without a clock.
//!
//! The bucket keeps what was *used*, not what is left: an absent bucket is a full one, a raised
//! limit acts at once, and a settled debt is a number above the capacity. One unit is as many ticks
//! as its window has steps of time; a step gives back as many ticks as the quota has units. All
//! numbers stay below 2^53.

use crate::quota::Quota;

/// Where `used` stops growing: 2^53 - 1.
const MOST: u64 = (1 << 53) - 1;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Time of the last step, in microseconds.
    at: u64,
    /// Ticks in use.
    used: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It fits.
    Yes,
    /// It fits after this many more ticks have come back.
    After(u64),
    /// It is more than the bucket ever holds.
    Never,
}

impl Bucket {
    /// A bucket of which so many ticks are in use now.
    pub(crate) const fn with_used(used: u64) -> Self {
        Self { at: 0, used }
    }

    /// Gives back what time has earned. A clock that steps back gives nothing.
    pub(crate) fn refill(&mut self, quota: Quota, now: u64) {
        let step = quota.window().step_micros();
        let steps = now.saturating_sub(self.at) / step;
        let back = steps.saturating_mul(quota.units());
        if back >= self.used {
            *self = Self { at: self.at.max(now), used: 0 };
        } else {
            self.at += steps * step;
            self.used -= back;
        }
    }

    /// Takes `cost` units or says when it would fit. Call after [`Bucket::refill`].
    pub(crate) fn take(&mut self, quota: Quota, cost: u64) -> Taken {
        let ticks = quota.window().ticks();
        let capacity = quota.most() * ticks;
        if cost > quota.most() {
            return Taken::Never;
        }
        let wanted = self.used + cost * ticks;
        if wanted > capacity {
            return Taken::After(wanted - capacity);
        }
        self.used = wanted;
        Taken::Yes
    }

    /// Replaces a charge of `held` units by `actual`, which may leave a debt.
    pub(crate) fn settle(&mut self, quota: Quota, held: u64, actual: u64) {
        let ticks = quota.window().ticks();
        let more = actual.saturating_sub(held).saturating_mul(ticks);
        let less = held.saturating_sub(actual).saturating_mul(ticks);
        self.used = self.used.saturating_add(more).saturating_sub(less).min(MOST);
    }

    /// Whole units that are left.
    pub(crate) fn left(&self, quota: Quota) -> u64 {
        let ticks = quota.window().ticks();
        (quota.most() * ticks).saturating_sub(self.used) / ticks
    }

    /// Ticks that must come back until one more unit is left, or the bucket is full.
    pub(crate) fn until_more(&self, quota: Quota) -> u64 {
        let ticks = quota.window().ticks();
        match self.used {
            0 => 0,
            used => match (quota.most() * ticks).checked_sub(used) {
                Some(left) => (ticks - left % ticks).min(used),
                None => used - quota.most() * ticks + ticks,
            },
        }
    }

    /// Whether nothing is in use: such a bucket need not be kept.
    pub(crate) fn is_full(&self) -> bool {
        self.used == 0
    }
}
