//! Keys in a database, behind the `KeyStore` of the `keys` crate.
//!
//! [`SqliteStore`] keeps them in one file, for a single gateway. The schema is in `migrations/`, in
//! SQL that SQLite and Postgres both take.

mod row;
mod sqlite;

pub use sqlite::SqliteStore;
