//! The crate's behaviour through its public face: in memory on a clock that tests move, and on real
//! Redis servers.
#![expect(clippy::indexing_slicing, clippy::print_stdout, clippy::unwrap_used, reason = "a test fails by panicking")]

mod agree;
mod cluster;
mod memory;
mod outage;
mod prepaid;
mod proxy;
mod reports;
mod sentinel;
mod shared;
mod spent;
mod tls;
mod users;
