//! Connecting to Postgres, and its schema.

use std::time::Duration;

use keys::StoreError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use crate::MIGRATIONS;

/// How long a call waits for a free connection.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long one statement may take: a database that hangs must not take the gateway along.
const STATEMENT: &str = "5s";

static EXTRAS: Migrator = sqlx::migrate!("../../migrations/postgres");

/// Connects and brings the schema up to date; when several gateways start at once, one does and the
/// others wait.
pub(crate) async fn connect(url: &str, connections: u32) -> Result<PgPool, StoreError> {
    let options: PgConnectOptions = url.parse().map_err(|_| StoreError::Unusable)?;
    // Whatever the server's own setting: what was acknowledged is on its disk.
    let options = options
        .application_name("portcullis")
        .options([("statement_timeout", STATEMENT), ("synchronous_commit", "on")]);
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .connect_with(options)
        .await
        .map_err(failure)?;
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(&pool).await.map_err(failure)?;
    if encoding != "UTF8" {
        tracing::error!(%encoding, "the database must be made with the encoding UTF8");
        return Err(StoreError::Unusable);
    }
    let mut migrations: Vec<_> = MIGRATIONS.iter().chain(EXTRAS.iter()).cloned().collect();
    migrations.sort_by_key(|migration| migration.version);
    let migrations = Migrator::with_migrations(migrations);
    match migrations.run(&pool).await {
        Ok(()) => Ok(pool),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => Err(failure(error)),
        Err(error) => {
            tracing::error!(%error, "the database has another schema");
            Err(StoreError::Unusable)
        }
    }
}

pub(crate) fn failure(error: sqlx::Error) -> StoreError {
    let database = error.as_database_error();
    if database.is_some_and(|error| error.is_unique_violation()) {
        return StoreError::Conflict;
    }
    tracing::error!(%error, "the database fails");
    match error {
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            StoreError::Corrupt
        }
        _ => StoreError::Unavailable,
    }
}
