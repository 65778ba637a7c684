//! Request ids, UUID version 7 (RFC 9562), always our own; and the time beside them.

use std::time::{SystemTime, UNIX_EPOCH};

/// A fresh id.
pub(crate) fn new() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
