//! The crate's behaviour through its public face: in memory on a clock that tests move, and on real
//! Redis servers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod agree;
mod memory;
mod outage;
mod prepaid;
mod shared;
