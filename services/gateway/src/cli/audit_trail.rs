//! `portcullis audit`: the trail is verified, searched, proved and handed on.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use audit::{Record, VerifyingKey};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::audit_checks::{self, Since};
use crate::cli::{Failure, print};
use crate::config::Settings;
use crate::request_id::unix_millis;
use crate::trail::{self, Cursor, Gap, Trail};

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
        /// The folder to write to: N.json is the record, N.proof the proof; with a database, L-N, for the log L.
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
    /// Say whether the log of a newer checkpoint only adds to that of an older one.
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
    pub(super) checkpoints: Vec<PathBuf>,
    /// Read only what was added since an earlier verification, which wrote this file with --mark; or read all, and say
    /// how many records are from this time on, such as 2026-11-26T12:00:00Z.
    #[arg(long, value_name = "FILE|TIME", conflicts_with = "checkpoints")]
    pub(super) since: Option<Since>,
    /// Write how far the trail is verified now.
    #[arg(long, value_name = "FILE")]
    pub(super) mark: Option<PathBuf>,
    #[command(flatten)]
    pub(super) key: KeyArgument,
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
        AuditCommand::Verify(arguments) => audit_checks::verify(settings, &arguments).await,
        AuditCommand::Prove { request_id, out, key } => audit_checks::prove(settings, &request_id, &out, &key).await,
        AuditCommand::Check { record, proof, key } => audit_checks::check(&record, &proof, &key),
        AuditCommand::Diff { older, newer, key } => audit_checks::diff(settings, &older, &newer, &key).await,
        AuditCommand::Open => audit_checks::open(settings).await,
        AuditCommand::Export { cursor } => audit_checks::export(settings, cursor.as_deref()).await,
        AuditCommand::Search(search) => show(&Trail::of(settings).await.map_err(Failure::new)?, &search, None).await,
        AuditCommand::Tail { lines, follow, search } => {
            let trail = Trail::of(settings).await.map_err(Failure::new)?;
            show(&trail, &search, Some(Tail { lines: lines.min(MOST_TAIL), follow })).await
        }
    }
}

impl KeyArgument {
    pub(super) fn get(&self, settings: &Settings) -> Result<VerifyingKey, Failure> {
        self.key.clone().map_or_else(|| trail::verifying_key(settings).map_err(Failure::new), Ok)
    }
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
            let Ok(Line { record }) = serde_json::from_str(line) else { return Ok(()) };
            if !search.fits(&record, since) {
                return Ok(());
            }
            let text = if search.json { line.to_owned() } else { row(&record) };
            match &tail {
                Some(tail) => {
                    found.push_back(text);
                    found.drain(..found.len().saturating_sub(tail.lines));
                }
                None => print(&text),
            }
            Ok(())
        };
        trail.signed(&mut cursor, Gap::PassOver, &mut take).await.map_err(Failure::new)?;
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
