//! Keys in one SQLite file.

use std::fs::{Metadata, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use keys::{BoxFuture, KeyId, KeyRecord, KeyStore, Revoke, StoreError, UnixMillis};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};

use crate::row::{bind, read, time};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// How long a call waits for another process's write, or for a free connection.
const PATIENCE: Duration = Duration::from_secs(2);
/// One writes; the others read.
const CONNECTIONS: u32 = 4;

macro_rules! insert {
    ($rest:literal) => {
        concat!(
            "INSERT INTO keys (id, family, tenant, name, hash, pepper_kid, kind, scopes, limits, created_at, ",
            "not_before, expires_at, rotated_to, grace_until, revoked_at, last_used_at) ",
            "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16 ",
            $rest
        )
    };
}

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
    /// [`StoreError::Unavailable`] when it cannot be opened, [`StoreError::Corrupt`] when it is no
    /// database or of a newer schema.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).and_then(|file| file.metadata()).map_err(|error| {
            tracing::error!(%error, "key store cannot be opened");
            StoreError::Unavailable
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(PATIENCE);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await
            .map_err(failure)?;
        match MIGRATIONS.run(&pool).await {
            Ok(()) => Ok(Self { pool, path: path.to_owned(), file: FileId::of(&file) }),
            Err(sqlx::migrate::MigrateError::Execute(error)) => Err(failure(error)),
            Err(error) => {
                tracing::error!(%error, "key store has another schema");
                Err(StoreError::Corrupt)
            }
        }
    }

    /// An open file goes on working after it was removed, for nobody but us.
    /// Writes what is left to the file and lets it go. Later calls are `Unavailable`.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    fn pool(&self) -> Result<&SqlitePool, StoreError> {
        let is_there = std::fs::metadata(&self.path).is_ok_and(|file| FileId::of(&file) == self.file);
        is_there.then_some(&self.pool).ok_or(StoreError::Unavailable)
    }

    async fn find_row(&self, id: &KeyId) -> Result<Option<KeyRecord>, StoreError> {
        let row: Option<SqliteRow> = sqlx::query("SELECT * FROM keys WHERE id = $1")
            .bind(id.as_str().to_owned())
            .fetch_optional(self.pool()?)
            .await
            .map_err(failure)?;
        row.as_ref().map(read).transpose()
    }

    async fn replace_rows(&self, old: &KeyId, grace_until: UnixMillis, new: &KeyRecord) -> Result<(), StoreError> {
        let mut transaction = self.pool()?.begin_with("BEGIN IMMEDIATE").await.map_err(failure)?;
        let replaced = sqlx::query(
            "UPDATE keys SET rotated_to = $1, grace_until = $2 \
             WHERE id = $3 AND revoked_at IS NULL AND rotated_to IS NULL",
        )
        .bind(new.id.as_str().to_owned())
        .bind(time(grace_until))
        .bind(old.as_str().to_owned())
        .execute(&mut *transaction)
        .await
        .map_err(failure)?;
        if replaced.rows_affected() != 1 {
            return Err(StoreError::Conflict);
        }
        bind(sqlx::query(insert!("")), new)?.execute(&mut *transaction).await.map_err(failure)?;
        transaction.commit().await.map_err(failure)
    }

    async fn revoke_rows(&self, target: &Revoke, at: UnixMillis) -> Result<u64, StoreError> {
        let (sql, name) = match target {
            Revoke::Key(id) => ("UPDATE keys SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL", id.as_str()),
            Revoke::Family(family) => {
                ("UPDATE keys SET revoked_at = $1 WHERE family = $2 AND revoked_at IS NULL", family.as_str())
            }
        };
        let query = sqlx::query(sql).bind(time(at)).bind(name.to_owned());
        query.execute(self.pool()?).await.map(|done| done.rows_affected()).map_err(failure)
    }

    async fn list_rows(&self, after: Option<&KeyId>, limit: usize) -> Result<Vec<KeyRecord>, StoreError> {
        let after = after.map(KeyId::as_str).unwrap_or_default().to_owned();
        let rows: Vec<SqliteRow> = sqlx::query("SELECT * FROM keys WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(after)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(self.pool()?)
            .await
            .map_err(failure)?;
        rows.iter().map(read).collect()
    }

    async fn touch_rows(&self, used: &[(KeyId, UnixMillis)]) -> Result<(), StoreError> {
        let mut transaction = self.pool()?.begin_with("BEGIN IMMEDIATE").await.map_err(failure)?;
        for (id, at) in used {
            sqlx::query(
                "UPDATE keys SET last_used_at = $1 WHERE id = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
            )
            .bind(time(*at))
            .bind(id.as_str().to_owned())
            .execute(&mut *transaction)
            .await
            .map_err(failure)?;
        }
        transaction.commit().await.map_err(failure)
    }

    async fn insert_row(&self, record: &KeyRecord, first_at: Option<UnixMillis>) -> Result<(), StoreError> {
        let query = match first_at {
            None => bind(sqlx::query(insert!("")), record)?,
            Some(now) => {
                let sql = insert!(
                    "WHERE NOT EXISTS (SELECT 1 FROM keys WHERE kind = 'admin' AND revoked_at IS NULL \
                     AND (expires_at IS NULL OR expires_at > $17) AND (grace_until IS NULL OR grace_until > $17))"
                );
                bind(sqlx::query(sql), record)?.bind(time(now))
            }
        };
        let done = query.execute(self.pool()?).await.map_err(failure)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }
}

impl KeyStore for SqliteStore {
    fn find<'a>(&'a self, id: &'a KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>, StoreError>> {
        Box::pin(self.find_row(id))
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.insert_row(record, None))
    }

    fn insert_first_admin<'a>(
        &'a self,
        record: &'a KeyRecord,
        now: UnixMillis,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.insert_row(record, Some(now)))
    }

    fn replace<'a>(
        &'a self,
        old: &'a KeyId,
        grace_until: UnixMillis,
        new: &'a KeyRecord,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.replace_rows(old, grace_until, new))
    }

    fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(self.revoke_rows(target, at))
    }

    fn list<'a>(&'a self, after: Option<&'a KeyId>, limit: usize) -> BoxFuture<'a, Result<Vec<KeyRecord>, StoreError>> {
        Box::pin(self.list_rows(after, limit))
    }

    fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.touch_rows(used))
    }
}

/// The primary result codes (sqlite.org/rescode.html) of a damaged file and of one that is no
/// database.
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_NOTADB: u32 = 26;

fn failure(error: sqlx::Error) -> StoreError {
    let database = error.as_database_error();
    if database.is_some_and(|error| error.is_unique_violation()) {
        return StoreError::Conflict;
    }
    tracing::error!(%error, "key store fails");
    let code = database.and_then(|error| error.code()?.parse::<u32>().ok()).map(|code| code % 256);
    match (code, &error) {
        (Some(SQLITE_CORRUPT | SQLITE_NOTADB), _) => StoreError::Corrupt,
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
