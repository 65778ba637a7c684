//! Where two crates need one idea: plain functions from one's words to the other's.

use std::num::{NonZeroU32, NonZeroU64};

use core_validate::Operation;
use keys::{Per, Rate};
use ratelimit_redis::{Quota, Window};

/// The operation in the words of `keys`. A new operation that keys do not know is never permitted.
pub fn to_operation(operation: Operation) -> Option<keys::Operation> {
    match operation {
        Operation::Chat => Some(keys::Operation::Chat),
        Operation::Complete => Some(keys::Operation::Complete),
        Operation::Embed => Some(keys::Operation::Embed),
        Operation::Infer => Some(keys::Operation::Infer),
        _ => None,
    }
}

/// A key's rate as a quota. Rates beyond what a bucket counts exactly, nine billion units a second, hold as
/// that; bursts beyond four billion as that.
pub fn to_quota(rate: &Rate) -> Quota {
    let window = match rate.per {
        Per::Second => Window::Second,
        Per::Minute => Window::Minute,
        Per::Hour => Window::Hour,
        Per::Day => Window::Day,
        Per::Total => Window::Total,
    };
    let clamp = |units: NonZeroU64| NonZeroU32::try_from(units).unwrap_or(NonZeroU32::MAX);
    let quota = Quota::new(rate.units, window)
        .or_else(|error| Quota::new(NonZeroU64::new(error.most).unwrap_or(NonZeroU64::MIN), window));
    let quota = quota.unwrap_or_else(|_| Quota::per_second(NonZeroU32::MIN));
    if rate.burst == rate.units { quota } else { quota.burst(clamp(rate.burst)) }
}
