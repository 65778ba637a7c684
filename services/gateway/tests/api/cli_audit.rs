//! What people do with the trail on the command line.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::cli::{Running, run, text};

/// The request ids of one that was answered and one that was refused, at a gateway that has ended.
fn asked(folder: &Path) -> [String; 2] {
    let running = Running::start(folder);
    let curls: Vec<String> =
        running.said().lines().filter(|line| line.starts_with("curl")).map(str::to_owned).collect();
    let id = |curl: &String| {
        let said = text(&Command::new("sh").args(["-c", curl]).output().unwrap().stdout);
        said.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().trim().to_owned()
    };
    let ids = [id(&curls[0]), id(&curls[1])];
    running.stop();
    ids
}

/// More of the trail.
fn administered(folder: &Path) {
    let issued = run(folder, &["keys", "issue", "--name", "another"]);
    assert!(issued.status.success(), "{issued:?}");
}

fn audit(folder: &Path, arguments: &[&str]) -> Output {
    run(folder, &[&["audit"], arguments].concat())
}

fn said(folder: &Path, arguments: &[&str]) -> String {
    let output = audit(folder, arguments);
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

/// Changes a word of the trail.
fn tamper(folder: &Path, from: &str, to: &str) {
    let entries = fs::read_dir(folder.join("data/audit")).unwrap().map(|entry| entry.unwrap().path());
    for segment in entries.filter(|path| path.extension().is_some_and(|end| end == "jsonl")) {
        let changed = fs::read_to_string(&segment).unwrap().replace(from, to);
        fs::write(&segment, changed).unwrap();
    }
}

#[test]
fn a_record_is_proved_to_somebody_who_has_no_trail() {
    let folder = tempfile::tempdir().unwrap();
    let [id, _] = asked(folder.path());
    let proved = said(folder.path(), &["prove", &id, "--out", "."]);
    let key = proved.lines().last().unwrap().rsplit_once("--key ").unwrap().1.to_owned();
    let pairs: Vec<Vec<&str>> =
        proved.lines().filter(|line| line.ends_with("proof")).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(pairs.len(), 2, "an intent and an outcome: {proved}");
    fs::remove_dir_all(folder.path().join("data")).unwrap();
    for pair in &pairs {
        let good = said(folder.path(), &["check", pair[0], pair[1], "--key", &key]);
        assert!(good.starts_with("good: record ") && good.contains("portcullis/embedded"), "{good}");
    }
    let record = folder.path().join(pairs[0][0]);
    let changed = fs::read_to_string(&record).unwrap().replace(&id, "another");
    fs::write(&record, changed).unwrap();
    let bad = audit(folder.path(), &["check", pairs[0][0], pairs[0][1], "--key", &key]);
    assert_eq!(bad.status.code(), Some(2), "{bad:?}");
}

#[test]
fn the_trail_is_searched_for_people_and_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let [answered, refused] = asked(folder.path());
    let all = said(folder.path(), &["search"]);
    assert!(all.contains(&answered) && all.contains(&refused), "{all}");
    let blocked = said(folder.path(), &["search", "--code", "prompt_blocked"]);
    assert!(blocked.contains(&refused) && !blocked.contains(&answered), "{blocked}");
    assert!(blocked.contains("  refusal   ") && blocked.contains("T"), "{blocked}");
    let lines = said(folder.path(), &["search", "--model", "echo-chat", "--within", "600", "--json"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line["record"]["model"] == "echo-chat"), "{lines:?}");
    assert_eq!(said(folder.path(), &["search", "--tenant", "nobody"]), "");
    let newest = said(folder.path(), &["tail", "-n", "1"]);
    assert_eq!(newest, format!("{}\n", all.lines().last().unwrap()));
    assert_eq!(said(folder.path(), &["open"]), "", "all that was sent has an outcome");
}

#[test]
fn an_export_goes_on_where_the_last_one_ended() {
    let folder = tempfile::tempdir().unwrap();
    asked(folder.path());
    let indexes = |text: String| -> Vec<u64> {
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap()).collect()
    };
    let first = indexes(said(folder.path(), &["export", "--cursor", "cursor"]));
    assert!(first.iter().copied().eq(0..first.len() as u64), "{first:?}");
    assert_eq!(said(folder.path(), &["export", "--cursor", "cursor"]), "");
    administered(folder.path());
    let second = indexes(said(folder.path(), &["export", "--cursor", "cursor"]));
    assert_eq!(second.first().copied(), Some(first.len() as u64));
}

#[test]
fn the_trail_is_held_against_what_was_kept_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    asked(folder.path());
    let checkpoint = folder.path().join("data/audit/checkpoint");
    let keep = |name: &str| assert!(fs::copy(&checkpoint, folder.path().join(name)).is_ok());
    keep("older");
    said(folder.path(), &["verify", "--mark", "mark"]);
    administered(folder.path());
    keep("newer");
    assert!(said(folder.path(), &["verify", "--checkpoint", "older", "--checkpoint", "newer"]).starts_with("good: "));
    assert!(said(folder.path(), &["verify", "--since", "mark"]).contains(", read from "));
    assert!(said(folder.path(), &["diff", "older", "newer"]).contains(" records were added to "));
    assert_eq!(audit(folder.path(), &["diff", "newer", "older"]).status.code(), Some(1));

    tamper(folder.path(), "prompt_blocked", "prompt_allowed");
    for arguments in [&["verify"][..], &["verify", "--checkpoint", "older"], &["diff", "older", "newer"]] {
        let bad = audit(folder.path(), arguments);
        assert_eq!(bad.status.code(), Some(2), "{arguments:?}: {bad:?}");
    }
}
