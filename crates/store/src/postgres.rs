//! Keys in Postgres, for any number of gateways.

use std::time::Duration;

use keys::{BoxFuture, KeyId, KeyRecord, KeyStore, Revoke, StoreError, UnixMillis};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::MIGRATIONS;
use crate::row::{bind, read, time};
use crate::rows::{insert, key_rows};

/// How long a call waits for a free connection.
const PATIENCE: Duration = Duration::from_secs(2);
const CONNECTIONS: u32 = 8;
/// How long one statement may take: a database that hangs must not take the gateway along.
const STATEMENT: &str = "5s";

/// Keys in a Postgres database that gateways share.
///
/// A server that cannot be reached, or takes longer than a few seconds, is
/// [`StoreError::Unavailable`]; connections are made anew on the next call.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    pool: PgPool,
}

impl PostgresStore {
    /// Connects to `postgres://user:password@host/database` and brings the schema up to date; when
    /// several gateways start at once, one does and the others wait.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be reached, [`StoreError::Corrupt`] when the address
    /// is none or the schema is newer.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.parse().map_err(|_| StoreError::Corrupt)?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_with(options.application_name("portcullis").options([("statement_timeout", STATEMENT)]))
            .await
            .map_err(failure)?;
        match MIGRATIONS.run(&pool).await {
            Ok(()) => Ok(Self { pool }),
            Err(sqlx::migrate::MigrateError::Execute(error)) => Err(failure(error)),
            Err(error) => {
                tracing::error!(%error, "key store has another schema");
                Err(StoreError::Corrupt)
            }
        }
    }

    /// Closes every connection. Later calls are `Unavailable`.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    #[expect(clippy::unnecessary_wraps, reason = "the statements are shared with a store that can be gone")]
    fn pool(&self) -> Result<&PgPool, StoreError> {
        Ok(&self.pool)
    }
}

// The lock is a number of our own; it ends with its transaction. Ids are ordered by bytes, whatever the
// collation of the database.
key_rows!(
    PostgresStore,
    begin: "BEGIN",
    lock: "SELECT pg_advisory_xact_lock(7305478123)",
    list: "SELECT * FROM keys WHERE id COLLATE \"C\" > $1 ORDER BY id COLLATE \"C\" LIMIT $2"
);

fn failure(error: sqlx::Error) -> StoreError {
    let database = error.as_database_error();
    if database.is_some_and(|error| error.is_unique_violation()) {
        return StoreError::Conflict;
    }
    tracing::error!(%error, "key store fails");
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            StoreError::Corrupt
        }
        _ => StoreError::Unavailable,
    }
}
