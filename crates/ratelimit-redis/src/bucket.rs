//! The arithmetic of one bucket, in whole numbers, without a clock. The script in `redis/` does the same
//! and is tested against it.
//!
//! A bucket keeps what was *used*, not what is left: an absent bucket is a full one, a raised limit acts
//! at once, and a settled debt is a number above the capacity. One unit is as many ticks as its window
//! has steps of time; each step gives back as many ticks as the quota has units. Steps are those of the
//! clock, not of the bucket, so that buckets with different steps can share one time of their last change
//! and lose nothing.

use std::time::Duration;

use crate::quota::{MOST, Refill, Window};

/// A bucket whose time is further ahead than this was written by a clock that was wrong.
const FAR_AHEAD: u64 = 86_400_000_000;

/// The time from which a bucket goes on. A clock that steps back gives nothing until it has caught up; one
/// that was far ahead must not stop the refill for ever.
pub(crate) fn from(at: u64, now: u64) -> u64 {
    if at > now.saturating_add(FAR_AHEAD) { now } else { at }
}

/// Ticks that are still in use at `now`.
pub(crate) fn refilled(used: u64, at: u64, now: u64, refill: Refill) -> u64 {
    let steps = (now / refill.step()).saturating_sub(at / refill.step());
    used.saturating_sub(steps.saturating_mul(refill.back()))
}

/// How many times `cost` ticks fit, at most `wanted` times.
pub(crate) fn fits(used: u64, cost: u64, capacity: u64, wanted: u64) -> u64 {
    capacity.saturating_sub(used).checked_div(cost).map_or(wanted, |times| times.min(wanted))
}

/// What is in use after it was raised to `level`, something was added up to `ceiling`, something given back.
pub(crate) fn adjusted(used: u64, level: u64, more: u64, less: u64, ceiling: u64) -> u64 {
    let used = used.max(level);
    // Debt that is there already stays: settling never forgives.
    used.saturating_add(more).min(ceiling.max(used)).saturating_sub(less).min(MOST)
}

/// What is in use under another window, where a unit is worth other ticks.
pub(crate) fn rescaled(used: u64, from: Window, to: Window) -> u64 {
    let scaled = u128::from(used) * u128::from(to.ticks());
    u64::try_from(scaled.div_ceil(u128::from(from.ticks()))).unwrap_or(MOST).min(MOST)
}

/// How long until so many ticks have come back; never, if none ever do.
pub(crate) fn wait(ticks: u64, now: u64, refill: Refill) -> Option<Duration> {
    if ticks == 0 {
        return Some(Duration::ZERO);
    }
    let steps = ticks.div_ceil(std::num::NonZeroU64::new(refill.back())?.get());
    let at = (now / refill.step()).saturating_add(steps).saturating_mul(refill.step());
    Some(Duration::from_micros(at.saturating_sub(now)))
}

/// Ticks that must come back until one more unit is left.
pub(crate) fn until_more(used: u64, refill: Refill) -> u64 {
    let unit = refill.ticks(1);
    match refill.capacity().checked_sub(used) {
        Some(left) => (unit - left % unit).min(used),
        None => used - refill.capacity() + unit,
    }
}
