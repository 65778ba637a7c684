//! Looking: settings, health, one request.

use std::time::Duration;

use audit::{Input, Noted, Record};
use serde_json::json;

use crate::cli::way::client;
use crate::cli::{Failure, print};
use crate::config::Settings;
use crate::data_dir::admin_address;
use crate::trail::Trail;

/// `portcullis config check`
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    let policy = crate::rules::policy(settings).map_err(Failure::new)?;
    crate::tls::check(&settings.server).map_err(Failure::new)?;
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
