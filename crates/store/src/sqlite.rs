//! Keys in one SQLite file.

use std::fs::{Metadata, OpenOptions};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use keys::{
    Asked, FamilyId, KeyId, KeyRecord, KeyStore, OnceRecord, Rehash, Revoke, StoreError, Stored, Tenant, TenantRecord,
    UnixMillis,
};
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use crate::MIGRATIONS;
use crate::row::{bind, bind_terms, hex, read, read_once, read_tenant, time};
use crate::rows::{NOTED_AT_ONCE, insert, key_rows};

/// How long a call waits for another process's write, or for a free connection.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts to open a file that somebody else is making.
const AGAIN: Duration = Duration::from_millis(10);
/// One writes; the others read.
const CONNECTIONS: u32 = 4;

/// Keys in one SQLite file, in write-ahead mode with full synchronisation: what returns is durable.
///
/// A file that is locked for more than two seconds, or was removed or replaced, is
/// [`StoreError::Unavailable`].
#[derive(Debug, Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    path: PathBuf,
    file: FileId,
}

impl SqliteStore {
    /// Opens or makes the file, mode 0600, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be opened, [`StoreError::Unusable`] when it is no
    /// database or of a newer schema.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let file = make_private(path).and_then(|()| std::fs::metadata(path)).map_err(|error| {
            tracing::error!(%error, "key store cannot be opened");
            StoreError::Unavailable
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE);
        // Nothing locks out another process that does the same, and making the file a write-ahead one waits for nobody.
        let until = Instant::now() + PATIENCE;
        let pool = loop {
            let options = options.clone();
            let connected = SqlitePoolOptions::new()
                .max_connections(CONNECTIONS)
                .acquire_timeout(PATIENCE)
                .connect_with(options)
                .await;
            match connected {
                Err(error) if is_busy(&error) && Instant::now() < until => tokio::time::sleep(AGAIN).await,
                connected => break connected.map_err(failure)?,
            }
        };
        // It may be first at each of them.
        let migrated = loop {
            match MIGRATIONS.run(&pool).await {
                Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..)) if Instant::now() < until => {
                    tokio::time::sleep(AGAIN).await;
                }
                migrated => break migrated,
            }
        };
        match migrated {
            Ok(()) => Ok(Self { pool, path: path.to_owned(), file: FileId::of(&file) }),
            Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => Err(failure(error)),
            Err(error) => {
                tracing::error!(%error, "key store has another schema");
                Err(StoreError::Unusable)
            }
        }
    }

    /// Writes what is left to the file and lets it go. Later calls are `Unavailable`.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// An open file goes on working after it was removed, for nobody but us.
    fn pool(&self) -> Result<&SqlitePool, StoreError> {
        let is_there = std::fs::metadata(&self.path).is_ok_and(|file| FileId::of(&file) == self.file);
        is_there.then_some(&self.pool).ok_or(StoreError::Unavailable)
    }
}

key_rows!(
    SqliteStore,
    sqlx::Sqlite,
    begin: "BEGIN IMMEDIATE",
    first: "SELECT 1",
    lock: "",
    share: "",
    by_bytes: "",
    unlocked: ""
);

/// Makes the file if there is none. One that is there is not touched: to close it would give up the
/// locks that this process has on it (sqlite.org/howtocorrupt.html, section 2.2).
fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The primary result codes (sqlite.org/rescode.html) of a damaged file and of one that is no
/// database.
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_NOTADB: u32 = 26;

/// Whether somebody else has the file, SQLITE_BUSY or SQLITE_LOCKED.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code % 256, 5 | 6))
}

fn failure(error: sqlx::Error) -> StoreError {
    let database = error.as_database_error();
    if database.is_some_and(|error| error.is_unique_violation()) {
        return StoreError::Conflict;
    }
    tracing::error!(%error, "key store fails");
    let code = database.and_then(|error| error.code()?.parse::<u32>().ok()).map(|code| code % 256);
    match (code, &error) {
        (Some(SQLITE_CORRUPT), _) => StoreError::Corrupt,
        (Some(SQLITE_NOTADB), _) => StoreError::Unusable,
        (_, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_)) => {
            StoreError::Corrupt
        }
        _ => StoreError::Unavailable,
    }
}

/// Which file it is, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl FileId {
    #[cfg(unix)]
    fn of(file: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self(file.dev(), file.ino())
    }

    #[cfg(not(unix))]
    fn of(_file: &Metadata) -> Self {
        Self(0, 0)
    }
}
