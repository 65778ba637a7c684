//! Where two crates need one idea: plain functions from one's words to the other's.

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

/// A key's rate as a quota. Rates beyond four billion units hold as four billion.
pub(crate) fn to_quota(rate: &Rate) -> Quota {
    let window = match rate.per {
        Per::Second => Window::Second,
        Per::Minute => Window::Minute,
        Per::Hour => Window::Hour,
        Per::Day => Window::Day,
    };
    let clamp = |units: std::num::NonZeroU64| units.try_into().unwrap_or(std::num::NonZeroU32::MAX);
    Quota::new(clamp(rate.units), window).burst(clamp(rate.burst))
}
