//! `portcullis audit`, where somebody checks the trail or takes of it: verify, prove, check, diff, open, export.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use audit::{Checkpoint, ExportError, Inquiry, Mark, Proof, Verified, VerifyError, VerifyingKey};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::audit_trail::{KeyArgument, VerifyArguments};
use crate::cli::{Failure, print};
use crate::config::Settings;
use crate::trail::{Cursor, Gap, Judged, Kept, Trail};

/// From where on the trail is of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Since {
    /// From the marks in a file.
    Marks(PathBuf),
    /// From a time, in milliseconds since the Unix epoch.
    Time(u64),
}

impl FromStr for Since {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let time = OffsetDateTime::parse(text, &Rfc3339).ok();
        let millis = time.and_then(|time| u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok());
        Ok(millis.map_or_else(|| Self::Marks(text.into()), Self::Time))
    }
}

pub(super) async fn verify(settings: &Settings, arguments: &VerifyArguments) -> Result<(), Failure> {
    let (key, trail) = (arguments.key.get(settings)?, trail(settings).await?);
    let checkpoints = arguments.checkpoints.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    let marks = match &arguments.since {
        Some(Since::Marks(file)) => {
            read(file)?.lines().map(str::parse).collect::<Result<Vec<Mark>, _>>().map_err(Failure::new)?
        }
        Some(Since::Time(_)) | None => Vec::new(),
    };
    let (mut failures, mut marked) = (Vec::new(), String::new());
    for judged in trail.verify(&key, &Kept { checkpoints, marks }).await.map_err(Failure::new)? {
        let name = name(judged.log);
        match &judged.verdict {
            Ok(verified) => {
                good(&name, verified, &judged, &key);
                marked.push_str(&format!("{}\n", verified.mark));
            }
            Err(error) => failures.push(bad(&name, error)),
        }
    }
    // A change says more than a gap, a gap more than what cannot be read.
    let worst = [2, 3, 1].into_iter().find(|worst| failures.iter().any(|failure| failure.code == *worst));
    if let Some(code) = worst {
        let text = failures.into_iter().map(|failure| failure.text).collect::<Vec<_>>().join("\n");
        return Err(Failure { text, code });
    }
    if let Some(Since::Time(time)) = arguments.since {
        print(&format!("{} of all these are from this time on", count_since(&trail, time).await?));
    }
    arguments.mark.as_ref().map_or(Ok(()), |file| write(file, &marked))
}

/// How many signed records are not older than this.
async fn count_since(trail: &Trail, time: u64) -> Result<u64, Failure> {
    #[derive(Deserialize)]
    struct Line {
        record: Written,
    }
    #[derive(Deserialize)]
    struct Written {
        at: u64,
    }
    let mut count = 0;
    let mut each = |line: &str| {
        count += u64::from(serde_json::from_str::<Line>(line).is_ok_and(|line| line.record.at >= time));
        Ok(())
    };
    trail.signed(&mut Cursor::default(), Gap::PassOver, &mut each).await.map_err(Failure::new)?;
    Ok(count)
}

fn name(log: Option<i64>) -> String {
    log.map(|number| format!("log {number}: ")).unwrap_or_default()
}

fn good(name: &str, verified: &Verified, judged: &Judged, key: &VerifyingKey) {
    let (records, root) = (verified.records, hex(&verified.root));
    let from = if verified.first > 0 { format!(", read from {}", verified.first) } else { String::new() };
    print(&format!("{name}good: {records} signed records{from}, root {root}, key {key}"));
    if judged.peers > 0 {
        print(&format!("{name}the same as in {} records of other gateways", judged.peers));
    }
    if verified.unsigned > 0 {
        print(&format!("{name}{} more records are not signed yet; nothing can be said of them", verified.unsigned));
    }
}

fn bad(name: &str, error: &VerifyError) -> Failure {
    let code = match error {
        VerifyError::Tampered { .. } | VerifyError::Foreign => 2,
        VerifyError::Incomplete { .. } => 3,
        _ => 1,
    };
    Failure { text: format!("{name}{error}"), code }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) async fn prove(settings: &Settings, request_id: &str, out: &Path, key: &KeyArgument) -> Result<(), Failure> {
    let (trail, key) = (trail(settings).await?, key.get(settings)?);
    let proved = trail.prove(request_id, &key).await.map_err(|error| bad("", &error))?;
    if proved.is_empty() {
        return Err(Failure::new("nothing is recorded of this request"));
    }
    for (log, record, proof) in proved {
        let log = log.map(|log| format!("{log}-")).unwrap_or_default();
        let file = |kind: &str| out.join(format!("{log}{}.{kind}", proof.index()));
        write(&file("json"), &record)?;
        write(&file("proof"), &proof.to_string())?;
        print(&format!("{}  {}", file("json").display(), file("proof").display()));
    }
    print(&format!("check them with: portcullis audit check N.json N.proof --key {key}"));
    Ok(())
}

pub(super) fn check(record: &Path, proof: &Path, key: &VerifyingKey) -> Result<(), Failure> {
    let tampered = |error: audit::InvalidProof| Failure { text: error.to_string(), code: 2 };
    let parsed: Proof = read(proof)?.parse().map_err(tampered)?;
    let checkpoint = parsed.check(read(record)?.as_bytes(), key).map_err(tampered)?;
    let (index, origin, size) = (parsed.index(), checkpoint.origin(), checkpoint.size());
    print(&format!("good: record {index} of {origin}, under a checkpoint over {size} records"));
    Ok(())
}

pub(super) async fn diff(settings: &Settings, older: &Path, newer: &Path, key: &KeyArgument) -> Result<(), Failure> {
    let (trail, key) = (trail(settings).await?, key.get(settings)?);
    let notes = [read(older)?, read(newer)?];
    let foreign = |error: audit::InvalidCheckpoint| Failure { text: error.to_string(), code: 2 };
    let [older, newer] = notes.each_ref().map(|note| Checkpoint::open(note, &key).map_err(foreign));
    let (older, newer) = (older?, newer?);
    if older.origin() != newer.origin() {
        return Err(bad("", &VerifyError::Foreign));
    }
    if older.size() > newer.size() {
        return Err(Failure::new("the first checkpoint is the newer one"));
    }
    let log = trail.named(newer.origin()).await.map_err(Failure::new)?;
    let log = log.ok_or_else(|| bad("", &VerifyError::Foreign))?;
    let kept: Vec<&str> = notes.iter().map(String::as_str).collect();
    let inquiry = Inquiry::new(&key).against(&kept);
    trail.examine(log, &inquiry).await.map_err(|error| bad(&name(log), &error))?;
    let added = newer.size() - older.size();
    print(&format!("good: {added} records were added to {}, and nothing else was changed", older.size()));
    Ok(())
}

pub(super) async fn open(settings: &Settings) -> Result<(), Failure> {
    for (log, index, request_id) in trail(settings).await?.open_intents().await.map_err(Failure::new)? {
        let log = log.map(|log| format!(" of log {log}")).unwrap_or_default();
        print(&format!("{request_id}  record {index}{log}"));
    }
    Ok(())
}

pub(super) async fn export(settings: &Settings, file: Option<&Path>) -> Result<(), Failure> {
    let trail = trail(settings).await?;
    let mut cursor = match file {
        Some(file) if file.exists() => read(file)?.parse().map_err(Failure::new)?,
        _ => Cursor::default(),
    };
    let mut each = |line: &str| writeln!(io::stdout(), "{line}");
    trail.signed(&mut cursor, Gap::Refuse, &mut each).await.map_err(|error| match error {
        ExportError::Broken { .. } => Failure { text: error.to_string(), code: 3 },
        other => Failure::new(other),
    })?;
    // Kept only when all lines are out: after a failure they come again, with the same index.
    io::stdout().flush().map_err(Failure::new)?;
    file.map_or(Ok(()), |file| write(file, &cursor.to_string()))
}

async fn trail(settings: &Settings) -> Result<Trail, Failure> {
    Trail::of(settings).await.map_err(Failure::new)
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}
