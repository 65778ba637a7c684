//! `portcullis keys` and `portcullis tenants`: by themselves and over a running gateway, with the same words.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::cli::{Running, portcullis, run, text};

/// Everything that the two can do, one after the other; `ask` is one way to run a command.
fn administer(ask: &dyn Fn(&[&str]) -> Output) {
    let said = |arguments: &[&str]| {
        let output = ask(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(&output.stdout).trim().to_owned()
    };
    let refused = |arguments: &[&str], why: &str| {
        let output = ask(arguments);
        assert!(!output.status.success() && text(&output.stderr).contains(why), "{arguments:?}: {output:?}");
    };
    refused(&["keys", "issue", "--name", "ci", "--tenant", "acme"], "there is no such tenant");
    assert_eq!(said(&["tenants", "add", "acme", "--title", "Acme Inc."]), "acme  active  Acme Inc.");
    refused(&["tenants", "add", "acme"], "there is a tenant of this name");
    assert_eq!(said(&["tenants", "list"]).lines().count(), 2);
    let shown: Value = serde_json::from_str(&said(&["tenants", "show", "acme"])).unwrap();
    assert_eq!((shown["tenant"]["title"].as_str(), shown["tenant"]["revoked_at"].is_null()), (Some("Acme Inc."), true));
    refused(&["tenants", "show", "nobody"], "no such");

    let key = said(&[
        "keys",
        "issue",
        "--name",
        "ci",
        "--tenant",
        "acme",
        "--model",
        "echo-*",
        "--requests",
        "5/second",
        "--budget",
        "100",
        "--address",
        "192.0.2.0/24",
        "--expires-in",
        "3600",
    ]);
    let id = &key[..21];
    let shown: Value = serde_json::from_str(&said(&["keys", "show", id])).unwrap();
    let record = &shown["record"];
    assert_eq!((record["tenant"].as_str(), record["version"].as_u64()), (Some("acme"), Some(1)), "{record}");
    assert!(record["expires_at"].is_u64() && record["addresses"][0] == "192.0.2.0/24", "{record}");

    let changed = said(&[
        "keys",
        "change",
        id,
        "--name",
        "cd",
        "--tokens",
        "9/minute",
        "--clear",
        "requests",
        "--clear",
        "addresses",
        "--clear",
        "expires_at",
    ]);
    assert!(changed.contains("cd") && changed.contains("from anywhere"), "{changed}");
    let shown: Value = serde_json::from_str(&said(&["keys", "show", id])).unwrap();
    let record = &shown["record"];
    assert_eq!(record["limits"].to_string(), r#"{"budget":100,"tokens":"9/minute"}"#);
    assert_eq!((record["version"].as_u64(), record["expires_at"].is_null()), (Some(2), true));
    assert_eq!(record["scopes"]["inference"]["models"][0], "echo-*", "what is not named stays");
    refused(&["keys", "change", id, "--address", "192.0.2.1/24"], "a network is written like");
    // One flag changes one thing.
    let scopes_after = |id: &str, flags: &[&str]| {
        said(&[&["keys", "change", id], flags].concat());
        let shown: Value = serde_json::from_str(&said(&["keys", "show", id])).unwrap();
        shown["record"]["scopes"].clone()
    };
    let inference = |models: &str, operations: &[&str], trusts| json!({"inference": {"models": [models], "operations": operations, "trust_system": trusts}});
    assert_eq!(scopes_after(id, &["--operation", "chat"]), inference("echo-*", &["chat"], false));
    assert_eq!(scopes_after(id, &["--trust-system"]), inference("echo-*", &["chat"], true));
    assert_eq!(scopes_after(id, &["--model", "echo-chat"]), inference("echo-chat", &["chat"], true));
    refused(&["keys", "change", id, "--admin", "keys:read"], "cannot become each other");

    assert_eq!(said(&["keys", "list", "--tenant", "acme"]).lines().count(), 1);
    let newer = said(&["keys", "rotate", id, "--grace", "60"]);
    refused(&["keys", "rotate", id], "was rotated before");
    assert_eq!(said(&["keys", "revoke", &newer[..21], "--family"]), "revoked 2");
    refused(&["keys", "show", "pck1_0000000000000000"], "there is no such key");

    let admin = said(&[
        "keys",
        "issue",
        "--name",
        "acme admin",
        "--tenant",
        "acme",
        "--admin",
        "keys:write",
        "--grant-model",
        "echo-*",
        "--grant-operation",
        "chat",
    ]);
    let granting = |acts: &[&str], models: &str| json!({"admin": {"acts": acts, "grants": {"models": [models], "operations": ["chat"], "trust_system": false}}});
    let id = &admin[..21];
    assert_eq!(scopes_after(id, &["--name", "renamed"]), granting(&["keys:write"], "echo-*"));
    assert_eq!(scopes_after(id, &["--admin", "keys:read"]), granting(&["keys:read"], "echo-*"));
    assert_eq!(scopes_after(id, &["--grant-model", "echo-chat"]), granting(&["keys:read"], "echo-chat"));
    refused(&["tenants", "revoke", "default"], "the default tenant cannot be revoked");
    refused(&["tenants", "add", ".."], "not only one or two dots");
    assert_eq!(said(&["tenants", "revoke", "acme"]), "revoked 1");
    refused(&["keys", "issue", "--name", "late", "--tenant", "acme"], "there is no such tenant");
    assert!(said(&["tenants", "list"]).contains("acme  revoked  Acme Inc."));
}

/// The names of the acts in the trail that were done.
fn acts(folder: &Path) -> Vec<String> {
    let mut acts = Vec::new();
    let mut segments: Vec<_> =
        std::fs::read_dir(folder.join("data/audit")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    for segment in segments.iter().filter(|path| path.extension().is_some_and(|end| end == "jsonl")) {
        for line in std::fs::read_to_string(segment).unwrap().lines() {
            let record: Value = serde_json::from_str(line).unwrap_or_default();
            let record = record.get("record").filter(|inner| inner.is_object()).unwrap_or(&record);
            if record["ok"] == true {
                acts.push(record["act"].as_str().unwrap_or_default().to_owned());
            }
        }
    }
    acts
}

const DONE: [&str; 9] = [
    "tenants.add",
    "keys.issue",
    "keys.change",
    "keys.rotate",
    "keys.revoke_family",
    "keys.issue",
    "tenants.revoke",
    "keys.find",
    "keys.list",
];

#[test]
fn keys_and_tenants_without_a_gateway_are_on_record() {
    let folder = tempfile::tempdir().unwrap();
    administer(&|arguments| run(folder.path(), arguments));
    let acts = acts(folder.path());
    for act in &DONE[..7] {
        assert!(acts.iter().any(|done| done == act), "{act}: {acts:?}");
    }
    assert!(run(folder.path(), &["audit", "verify"]).status.success());
}

#[test]
fn keys_and_tenants_over_a_gateway_are_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let admin = text(&run(folder.path(), &["keys", "bootstrap"]).stdout).trim().to_owned();
    let running = Running::start(folder.path());
    administer(&|arguments| portcullis(folder.path(), arguments).env("PORTCULLIS_ADMIN_KEY", &admin).output().unwrap());
    running.stop();
    let acts = acts(folder.path());
    for act in DONE.iter().chain(&["keys.bootstrap"]) {
        assert!(acts.iter().any(|done| done == act), "{act}: {acts:?}");
    }
}

#[test]
fn the_keys_of_a_first_start_are_on_record() {
    let folder = tempfile::tempdir().unwrap();
    Running::start(folder.path()).stop();
    assert_eq!(acts(folder.path()), ["keys.issue", "keys.issue"]);
}
