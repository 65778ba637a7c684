//! The stores as the gateway uses them, on real databases.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod both;
mod monitors;
mod place;
mod queries;
mod race;
mod revocations;
mod sqlite;
mod told;
mod trail;
