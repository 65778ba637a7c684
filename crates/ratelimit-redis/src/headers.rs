//! Limit headers: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10,
//! `Retry-After` of RFC 9110.

use std::fmt::Write as _;
use std::time::Duration;

use crate::limiter::Standing;

/// The `RateLimit-Policy` value, such as `"requests";q=10;w=2`.
///
/// `q` is the burst and `w` the whole seconds in which an empty bucket fills, rounded up: a client
/// that spends `q` in `w` seconds is never refused.
pub fn rate_limit_policy(standings: &[Standing]) -> String {
    let mut out = String::new();
    for standing in standings {
        let window = (standing.quota.most() * standing.quota.window().seconds()).div_ceil(standing.quota.units());
        separate(&mut out);
        let _ = write!(out, "\"{}\";q={};w={window}", standing.unit, standing.quota.most());
    }
    out
}

/// The `RateLimit` value, such as `"requests";r=3;t=1`.
pub fn rate_limit(standings: &[Standing]) -> String {
    let mut out = String::new();
    for standing in standings {
        separate(&mut out);
        let seconds = retry_after(standing.reset_after);
        let _ = write!(out, "\"{}\";r={};t={seconds}", standing.unit, standing.remaining);
    }
    out
}

fn separate(out: &mut String) {
    if !out.is_empty() {
        out.push_str(", ");
    }
}

/// Whole seconds, rounded up: waiting them is always enough.
pub fn retry_after(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}
