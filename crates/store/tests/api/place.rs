//! A database of a test's own, of either kind.

use std::sync::Arc;

use keys::{KeyStore, StoreError};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool};
use sqlx::{Connection as _, Executor as _};
use store::{PostgresStore, SqliteStore};
use tempfile::TempDir;
use testkit::PostgresServer;

pub(crate) enum Place {
    Sqlite(TempDir),
    Postgres(Box<PostgresServer>),
}

impl Place {
    pub(crate) async fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub(crate) async fn postgres() -> Self {
        Self::Postgres(Box::new(PostgresServer::start().await))
    }

    /// The store as one more gateway opens it.
    pub(crate) async fn open(&self) -> Result<Arc<dyn KeyStore>, StoreError> {
        Ok(match self {
            Self::Sqlite(dir) => Arc::new(SqliteStore::open(&dir.path().join("keys.sqlite")).await?),
            Self::Postgres(server) => Arc::new(PostgresStore::connect(&server.url()).await?),
        })
    }

    /// Makes the tables as the version with this newest migration had them.
    pub(crate) async fn migrate_to(&self, newest: i64) {
        let portable = sqlx::migrate!("../../migrations");
        let known = portable.iter().filter(|migration| migration.version <= newest).cloned().collect();
        let known = Migrator::with_migrations(known);
        match self {
            Self::Sqlite(dir) => {
                let options = SqliteConnectOptions::new().filename(dir.path().join("keys.sqlite"));
                let pool = SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
                known.run(&pool).await.unwrap();
                pool.close().await;
            }
            Self::Postgres(server) => known.run(&PgPool::connect(&server.url()).await.unwrap()).await.unwrap(),
        }
    }

    /// Does what somebody with access to the database could do.
    pub(crate) async fn sql(&self, text: &'static str) {
        match self {
            Self::Sqlite(dir) => {
                let options = SqliteConnectOptions::new().filename(dir.path().join("keys.sqlite"));
                SqliteConnection::connect_with(&options).await.unwrap().execute(text).await.unwrap();
            }
            Self::Postgres(server) => {
                PgConnection::connect(&server.url()).await.unwrap().execute(text).await.unwrap();
            }
        }
    }

    /// Takes the database away.
    pub(crate) async fn break_off(&mut self) {
        match self {
            Self::Sqlite(dir) => std::fs::rename(dir.path().join("keys.sqlite"), dir.path().join("away")).unwrap(),
            Self::Postgres(server) => server.kill().await,
        }
    }

    /// Brings it back.
    pub(crate) async fn bring_back(&mut self) {
        match self {
            Self::Sqlite(dir) => std::fs::rename(dir.path().join("away"), dir.path().join("keys.sqlite")).unwrap(),
            Self::Postgres(server) => server.restart().await,
        }
    }
}
