//! Databases behind the seams of other crates, and Redis.
//!
//! Keys, behind the `KeyStore` of the `keys` crate: [`SqliteStore`] keeps them in one file, for a single
//! gateway; [`PostgresStore`] in a database that gateways share. The audit trail, behind the `Sink` of
//! the `audit` crate: [`PostgresTrail`] in the same database. The schema is in `migrations/`, in SQL that
//! both databases take, and in `migrations/postgres/` for what only gateways that share need.
//!
//! What has changed, behind the `Revocations` of the `keys` crate: [`RedisRevocations`] tells it to all gateways
//! that share a Redis.
//!
//! What was asked, behind the `QueryLedger` of the `privacy` crate: [`RedisQueryLedger`] counts the distinct queries of
//! all gateways that share a Redis.
//!
//! What monitors saw: by [`RedisMonitors`] gateways that share a Redis tell each other.
//!
//! What was released under differential privacy, behind the `ToldStore` of the `privacy` crate: [`RedisToldStore`] keeps
//! it for all gateways that share a Redis.

mod caller;
mod connect;
mod log_rows;
mod monitors;
mod postgres;
mod queries;
mod revocations;
mod row;
mod rows;
mod script;
mod sqlite;
mod told;
mod trail;

use sqlx::migrate::Migrator;

pub use log_rows::LogRows;
pub use monitors::{Heard, Learnt, RedisMonitors, Sight, Untold};
pub use postgres::PostgresStore;
pub use queries::RedisQueryLedger;
pub use revocations::RedisRevocations;
pub use sqlite::SqliteStore;
pub use told::RedisToldStore;
pub use trail::PostgresTrail;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");
