//! Looking: settings, audit trail, health, one request.

use std::time::Duration;

use audit::{Input, Noted, Record, VerifyError, VerifyingKey};
use serde_json::json;

use crate::cli::way::client;
use crate::cli::{Failure, print};
use crate::config::Settings;
use crate::data_dir::admin_address;
use crate::trail::{self, Judged, Trail};

/// `portcullis config check`
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    let policy = crate::rules::policy(settings).map_err(Failure::new)?;
    print(&format!("good: {} backends, {} models", settings.backends.len(), policy.models.len()));
    Ok(())
}

/// `portcullis config show`
pub(super) fn show(settings: &Settings) -> Result<(), Failure> {
    // What cannot be used may hold secrets in places where they do not belong.
    crate::rules::policy(settings).map_err(Failure::new)?;
    print(toml::to_string_pretty(settings).map_err(Failure::new)?.trim_end());
    Ok(())
}

/// `portcullis audit verify`
pub(super) async fn verify(settings: &Settings, key: Option<&str>) -> Result<(), Failure> {
    let key: VerifyingKey = match key {
        Some(text) => text.parse().map_err(|_| Failure::new("--key is no verifier key"))?,
        None => trail::verifying_key(settings).map_err(Failure::new)?,
    };
    let trail = Trail::of(settings).await.map_err(Failure::new)?;
    let mut failures = Vec::new();
    for Judged { log, verdict } in trail.verify(&key).await.map_err(Failure::new)? {
        let name = log.map(|number| format!("log {number}: ")).unwrap_or_default();
        match verdict {
            Ok(verified) => {
                let root = hex(&verified.root);
                print(&format!("{name}good: {} signed records, root {root}, key {key}", verified.records));
                if verified.unsigned > 0 {
                    let behind = verified.unsigned;
                    print(&format!("{name}{behind} more records are not signed yet; nothing can be said of them"));
                }
            }
            Err(error) => failures.push((format!("{name}{error}"), code(&error))),
        }
    }
    // A change says more than a gap, a gap more than what cannot be read.
    let worst = [2, 3, 1].into_iter().find(|worst| failures.iter().any(|(_, code)| code == worst));
    let text = failures.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join("\n");
    worst.map_or(Ok(()), |code| Err(Failure { text, code }))
}

fn code(error: &VerifyError) -> u8 {
    match error {
        VerifyError::Tampered { .. } => 2,
        VerifyError::Incomplete { .. } => 3,
        _ => 1,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `portcullis healthcheck`
pub(super) async fn healthcheck(settings: &Settings) -> Result<(), Failure> {
    let data = &settings.server.data_dir;
    let address = admin_address(data).unwrap_or(settings.server.admin_listen);
    let url = format!("https://localhost:{}/readyz", address.port());
    let asked = client(settings, address)?.get(url).timeout(Duration::from_secs(3)).send().await;
    let status = asked.map_err(|_| Failure::new("not reachable"))?.status();
    if status.is_success() { Ok(()) } else { Err(Failure::new(format!("not ready ({})", status.as_u16()))) }
}

/// `portcullis explain`
pub(super) async fn explain(settings: &Settings, request_id: &str) -> Result<(), Failure> {
    let id = request_id.trim_start_matches("chatcmpl-").trim_start_matches("cmpl-");
    if id.is_empty() {
        return Err(Failure::new("expected an x-request-id"));
    }
    let trail = Trail::of(settings).await.map_err(Failure::new)?;
    let records = trail.find(id).await.map_err(Failure::new)?;
    if records.is_empty() {
        return Err(Failure::new("nothing is recorded of this request; under a flood, refusals are only counted"));
    }
    for record in &records {
        print(&told(record));
    }
    Ok(())
}

fn told(record: &Record) -> String {
    let mut lines = Vec::new();
    match record {
        Record::Intent(intent) => {
            let key = intent.who.key_id.as_deref().unwrap_or("none");
            lines.push(format!("asked     {} of {} by key {key}", intent.operation, intent.model));
            lines.extend(intent.input.iter().map(input));
            lines.extend(intent.findings.iter().map(finding));
        }
        Record::Outcome(outcome) => {
            let code = outcome.code.as_deref().map(|code| format!(", {code}")).unwrap_or_default();
            let ended = json!(outcome.ended);
            let ended = ended.as_str().unwrap_or_default();
            lines.push(format!("ended     {ended}, status {}{code}, {} ms", outcome.status, outcome.latency_ms));
            let backend = outcome.backend.as_deref().unwrap_or("none");
            let (read, wrote) = (outcome.input_tokens, outcome.output_tokens);
            lines.push(format!("backend   {backend}, read {read} tokens, wrote {wrote}"));
            lines.extend(outcome.findings.iter().map(finding));
        }
        Record::Refusal(refusal) => {
            lines.push(format!("refused   by step {:?} with {} ({})", refusal.step, refusal.code, refusal.status));
            lines.extend(refusal.detail.iter().map(|detail| format!("why       {detail}")));
            lines.extend(refusal.limit.iter().map(|limit| format!("limit     {limit}")));
            lines.extend(refusal.findings.iter().map(finding));
        }
        Record::Act(act) => {
            let target = act.target.as_deref().unwrap_or("nothing in particular");
            let how = act.detail.as_deref().unwrap_or(if act.ok { "done" } else { "not done" });
            lines.push(format!("act       {} on {target}: {how}", act.act));
            let (key, address) = (act.who.key_id.as_deref(), act.who.address.as_deref());
            lines.push(format!("who       {} from {}", key.unwrap_or("nobody"), address.unwrap_or("this machine")));
            lines.extend(act.before.iter().map(|before| format!("before    {before}")));
            lines.extend(act.after.iter().map(|after| format!("after     {after}")));
        }
        _ => {}
    }
    lines.join("\n")
}

fn finding(noted: &Noted) -> String {
    let Noted { detector, label, action, pointer, mode } = noted;
    format!("rule      {label} ({detector}) at {pointer}: {action}, {mode}")
}

fn input(input: &Input) -> String {
    match input {
        Input::Text { pointer, origin, bytes, text, cut } => {
            let more = if *cut { " ..." } else { "" };
            let text = text.as_deref().map(|text| format!(": {text}{more}")).unwrap_or_default();
            format!("text      {pointer} ({origin}, {bytes} bytes){text}")
        }
        Input::Tensor { name, shape, dtype, min, max, .. } => {
            let range = min.zip(*max).map(|(min, max)| format!(", {min} to {max}")).unwrap_or_default();
            format!("tensor    {name} {dtype} {shape:?}{range}")
        }
        _ => String::new(),
    }
}
