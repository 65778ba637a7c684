//! `portcullis audit`: the trail is verified, searched, proved and handed on.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use audit::{Checkpoint, ExportError, Mark, Proof, Record, Verified, VerifyError, VerifyingKey};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::{Failure, print};
use crate::config::Settings;
use crate::request_id::unix_millis;
use crate::trail::{self, Cursor, Judged, Trail};

/// How often `audit tail --follow` looks for more.
const LOOK: Duration = Duration::from_millis(500);
/// Most records that `audit tail` shows to begin with.
const MOST_TAIL: usize = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Hold the trail against its newest signed checkpoints. Exit code 0: good, 2: tampered, 3: incomplete.
    Verify(VerifyArguments),
    /// Write each record of a request, and the proof of it, to files that `audit check` and others can check.
    Prove {
        /// The x-request-id of the answer.
        request_id: String,
        /// The folder to write to: N.json is the record, N.proof the proof.
        #[arg(long, default_value = ".", value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        key: KeyArgument,
    },
    /// Check a proof without the trail: the record, the proof and the verifier key are all that is needed.
    Check {
        /// The record, as `audit prove` wrote it.
        record: PathBuf,
        /// Its proof.
        proof: PathBuf,
        /// The verifier key, name+hash+key.
        #[arg(long)]
        key: VerifyingKey,
    },
    /// Say whether the trail of a newer checkpoint only adds to that of an older one.
    Diff {
        /// A checkpoint that was kept.
        older: PathBuf,
        /// A later one.
        newer: PathBuf,
        #[command(flatten)]
        key: KeyArgument,
    },
    /// List the requests that were sent to a backend and have no outcome.
    Open,
    /// Write signed records as JSON lines, each with its log, index and leaf hash, from where the last export ended.
    Export {
        /// The file that keeps where it ended. Without it, all records are written.
        #[arg(long, value_name = "FILE")]
        cursor: Option<PathBuf>,
    },
    /// Find records.
    Search(SearchArguments),
    /// Show the newest records.
    Tail {
        /// How many.
        #[arg(long, short = 'n', default_value_t = 20, value_name = "N")]
        lines: usize,
        /// Go on with those that come.
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        search: SearchArguments,
    },
}

#[derive(Debug, Args)]
pub(super) struct KeyArgument {
    /// The verifier key, name+hash+key. Without it, that of the settings or the data folder is used.
    #[arg(long)]
    key: Option<VerifyingKey>,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    /// Also compare a checkpoint that was kept elsewhere: it finds what the holder of the signing key wrote anew. May
    /// be given again.
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Read only what was added since an earlier verification, which wrote this file with --mark.
    #[arg(long, value_name = "FILE", conflicts_with = "checkpoints")]
    since: Option<PathBuf>,
    /// Write how far the trail is verified now.
    #[arg(long, value_name = "FILE")]
    mark: Option<PathBuf>,
    #[command(flatten)]
    key: KeyArgument,
}

#[derive(Debug, Args)]
pub(super) struct SearchArguments {
    /// Of this key's id.
    #[arg(long = "of-key", value_name = "ID")]
    of_key: Option<String>,
    /// Of this tenant.
    #[arg(long)]
    tenant: Option<String>,
    /// Of this model.
    #[arg(long)]
    model: Option<String>,
    /// With this code, such as prompt_blocked.
    #[arg(long)]
    code: Option<String>,
    /// Not older than so many seconds.
    #[arg(long, value_name = "SECONDS")]
    within: Option<u64>,
    /// As JSON lines.
    #[arg(long)]
    json: bool,
}

/// `portcullis audit`
pub(super) async fn run(settings: &Settings, command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::Verify(arguments) => verify(settings, &arguments).await,
        AuditCommand::Prove { request_id, out, key } => prove(settings, &request_id, &out, &key).await,
        AuditCommand::Check { record, proof, key } => check(&record, &proof, &key),
        AuditCommand::Diff { older, newer, key } => diff(settings, &older, &newer, &key).await,
        AuditCommand::Open => open(settings).await,
        AuditCommand::Export { cursor } => export(settings, cursor.as_deref()).await,
        AuditCommand::Search(search) => show(&Trail::of(settings).await.map_err(Failure::new)?, &search, None).await,
        AuditCommand::Tail { lines, follow, search } => {
            let trail = Trail::of(settings).await.map_err(Failure::new)?;
            show(&trail, &search, Some(Tail { lines: lines.min(MOST_TAIL), follow })).await
        }
    }
}

impl KeyArgument {
    fn get(&self, settings: &Settings) -> Result<VerifyingKey, Failure> {
        self.key.clone().map_or_else(|| trail::verifying_key(settings).map_err(Failure::new), Ok)
    }
}

async fn verify(settings: &Settings, arguments: &VerifyArguments) -> Result<(), Failure> {
    let key = arguments.key.get(settings)?;
    if arguments.checkpoints.is_empty() && arguments.since.is_none() && arguments.mark.is_none() {
        return verify_all(settings, &key).await;
    }
    let folder = folder(settings).await?;
    let verified = match &arguments.since {
        Some(file) => {
            let mark: Mark = read(file)?.parse().map_err(Failure::new)?;
            audit::verify_since(&folder, &key, &mark)
        }
        None => {
            let kept = arguments.checkpoints.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
            audit::verify_against(&folder, &key, &kept.iter().map(String::as_str).collect::<Vec<_>>())
        }
    };
    let verified = verified.map_err(|error| bad("", &error))?;
    good("", &verified, &key);
    arguments.mark.as_ref().map_or(Ok(()), |file| write(file, &verified.mark.to_string()))
}

/// All logs of the trail, each with a line.
async fn verify_all(settings: &Settings, key: &VerifyingKey) -> Result<(), Failure> {
    let trail = Trail::of(settings).await.map_err(Failure::new)?;
    let mut failures = Vec::new();
    for Judged { log, verdict } in trail.verify(key).await.map_err(Failure::new)? {
        let name = log.map(|number| format!("log {number}: ")).unwrap_or_default();
        match verdict {
            Ok(verified) => good(&name, &verified, key),
            Err(error) => failures.push(bad(&name, &error)),
        }
    }
    // A change says more than a gap, a gap more than what cannot be read.
    let worst = [2, 3, 1].into_iter().find(|worst| failures.iter().any(|failure| failure.code == *worst));
    let text = failures.into_iter().map(|failure| failure.text).collect::<Vec<_>>().join("\n");
    worst.map_or(Ok(()), |code| Err(Failure { text, code }))
}

fn good(name: &str, verified: &Verified, key: &VerifyingKey) {
    let (records, root) = (verified.records, hex(&verified.root));
    let from = if verified.first > 0 { format!(", read from {}", verified.first) } else { String::new() };
    print(&format!("{name}good: {records} signed records{from}, root {root}, key {key}"));
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

async fn prove(settings: &Settings, request_id: &str, out: &Path, key: &KeyArgument) -> Result<(), Failure> {
    let (folder, key) = (folder(settings).await?, key.get(settings)?);
    let found = audit::find_indexed(&folder, request_id).map_err(Failure::new)?;
    let indexes: Vec<u64> = found.iter().map(|(index, _)| *index).collect();
    if indexes.is_empty() {
        return Err(Failure::new("nothing is recorded of this request"));
    }
    for (record, proof) in audit::prove(&folder, &key, &indexes).map_err(|error| bad("", &error))? {
        let file = |kind: &str| out.join(format!("{}.{kind}", proof.index()));
        write(&file("json"), &record)?;
        write(&file("proof"), &proof.to_string())?;
        print(&format!("{}  {}", file("json").display(), file("proof").display()));
    }
    print(&format!("check them with: portcullis audit check N.json N.proof --key {key}"));
    Ok(())
}

fn check(record: &Path, proof: &Path, key: &VerifyingKey) -> Result<(), Failure> {
    let tampered = |error: audit::InvalidProof| Failure { text: error.to_string(), code: 2 };
    let parsed: Proof = read(proof)?.parse().map_err(tampered)?;
    let checkpoint = parsed.check(read(record)?.as_bytes(), key).map_err(tampered)?;
    let (index, origin, size) = (parsed.index(), checkpoint.origin(), checkpoint.size());
    print(&format!("good: record {index} of {origin}, under a checkpoint over {size} records"));
    Ok(())
}

async fn diff(settings: &Settings, older: &Path, newer: &Path, key: &KeyArgument) -> Result<(), Failure> {
    let (folder, key) = (folder(settings).await?, key.get(settings)?);
    let notes = [read(older)?, read(newer)?];
    let foreign = |error: audit::InvalidCheckpoint| Failure { text: error.to_string(), code: 2 };
    let [older, newer] = notes.each_ref().map(|note| Checkpoint::open(note, &key).map_err(foreign));
    let (older, newer) = (older?, newer?);
    if older.size() > newer.size() {
        return Err(Failure::new("the first checkpoint is the newer one"));
    }
    let kept: Vec<&str> = notes.iter().map(String::as_str).collect();
    audit::verify_against(&folder, &key, &kept).map_err(|error| bad("", &error))?;
    let added = newer.size() - older.size();
    print(&format!("good: {added} records were added to {}, and nothing else was changed", older.size()));
    Ok(())
}

async fn open(settings: &Settings) -> Result<(), Failure> {
    for (index, request_id) in audit::open_intents(&folder(settings).await?).map_err(Failure::new)? {
        print(&format!("{request_id}  record {index}"));
    }
    Ok(())
}

async fn export(settings: &Settings, cursor: Option<&Path>) -> Result<(), Failure> {
    let folder = folder(settings).await?;
    let from = match cursor {
        Some(file) if file.exists() => read(file)?.trim().parse().map_err(|_| Failure::new("no cursor in the file"))?,
        _ => 0,
    };
    let mut out = io::stdout().lock();
    let next = audit::export(&folder, from, &mut |line| writeln!(out, "{line}")).map_err(|error| match error {
        ExportError::Broken { .. } => Failure { text: error.to_string(), code: 3 },
        other => Failure::new(other),
    })?;
    // Kept only when all lines are out: after a failure they come again, with the same index.
    out.flush().map_err(Failure::new)?;
    cursor.map_or(Ok(()), |file| write(file, &next.to_string()))
}

/// What is shown of the newest records.
struct Tail {
    lines: usize,
    follow: bool,
}

/// A line of an export, as far as it is read.
#[derive(Deserialize)]
struct Line {
    record: Record,
}

async fn show(trail: &Trail, search: &SearchArguments, tail: Option<Tail>) -> Result<(), Failure> {
    let since = search.within.map(|seconds| unix_millis().saturating_sub(seconds.saturating_mul(1_000)));
    let (mut cursor, mut found) = (Cursor::default(), VecDeque::new());
    loop {
        let mut take = |line: &str| {
            let Ok(Line { record }) = serde_json::from_str(line) else { return };
            if !search.fits(&record, since) {
                return;
            }
            let text = if search.json { line.to_owned() } else { row(&record) };
            match &tail {
                Some(tail) => {
                    found.push_back(text);
                    found.drain(..found.len().saturating_sub(tail.lines));
                }
                None => print(&text),
            }
        };
        trail.signed(&mut cursor, &mut take).await.map_err(Failure::new)?;
        found.drain(..).for_each(|text| print(&text));
        if !tail.as_ref().is_some_and(|tail| tail.follow) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl SearchArguments {
    fn fits(&self, record: &Record, since: Option<u64>) -> bool {
        let (who, facts) = (record.who(), Facts::of(record));
        let is = |asked: &Option<String>, there: Option<&str>| asked.is_none() || asked.as_deref() == there;
        is(&self.of_key, who.key_id.as_deref())
            && is(&self.tenant, who.tenant.as_deref())
            && is(&self.model, facts.model)
            && is(&self.code, facts.code)
            && since.is_none_or(|since| facts.at >= since)
    }
}

/// What a line says of a record.
#[derive(Default)]
struct Facts<'r> {
    kind: &'static str,
    at: u64,
    model: Option<&'r str>,
    code: Option<&'r str>,
    what: String,
}

impl<'r> Facts<'r> {
    fn of(record: &'r Record) -> Self {
        match record {
            Record::Intent(intent) => {
                let what = format!("{} of {}", intent.operation, intent.model);
                Self { kind: "intent", at: intent.at, model: Some(&intent.model), code: None, what }
            }
            Record::Outcome(outcome) => {
                let (code, ended) = (outcome.code.as_deref(), json!(outcome.ended));
                let ended = ended.as_str().unwrap_or_default();
                let what = format!("{ended} {} {}", outcome.status, code.unwrap_or_default());
                Self { kind: "outcome", at: outcome.at, model: None, code, what }
            }
            Record::Refusal(refusal) => {
                let (model, code) = (refusal.model.as_deref(), Some(refusal.code.as_str()));
                let similar =
                    if refusal.similar > 0 { format!(", {} more like it", refusal.similar) } else { String::new() };
                let what = format!("{} {} by {}{similar}", refusal.status, refusal.code, refusal.step);
                Self { kind: "refusal", at: refusal.at, model, code, what }
            }
            Record::Act(act) => {
                let what = format!("{} {}", act.act, act.target.as_deref().unwrap_or_default());
                Self { kind: "act", at: act.at, what, ..Self::default() }
            }
            Record::KeyChange(change) => Self { kind: "key change", at: change.at, ..Self::default() },
            Record::Peer(peer) => Self { kind: "peer", at: peer.at, ..Self::default() },
            _ => Self::default(),
        }
    }
}

/// A record on one line.
fn row(record: &Record) -> String {
    let (facts, who) = (Facts::of(record), record.who());
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(facts.at) * 1_000_000).ok();
    let at = at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
    let [key, tenant] = [&who.key_id, &who.tenant].map(|part| part.as_deref().unwrap_or("-"));
    let (kind, id, what) = (facts.kind, record.request_id(), facts.what.trim_end());
    format!("{at:<24}  {kind:<8}  {id}  {key}  {tenant}  {what}")
}

/// The folder of the trail.
async fn folder(settings: &Settings) -> Result<PathBuf, Failure> {
    match Trail::of(settings).await.map_err(Failure::new)? {
        Trail::Folder(folder) => Ok(folder),
        Trail::Database(_) => {
            Err(Failure::new("this is for a trail in files; the one of these settings is in a database"))
        }
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}
