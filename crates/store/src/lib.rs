//! Keys in a database, behind the `KeyStore` of the `keys` crate.
//!
//! [`SqliteStore`] keeps them in one file, for a single gateway; [`PostgresStore`] in a database that
//! gateways share. The schema is in `migrations/`, in SQL that both take.

mod postgres;
mod row;
mod rows;
mod sqlite;

use sqlx::migrate::Migrator;

pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");
