//! Signed records, handed on to an OpenTelemetry collector: OTLP over HTTP in its JSON form, at least once, beside the
//! requests.

use std::path::PathBuf;
use std::time::Duration;

use audit::ExportError;
use backend::{Endpoint, Timeouts};
use pipeline::Metrics;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::config::{InvalidSettings, OtlpSettings};
use crate::data_dir::replace;
use crate::models::endpoint;
use crate::trail::reading::{Cursor, Gap};
use crate::trail::{Trail, origin};

/// How often there is a look for more, and the longest wait after failures.
const EVERY: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// Most records, and about as many bytes, of one message.
const RECORDS: usize = 500;
const BYTES: usize = 1 << 20;
/// Most of an answer that is read.
const ANSWER: usize = 64 << 10;

pub(super) struct Exporter {
    pub(super) trail: Trail,
    pub(super) number: Option<i64>,
    pub(super) endpoint: Endpoint,
    pub(super) metrics: Metrics,
    /// Where the cursor of a log of files is kept; that of a log of the database is kept there.
    pub(super) cursor_file: PathBuf,
}

/// A line of an export, as far as it is read.
#[derive(Deserialize)]
struct Line<'a> {
    index: u64,
    leaf: String,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// What of a record is told beside itself.
#[derive(Deserialize)]
struct Head {
    record: String,
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    at: u64,
}

/// What of an answer is read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Answered {
    partial_success: Option<Partial>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Partial {
    /// A number, or a number in a text, as int64 is in JSON.
    rejected_log_records: Value,
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// The collector that the settings name; none if they name none.
pub(super) fn collector(settings: &OtlpSettings) -> Result<Option<Endpoint>, InvalidSettings> {
    if settings.url.is_empty() {
        return Ok(None);
    }
    if settings.url.trim_end_matches('/').ends_with("/v1/logs") {
        return Err(InvalidSettings::new("audit.otlp.url", "expected the address below which v1/logs stands"));
    }
    let key = settings.api_key.or_file("audit.otlp.api_key", &settings.api_key_file)?;
    let patience = Duration::from_millis(settings.timeout_milliseconds);
    let mut timeouts = Timeouts::default();
    (timeouts.connect, timeouts.answer, timeouts.max_bytes) = (patience, patience, ANSWER);
    endpoint("audit.otlp", &settings.url, key, timeouts).map(Some)
}

impl Exporter {
    pub(super) async fn run(self) {
        let mut wait = EVERY;
        loop {
            match self.turn().await {
                Ok(0) => wait = EVERY,
                // There may be more.
                Ok(_) => {
                    wait = EVERY;
                    continue;
                }
                Err(error) => {
                    self.metrics.export_failed();
                    tracing::warn!(%error, "audit records are not handed on to the collector; they are sent again");
                    wait = (wait * 2).min(LONGEST);
                }
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Sends the next records of this gateway's log, and of those in the database that nobody writes any more: several
    /// gateways may send the same ones. Gives how many there were.
    async fn turn(&self) -> Result<usize, Fault> {
        let mut sent = self.send(self.number).await?;
        if let Trail::Database(database) = &self.trail {
            for number in database.left_to_export().await? {
                sent += self.send(Some(number)).await?;
            }
        }
        Ok(sent)
    }

    /// Sends the next records of a log, and keeps the cursor when they have arrived.
    async fn send(&self, number: Option<i64>) -> Result<usize, Fault> {
        let from = self.cursor(number).await?;
        // Of files it reads a whole segment, which must not keep others from their turn.
        let (trail, runtime) = (self.trail.clone(), Handle::current());
        let reading = tokio::task::spawn_blocking(move || runtime.block_on(read(&trail, number, from)));
        let (lines, next) = reading.await??;
        let Some(first) = lines.first() else { return Ok(0) };
        let first = serde_json::from_str::<Line<'_>>(first)?.index;
        if first > from {
            self.metrics.export_failed();
            tracing::error!(from, to = first, "audit records were removed before the collector took them");
        }
        let message = message(&origin(number), &lines)?;
        let answer = self.endpoint.ask("v1/logs", message.into()).await?;
        let answered: Answered = serde_json::from_slice(&answer).unwrap_or_default();
        if let Some(partial) = answered.partial_success {
            let rejected = partial.rejected_log_records;
            if !matches!(&rejected, Value::Null) && rejected != json!(0) && rejected != json!("0") {
                // It would reject them again; they are in the trail all the same.
                self.metrics.export_failed();
                tracing::warn!(%rejected, "the collector rejects audit records");
            }
        }
        self.keep(number, next).await?;
        self.metrics.exported(lines.len() as u64);
        Ok(lines.len())
    }

    async fn cursor(&self, number: Option<i64>) -> Result<u64, Fault> {
        match (&self.trail, number) {
            (Trail::Database(database), Some(number)) => Ok(database.exported(number).await?),
            _ => match std::fs::read_to_string(&self.cursor_file) {
                Ok(text) => Ok(text.trim().parse()?),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
                Err(error) => Err(error.into()),
            },
        }
    }

    async fn keep(&self, number: Option<i64>, next: u64) -> Result<(), Fault> {
        match (&self.trail, number) {
            (Trail::Database(database), Some(number)) => Ok(database.keep_exported(number, next).await?),
            _ => Ok(replace(&self.cursor_file, format!("{next}\n").as_bytes())?),
        }
    }
}

/// The next lines, as many as are sent together, and where those after them begin.
async fn read(trail: &Trail, number: Option<i64>, from: u64) -> Result<(Vec<String>, u64), ExportError> {
    let (mut lines, mut bytes, mut is_full) = (Vec::new(), 0, false);
    let mut each = |line: &str| {
        is_full = lines.len() >= RECORDS || bytes >= BYTES;
        if is_full {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        bytes += line.len();
        lines.push(line.to_owned());
        Ok(())
    };
    let mut cursor = Cursor::at(number, from);
    let read = match number {
        None => trail.signed(&mut cursor, Gap::PassOver, &mut each).await,
        Some(log) => trail.signed_of(log, &mut cursor, Gap::PassOver, &mut each).await,
    };
    match read {
        Err(error) if !is_full => Err(error),
        _ => Ok((lines, cursor.next_of(number))),
    }
}

/// The lines as an `ExportLogsServiceRequest`. A log and an index together are the id of a record, for good.
fn message(log: &str, lines: &[String]) -> Result<String, serde_json::Error> {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let record = |line: &String| {
        let line: Line<'_> = serde_json::from_str(line)?;
        let head: Head = serde_json::from_str(line.record.get())?;
        let nanos = u128::from(head.at) * 1_000_000;
        Ok(json!({
            "timeUnixNano": nanos.to_string(),
            "observedTimeUnixNano": nanos.to_string(),
            "severityNumber": 9,
            "severityText": "INFO",
            "eventName": format!("portcullis.audit.{}", head.record),
            "body": {"stringValue": line.record.get()},
            "attributes": [
                text("audit.log", log),
                {"key": "audit.index", "value": {"intValue": line.index.to_string()}},
                text("audit.leaf", &line.leaf),
                text("audit.record", &head.record),
                text("audit.request_id", &head.request_id),
            ],
        }))
    };
    let records = lines.iter().map(record).collect::<Result<Vec<Value>, serde_json::Error>>()?;
    let message = json!({"resourceLogs": [{
        "resource": {"attributes": [text("service.name", "portcullis")]},
        "scopeLogs": [{"scope": {"name": "portcullis.audit"}, "logRecords": records}],
    }]});
    Ok(message.to_string())
}
