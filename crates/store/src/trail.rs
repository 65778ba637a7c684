//! The audit trail of gateways that share a Postgres database: finding a log to write, and reading all.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use audit::{AuditError, Found, Inquiry, Record, VerifyError};
use keys::StoreError;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgPool, PgRow};

use crate::connect::connect;
use crate::log_rows::LogRows;

const CONNECTIONS: u32 = 2;
/// Records that are read at once: some megabytes, and 50 if all are as long as they may be.
const PAGE: i64 = 200;
/// Most records given of one request.
const MOST: i64 = 1_000;
/// Most checkpoints given that other logs recorded.
const MOST_PEERS: i64 = 200;
/// Rows that are deleted at once.
const SWEPT: i64 = 10_000;
/// How often reading begins anew because records were removed meanwhile.
const ATTEMPTS: usize = 4;

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

    /// Takes hold of this log, if nobody writes it.
    ///
    /// # Errors
    /// [`AuditError::Io`] when the database cannot be reached.
    pub async fn claim_free(&self, log: i64) -> Result<Option<LogRows>, AuditError> {
        Ok(LogRows::claim_free(self.pool.connect_options().as_ref().clone(), log).await?)
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

    /// Reads a log, holds it against its newest checkpoint, and answers what else is asked of it. It may be read while
    /// it is written. Holds a page of records in memory.
    ///
    /// # Errors
    /// [`VerifyError`]: `Tampered` for a change, `Incomplete` for what is missing.
    pub async fn examine(&self, log: i64, inquiry: &Inquiry<'_>) -> Result<Found, VerifyError> {
        for _ in 1..ATTEMPTS {
            let before = self.head(log).await?;
            match self.attempt(log, inquiry, &before).await {
                Ok(found) => return Ok(found),
                // What was missing may have been removed while it was looked for.
                Err(error) if self.head(log).await?.first == before.first => return Err(error),
                Err(_) => {}
            }
        }
        self.attempt(log, inquiry, &self.head(log).await?).await
    }

    async fn attempt(&self, log: i64, inquiry: &Inquiry<'_>, head: &Head) -> Result<Found, VerifyError> {
        let mut examination = inquiry.begin(head.stub.as_deref(), head.checkpoint.as_deref())?;
        // A log is read from the first row there is, unless records were removed, or are known.
        let mut next = i64::try_from(examination.next()).unwrap_or(i64::MAX);
        next = if next == 0 { i64::MIN } else { next };
        loop {
            let page = page(&mut *self.acquire().await?, log, next).await.map_err(io::Error::other)?;
            let Some((last, _)) = page.last() else { return examination.end() };
            next = last.saturating_add(1);
            for (sequence, record) in &page {
                let index = u64::try_from(*sequence).map_err(|_| VerifyError::Tampered { at: 0 })?;
                examination.take(index, record.as_bytes())?;
            }
        }
    }

    /// The newest checkpoint of a log, and its first record that was not removed.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn signed(&self, log: i64) -> io::Result<(Option<String>, u64)> {
        let head = self.head(log).await?;
        Ok((head.checkpoint, u64::try_from(head.first).unwrap_or_default()))
    }

    /// The first record of a log that was not written before a time, by the clock of the database; all before it may be
    /// [removed](audit::Log::remove).
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn written_before(&self, log: i64, time: SystemTime) -> io::Result<u64> {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64();
        let head = self.head(log).await?;
        let (mut low, mut high) = (head.first, head.size);
        // Records are written one after the other, so that the old ones are those before the first young one.
        while low < high {
            let middle = low + (high - low) / 2;
            let is_old = "SELECT written_at < to_timestamp($3) FROM audit_records WHERE log = $1 AND sequence = $2";
            let row = sqlx::query_scalar(is_old).bind(log).bind(middle).bind(seconds).fetch_optional(&self.pool).await;
            match row.map_err(io::Error::other)? {
                Some(true) => low = middle + 1,
                // What is missing is evidence, and what follows it stays.
                Some(false) | None => high = middle,
            }
        }
        Ok(u64::try_from(low).unwrap_or_default())
    }

    /// How far a log was handed on, as [`keep_exported`](Self::keep_exported) kept it.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn exported(&self, log: i64) -> io::Result<u64> {
        let asked = sqlx::query_scalar::<_, i64>("SELECT exported FROM audit_logs WHERE log = $1").bind(log);
        let next = asked.fetch_optional(&self.pool).await.map_err(io::Error::other)?;
        Ok(next.and_then(|next| u64::try_from(next).ok()).unwrap_or_default())
    }

    /// The logs that nobody writes now and of which records were not handed on, as far as that was kept.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn left_to_export(&self) -> io::Result<Vec<i64>> {
        let left = "SELECT log FROM audit_logs WHERE held_until < now() AND exported < size ORDER BY log";
        sqlx::query_scalar(left).fetch_all(&self.pool).await.map_err(io::Error::other)
    }

    /// Keeps how far a log was handed on.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn keep_exported(&self, log: i64, next: u64) -> io::Result<()> {
        let next = i64::try_from(next).map_err(io::Error::other)?;
        let kept = sqlx::query("UPDATE audit_logs SET exported = $2 WHERE log = $1").bind(log).bind(next);
        kept.execute(&self.pool).await.map(drop).map_err(io::Error::other)
    }

    /// Deletes the rows of removed records, of all logs.
    ///
    /// # Errors
    /// When the database cannot be reached; the rest is deleted the next time.
    pub async fn sweep(&self) -> io::Result<()> {
        let delete = "DELETE FROM audit_records WHERE (log, sequence) IN (SELECT r.log, r.sequence FROM audit_logs l \
                      JOIN audit_records r ON r.log = l.log AND r.sequence < l.first WHERE l.first > 0 LIMIT $1)";
        loop {
            let done = sqlx::query(delete).bind(SWEPT).execute(&self.pool).await.map_err(io::Error::other)?;
            if done.rows_affected() == 0 {
                return Ok(());
            }
        }
    }

    /// The newest checkpoint of every log but one.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn checkpoints_beside(&self, log: i64) -> io::Result<Vec<(i64, String)>> {
        let others = "SELECT log, checkpoint FROM audit_logs WHERE log <> $1 AND checkpoint IS NOT NULL ORDER BY log";
        let rows = sqlx::query(others).bind(log).fetch_all(&self.pool).await.map_err(io::Error::other)?;
        let rows = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>();
        rows.map_err(io::Error::other)
    }

    /// The newest records with this request id of each other log, at most 200 of each.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn newest_beside(&self, log: i64, request_id: &str) -> io::Result<Vec<Record>> {
        let newest = "SELECT record FROM (SELECT record, row_number() OVER (PARTITION BY log ORDER BY sequence DESC) AS place \
                      FROM audit_records WHERE request_id = $2 AND log <> $1) AS numbered WHERE place <= $3";
        let rows =
            sqlx::query(newest).bind(log).bind(request_id.to_owned()).bind(MOST_PEERS).fetch_all(&self.pool).await;
        let rows = rows.map_err(io::Error::other)?;
        let records = rows.iter().filter_map(|row| row.try_get::<String, _>(0).ok());
        Ok(records.filter_map(|record| serde_json::from_str(&record).ok()).collect())
    }

    /// The newest record with this request id in all logs.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn find_last(&self, request_id: &str) -> io::Result<Option<Record>> {
        let newest =
            "SELECT record FROM audit_records WHERE request_id = $1 ORDER BY written_at DESC, sequence DESC LIMIT 1";
        let row = sqlx::query_scalar::<_, String>(newest).bind(request_id.to_owned()).fetch_optional(&self.pool).await;
        Ok(row.map_err(io::Error::other)?.and_then(|record| serde_json::from_str(&record).ok()))
    }

    /// The next records of a log from an index on, with their indexes: a page of them, none at the end. Checks nothing:
    /// see [`examine`](Self::examine).
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn records(&self, log: i64, next: u64) -> io::Result<Vec<(u64, String)>> {
        let Ok(next) = i64::try_from(next) else { return Ok(Vec::new()) };
        let page = page(&mut *self.acquire().await?, log, next).await.map_err(io::Error::other)?;
        let record = |(index, record)| u64::try_from(index).ok().map(|index| (index, record));
        Ok(page.into_iter().filter_map(record).collect())
    }

    /// The records of a request in all logs, with the log and the index of each, oldest first; at most 1,000. Checks
    /// nothing: see [`examine`](Self::examine).
    ///
    /// # Errors
    /// [`AuditError::Io`] when the database cannot be reached.
    pub async fn find(&self, request_id: &str) -> Result<Vec<(i64, u64, Record)>, AuditError> {
        let found =
            "SELECT log, sequence, record FROM audit_records WHERE request_id = $1 ORDER BY log, sequence LIMIT $2";
        let rows = sqlx::query(found).bind(request_id.to_owned()).bind(MOST).fetch_all(&self.pool).await;
        let read = |row: &PgRow| {
            let (log, sequence, record) = (row.try_get(0).ok()?, row.try_get::<i64, _>(1).ok()?, row.try_get(2).ok()?);
            Some((log, u64::try_from(sequence).ok()?, serde_json::from_str(record).ok()?))
        };
        Ok(rows.map_err(io::Error::other)?.iter().filter_map(read).collect())
    }

    /// The intents without an outcome, with the log and the index of each, oldest first. Reads all rows.
    ///
    /// # Errors
    /// [`AuditError::Io`] when the database cannot be reached.
    pub async fn open_intents(&self) -> Result<Vec<(i64, u64, String)>, AuditError> {
        let open = "SELECT log, MAX(sequence), request_id FROM audit_records WHERE request_id <> '' \
                    GROUP BY log, request_id HAVING bool_or(starts_with(record, '{\"record\":\"intent\"')) \
                    AND NOT bool_or(starts_with(record, '{\"record\":\"outcome\"')) ORDER BY 1, 2";
        let rows = sqlx::query(open).fetch_all(&self.pool).await.map_err(io::Error::other)?;
        let read = |row: &PgRow| {
            let (log, sequence, id) = (row.try_get(0).ok()?, row.try_get::<i64, _>(1).ok()?, row.try_get(2).ok()?);
            Some((log, u64::try_from(sequence).ok()?, id))
        };
        Ok(rows.iter().filter_map(read).collect())
    }

    /// Closes every connection, those of logs apart.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn head(&self, log: i64) -> io::Result<Head> {
        head(&mut *self.acquire().await?, log).await.map_err(io::Error::other)
    }

    async fn acquire(&self) -> io::Result<sqlx::pool::PoolConnection<sqlx::Postgres>> {
        self.pool.acquire().await.map_err(io::Error::other)
    }
}

/// What is kept of a log beside its records.
#[derive(Default)]
pub(crate) struct Head {
    pub(crate) stub: Option<String>,
    pub(crate) checkpoint: Option<String>,
    pub(crate) first: i64,
    size: i64,
}

/// Of a log that is gone: nothing.
pub(crate) async fn head(connection: &mut PgConnection, log: i64) -> Result<Head, sqlx::Error> {
    let head = "SELECT stub, checkpoint, first, size FROM audit_logs WHERE log = $1";
    let Some(row) = sqlx::query(head).bind(log).fetch_optional(connection).await? else { return Ok(Head::default()) };
    Ok(Head { stub: row.try_get(0)?, checkpoint: row.try_get(1)?, first: row.try_get(2)?, size: row.try_get(3)? })
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
