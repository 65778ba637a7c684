//! Limit headers: `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-10,
//! `Retry-After` of RFC 9110.

use std::fmt::Write as _;
use std::time::Duration;

use crate::decision::Standing;

/// The `RateLimit-Policy` value, such as `"requests";q=10;w=2`.
///
/// `q` is the burst and `w` the whole seconds in which an empty bucket fills, rounded up: a client
/// that spends `q` in `w` seconds is never refused. Budgets and slots have no `w`; slots are
/// `qu="concurrent-requests"`.
pub fn rate_limit_policy(standings: &[Standing]) -> String {
    let mut out = String::new();
    for Standing { policy, quota, .. } in standings {
        separate(&mut out);
        let _ = write!(out, "\"{policy}\";q={}", quota.most());
        let seconds = quota.window().map(|window| window.seconds());
        let _ = match seconds {
            Some(Some(seconds)) => write!(out, ";w={}", (quota.most() * seconds).div_ceil(quota.units())),
            Some(None) => Ok(()),
            None => write!(out, ";qu=\"concurrent-requests\""),
        };
    }
    out
}

/// The `RateLimit` value, such as `"requests";r=3;t=1`. There is no `t` when nobody knows when more is left.
pub fn rate_limit(standings: &[Standing]) -> String {
    let mut out = String::new();
    for Standing { policy, remaining, reset_after, .. } in standings {
        separate(&mut out);
        let _ = write!(out, "\"{policy}\";r={remaining}");
        if let Some(reset) = reset_after {
            let _ = write!(out, ";t={}", retry_after(*reset));
        }
    }
    out
}

/// The older names that OpenAI's clients read, as pairs of a lower-case name and a value:
/// `x-ratelimit-limit-requests`, `x-ratelimit-remaining-requests`, `x-ratelimit-reset-requests`.
pub fn openai_headers(standings: &[Standing]) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for Standing { policy, quota, remaining, reset_after } in standings {
        out.push((format!("x-ratelimit-limit-{policy}"), quota.most().to_string()));
        out.push((format!("x-ratelimit-remaining-{policy}"), remaining.to_string()));
        if let Some(reset) = reset_after {
            out.push((format!("x-ratelimit-reset-{policy}"), format!("{}s", retry_after(*reset))));
        }
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
