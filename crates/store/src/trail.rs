//! The audit trail of gateways that share a Postgres database: finding a log to write, and reading all.

use std::io;

use audit::{AuditError, Record, Verification, Verified, VerifyError, VerifyingKey};
use keys::StoreError;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool};

use crate::connect::connect;
use crate::log_rows::LogRows;

const CONNECTIONS: u32 = 2;
/// Records that are read at once: some megabytes, and 50 if all are as long as they may be.
const PAGE: i64 = 200;
/// Most records given of one request.
const MOST: i64 = 1_000;

/// The audit trail in a Postgres database: one log for each gateway that ever wrote at the same time as
/// others, numbered from 1.
#[derive(Debug, Clone)]
pub struct PostgresTrail {
    pool: PgPool,
}

impl PostgresTrail {
    /// Connects to `postgres://user:password@host/database` and brings the schema up to date.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`](crate::PostgresStore::connect).
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Ok(Self { pool: connect(url, CONNECTIONS).await? })
    }

    /// Takes hold of the first log that nobody writes, or begins a new one.
    ///
    /// # Errors
    /// [`AuditError::Io`] when the database cannot be reached.
    pub async fn claim(&self) -> Result<LogRows, AuditError> {
        Ok(LogRows::claim(self.pool.connect_options().as_ref().clone()).await?)
    }

    /// The logs there are or were: every number up to the highest of which anything is left.
    ///
    /// # Errors
    /// [`AuditError::Io`] when the database cannot be reached.
    pub async fn logs(&self) -> Result<Vec<i64>, AuditError> {
        let highest =
            "SELECT MAX(log) FROM (SELECT log FROM audit_logs UNION ALL SELECT log FROM audit_records) AS all_logs";
        let highest: Option<i64> = sqlx::query_scalar(highest).fetch_one(&self.pool).await.map_err(io::Error::other)?;
        Ok((1..=highest.unwrap_or(0)).collect())
    }

    /// Reads a log from its first record and compares it with its newest checkpoint. It may be verified
    /// while it is written. Holds a page of records in memory.
    ///
    /// # Errors
    /// [`VerifyError`]: `Tampered` for a change, `Incomplete` for what is missing.
    pub async fn verify(&self, log: i64, key: &VerifyingKey) -> Result<Verified, VerifyError> {
        let note = checkpoint(&mut *self.acquire().await?, log).await.map_err(io::Error::other)?;
        let mut verification = Verification::new(note.as_deref(), key)?;
        let mut next = i64::MIN;
        loop {
            let page = page(&mut *self.acquire().await?, log, next).await.map_err(io::Error::other)?;
            let Some((last, _)) = page.last() else { return verification.end() };
            next = last.saturating_add(1);
            for (sequence, record) in &page {
                let index = u64::try_from(*sequence).map_err(|_| VerifyError::Tampered { at: 0 })?;
                verification.take(index, record.as_bytes())?;
            }
        }
    }

    /// The next records of a log from an index on, with their indexes: a page of them, none at the end. Checks nothing:
    /// see [`verify`](Self::verify).
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn records(&self, log: i64, next: u64) -> io::Result<Vec<(u64, String)>> {
        let Ok(next) = i64::try_from(next) else { return Ok(Vec::new()) };
        let page = page(&mut *self.acquire().await?, log, next).await.map_err(io::Error::other)?;
        let record = |(index, record)| u64::try_from(index).ok().map(|index| (index, record));
        Ok(page.into_iter().filter_map(record).collect())
    }

    /// The records of a request in all logs, oldest first; at most 1,000. Checks nothing: see
    /// [`verify`](Self::verify).
    ///
    /// # Errors
    /// [`AuditError::Io`] when the database cannot be reached.
    pub async fn find(&self, request_id: &str) -> Result<Vec<Record>, AuditError> {
        let rows =
            sqlx::query("SELECT record FROM audit_records WHERE request_id = $1 ORDER BY log, sequence LIMIT $2")
                .bind(request_id.to_owned())
                .bind(MOST)
                .fetch_all(&self.pool)
                .await
                .map_err(io::Error::other)?;
        let records = rows.iter().filter_map(|row| row.try_get::<String, _>(0).ok());
        Ok(records.filter_map(|record| serde_json::from_str(&record).ok()).collect())
    }

    /// Closes every connection, those of logs apart.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn acquire(&self) -> io::Result<sqlx::pool::PoolConnection<sqlx::Postgres>> {
        self.pool.acquire().await.map_err(io::Error::other)
    }
}

/// The newest checkpoint of a log.
pub(crate) async fn checkpoint(connection: &mut PgConnection, log: i64) -> Result<Option<String>, sqlx::Error> {
    let row =
        sqlx::query("SELECT checkpoint FROM audit_logs WHERE log = $1").bind(log).fetch_optional(connection).await?;
    row.map_or(Ok(None), |row| row.try_get(0))
}

/// The next records of a log, from `next` on.
pub(crate) async fn page(
    connection: &mut PgConnection,
    log: i64,
    next: i64,
) -> Result<Vec<(i64, String)>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT sequence, record FROM audit_records WHERE log = $1 AND sequence >= $2 ORDER BY sequence LIMIT $3",
    )
    .bind(log)
    .bind(next)
    .bind(PAGE)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
