//! Where two crates need one idea: plain functions from one's words to the other's.

use std::num::{NonZeroU32, NonZeroU64};

use core_validate::Operation;
use keys::{Per, Rate};
use ratelimit_redis::{Quota, TooLarge, Window};

/// The operation in the words of `keys`. A new operation that keys do not know is never permitted.
pub fn to_operation(operation: Operation) -> Option<keys::Operation> {
    match operation {
        // Other forms of the same.
        Operation::Chat | Operation::Respond | Operation::Message => Some(keys::Operation::Chat),
        Operation::Complete => Some(keys::Operation::Complete),
        Operation::Embed => Some(keys::Operation::Embed),
        Operation::Infer => Some(keys::Operation::Infer),
        _ => None,
    }
}

/// A rate as a quota.
///
/// # Errors
/// [`TooLarge`] when a bucket cannot count it exactly: beyond nine billion units a second, ten billion a day.
pub fn to_quota(rate: &Rate) -> Result<Quota, TooLarge> {
    Quota::new(rate.units, to_window(rate.per))?.large_burst(rate.burst)
}

/// The same for a key that was issued already: what is too large holds as the largest there is.
pub(crate) fn to_largest_quota(rate: &Rate) -> Quota {
    to_quota(rate).unwrap_or_else(|TooLarge { most }| {
        let units = NonZeroU64::new(most).unwrap_or(NonZeroU64::MIN);
        Quota::new(units, to_window(rate.per)).unwrap_or(Quota::per_second(NonZeroU32::MIN))
    })
}

const fn to_window(per: Per) -> Window {
    match per {
        Per::Second => Window::Second,
        Per::Minute => Window::Minute,
        Per::Hour => Window::Hour,
        Per::Day => Window::Day,
        Per::Total => Window::Total,
    }
}
