//! One log of the audit trail as rows of Postgres, held by one gateway.
//!
//! A batch is one statement that grows the log's size and adds its rows, if this gateway holds the log
//! at this size and epoch; so nothing is ever written by somebody who lost it. What became of a statement
//! without an answer nobody knows: before the next write its rows are removed and the epoch grows.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::time::Duration;

use audit::{BoxFuture, Sink};
use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{Connection as _, Row as _};

use crate::trail::{Head, head, page};

/// How long a statement may take before the connection is given up.
const PATIENCE: Duration = Duration::from_secs(2);

/// A log that nobody renewed for this long may be taken by another gateway.
macro_rules! lease {
    () => {
        "now() + interval '30 seconds'"
    };
}

/// One log of a [`PostgresTrail`](crate::PostgresTrail). The log stays held while it is written to or
/// asked, which a [`Log`](audit::Log) does every few seconds.
#[derive(Debug)]
pub struct LogRows {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    held: Held,
    /// Whether a statement was begun whose end is not known.
    is_torn: bool,
}

#[derive(Debug, Clone)]
struct Held {
    log: i64,
    holder: String,
    epoch: i64,
    size: i64,
}

impl Held {
    fn read(row: &PgRow, holder: &str) -> Result<Self, sqlx::Error> {
        Ok(Self { log: row.try_get(0)?, holder: holder.to_owned(), epoch: row.try_get(1)?, size: row.try_get(2)? })
    }
}

impl LogRows {
    pub(crate) async fn claim(options: PgConnectOptions) -> io::Result<Self> {
        let holder = format!("{:032x}", u128::from_ne_bytes(random()?));
        let mut connection = in_time(PgConnection::connect_with(&options)).await?;
        let held = in_time(claim(&mut connection, &holder)).await?;
        Ok(Self { options, connection: Some(connection), held, is_torn: false })
    }

    /// This log, if nobody holds it.
    pub(crate) async fn claim_free(options: PgConnectOptions, log: i64) -> io::Result<Option<Self>> {
        let holder = format!("{:032x}", u128::from_ne_bytes(random()?));
        let mut connection = in_time(PgConnection::connect_with(&options)).await?;
        let held = in_time(claim_free(&mut connection, &holder, Some(log))).await?;
        Ok(held.map(|held| Self { options, connection: Some(connection), held, is_torn: false }))
    }

    /// Its number.
    pub fn number(&self) -> i64 {
        self.held.log
    }

    /// Runs a statement on the connection, made anew if need be; one that failed is given up.
    async fn run<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut PgConnection, &Held) -> Result<T, sqlx::Error>,
    ) -> io::Result<T> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => in_time(PgConnection::connect_with(&self.options)).await?,
        };
        let done = in_time(statement(&mut connection, &self.held)).await?;
        self.connection = Some(connection);
        Ok(done)
    }

    async fn head(&mut self) -> io::Result<Head> {
        self.run(async |connection, held| head(connection, held.log).await).await
    }

    /// Removes what a statement without an answer may have written, or may yet write.
    async fn repair(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.held.epoch = self.run(repair).await?.ok_or_else(taken_over)?;
            self.is_torn = false;
        }
        Ok(())
    }

    async fn write(&mut self, records: &[String]) -> io::Result<()> {
        self.repair().await?;
        self.is_torn = true;
        let written = match records {
            [] => self.run(renew).await? == 1,
            _ => {
                let ids: Vec<String> = records.iter().map(|record| request_id(record)).collect();
                self.run(async |connection, held| insert(connection, held, &ids, records).await).await?
                    == records.len() as u64
            }
        };
        if !written {
            return Err(taken_over());
        }
        self.is_torn = false;
        self.held.size = self.held.size.saturating_add_unsigned(records.len() as u64);
        Ok(())
    }

    async fn read_all(&mut self, each: &mut (dyn FnMut(&[u8]) -> io::Result<()> + Send)) -> io::Result<()> {
        self.repair().await?;
        let first = self.head().await?.first;
        let (mut next, invalid) = (first, |what| io::Error::new(io::ErrorKind::InvalidData, what));
        loop {
            // So that a long log stays held.
            self.write(&[]).await?;
            // What stands before the first of all was never written here; what was removed may still be there.
            let from = if next == 0 { i64::MIN } else { next };
            let page = self.run(async |connection, held| page(connection, held.log, from).await).await?;
            if page.is_empty() {
                break;
            }
            for (sequence, record) in page {
                if sequence != next {
                    return Err(invalid("a record is missing"));
                }
                each(record.as_bytes())?;
                next += 1;
            }
        }
        if next == self.held.size { Ok(()) } else { Err(invalid("records are missing at the end")) }
    }
}

impl Sink for LogRows {
    fn replay<'a>(
        &'a mut self,
        each: &'a mut (dyn FnMut(&[u8]) -> io::Result<()> + Send),
    ) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(self.read_all(each))
    }

    fn append<'a>(&'a mut self, records: &'a [String]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(self.write(records))
    }

    fn keep_checkpoint<'a>(&'a mut self, note: &'a str) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            let kept = self.run(async |connection, held| keep(connection, held, note).await).await?;
            if kept == 1 { Ok(()) } else { Err(taken_over()) }
        })
    }

    fn checkpoint(&mut self) -> BoxFuture<'_, io::Result<Option<String>>> {
        Box::pin(async move { Ok(self.head().await?.checkpoint) })
    }

    fn stub(&mut self) -> BoxFuture<'_, io::Result<Option<String>>> {
        Box::pin(async move { Ok(self.head().await?.stub) })
    }

    /// Takes no time to speak of: [`PostgresTrail::sweep`](crate::PostgresTrail::sweep) deletes the rows.
    fn remove<'a>(&'a mut self, stub: &'a str, first: u64) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.repair().await?;
            let first = i64::try_from(first).map_err(io::Error::other)?;
            let removed = self.run(async |connection, held| remove(connection, held, stub, first).await).await?;
            if removed == 1 { Ok(()) } else { Err(taken_over()) }
        })
    }

    fn release(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // What was not acknowledged must not be found by the next holder.
            let released = match self.repair().await {
                Ok(()) => self.run(release).await,
                Err(error) => Err(error),
            };
            if let Err(error) = released {
                // It ends by itself.
                tracing::warn!(%error, "the audit log stays held for half a minute");
            }
        })
    }
}

fn taken_over() -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, "another gateway writes this log")
}

async fn in_time<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> io::Result<T> {
    let done = tokio::time::timeout(PATIENCE, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
    done.map_err(io::Error::other)
}

fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// The request a record is about, for the index; empty if it says none.
fn request_id(record: &str) -> String {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        request_id: Cow<'a, str>,
    }
    // A NUL, which Postgres refuses, is in no request id of ours.
    serde_json::from_str::<Head<'_>>(record).map_or_else(|_| String::new(), |head| head.request_id.replace('\0', ""))
}

/// The first log that nobody holds, of all or of this one.
async fn claim_free(
    connection: &mut PgConnection,
    holder: &str,
    log: Option<i64>,
) -> Result<Option<Held>, sqlx::Error> {
    let free = sqlx::query(concat!(
        "UPDATE audit_logs SET holder = $1, epoch = epoch + 1, held_until = ",
        lease!(),
        " WHERE log = (SELECT log FROM audit_logs WHERE held_until < now() AND log = COALESCE($2, log) ",
        "ORDER BY log LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING log, epoch, size"
    ))
    .bind(holder.to_owned())
    .bind(log)
    .fetch_optional(&mut *connection)
    .await?;
    free.map(|row| Held::read(&row, holder)).transpose()
}

/// The first log that nobody holds, else a new one.
async fn claim(connection: &mut PgConnection, holder: &str) -> Result<Held, sqlx::Error> {
    if let Some(held) = claim_free(connection, holder, None).await? {
        return Ok(held);
    }
    loop {
        // Of those that begin a log at the same time one gets the number, and the others the next.
        let new = sqlx::query(concat!(
            "INSERT INTO audit_logs (log, holder, held_until, epoch, size) SELECT COALESCE(MAX(log), 0) + 1, $1, ",
            lease!(),
            ", 1, 0 FROM audit_logs ON CONFLICT DO NOTHING RETURNING log, epoch, size"
        ))
        .bind(holder.to_owned())
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(row) = new {
            return Held::read(&row, holder);
        }
    }
}

async fn insert(
    connection: &mut PgConnection,
    held: &Held,
    ids: &[String],
    records: &[String],
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(concat!(
        "WITH held AS (UPDATE audit_logs SET size = size + cardinality($5), held_until = ",
        lease!(),
        " WHERE log = $1 AND holder = $2 AND epoch = $3 AND size = $4 RETURNING log) ",
        "INSERT INTO audit_records (log, sequence, request_id, record) ",
        "SELECT held.log, $4 + place - 1, id, record ",
        "FROM held, UNNEST($5::text[], $6::text[]) WITH ORDINALITY AS added (id, record, place)"
    ))
    .bind(held.log)
    .bind(held.holder.clone())
    .bind(held.epoch)
    .bind(held.size)
    .bind(ids.to_vec())
    .bind(records.to_vec())
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

async fn renew(connection: &mut PgConnection, held: &Held) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(concat!(
        "UPDATE audit_logs SET held_until = ",
        lease!(),
        " WHERE log = $1 AND holder = $2 AND epoch = $3 AND size = $4"
    ))
    .bind(held.log)
    .bind(held.holder.clone())
    .bind(held.epoch)
    .bind(held.size)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

/// Gives the new epoch; none when another gateway holds the log.
async fn repair(connection: &mut PgConnection, held: &Held) -> Result<Option<i64>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let repaired = sqlx::query(concat!(
        "UPDATE audit_logs SET epoch = epoch + 1, size = $3, held_until = ",
        lease!(),
        " WHERE log = $1 AND holder = $2 RETURNING epoch"
    ))
    .bind(held.log)
    .bind(held.holder.clone())
    .bind(held.size)
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(row) = repaired else { return Ok(None) };
    sqlx::query("DELETE FROM audit_records WHERE log = $1 AND sequence >= $2")
        .bind(held.log)
        .bind(held.size)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    row.try_get(0).map(Some)
}

async fn keep(connection: &mut PgConnection, held: &Held, note: &str) -> Result<u64, sqlx::Error> {
    let done = sqlx::query("UPDATE audit_logs SET checkpoint = $3 WHERE log = $1 AND holder = $2")
        .bind(held.log)
        .bind(held.holder.clone())
        .bind(note.to_owned())
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

async fn remove(connection: &mut PgConnection, held: &Held, stub: &str, first: i64) -> Result<u64, sqlx::Error> {
    let removed = "UPDATE audit_logs SET stub = $4, first = $5 WHERE log = $1 AND holder = $2 AND epoch = $3";
    let done = sqlx::query(removed)
        .bind(held.log)
        .bind(held.holder.clone())
        .bind(held.epoch)
        .bind(stub.to_owned())
        .bind(first)
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

async fn release(connection: &mut PgConnection, held: &Held) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE audit_logs SET held_until = '-infinity' WHERE log = $1 AND holder = $2")
        .bind(held.log)
        .bind(held.holder.clone())
        .execute(connection)
        .await
        .map(drop)
}
