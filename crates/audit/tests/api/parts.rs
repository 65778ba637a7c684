//! Records, cleaned text, digests, keys and checkpoints.

use audit::{
    Act, Checkpoint, DigestKey, Ended, Input, Intent, KeyError, Log, Noted, Outcome, Record, Refusal, SigningKey,
    VerifyingKey, clean,
};
use proptest::prelude::*;

use crate::support::{ORIGIN, Place};

#[test]
fn records_read_what_they_write() {
    let noted = Noted { detector: "secrets".to_owned(), ..Noted::default() };
    let mut intent = Intent::new("r1", 1);
    intent.who.key_id = Some("pck1_0000000000000000".to_owned());
    intent.findings = vec![noted];
    intent.input = vec![
        Input::Text { pointer: "/a".to_owned(), origin: "user".to_owned(), bytes: 3, text: None, cut: false },
        Input::Tensor {
            name: "x".to_owned(),
            shape: vec![-1, 3],
            dtype: "fp32".to_owned(),
            min: Some(-0.5),
            max: None,
            digest: "d".to_owned(),
        },
    ];
    let mut outcome = Outcome::new("r1", 2);
    outcome.ended = Ended::HungUp;
    let mut act = Act::new("r2", 3);
    act.after = Some(serde_json::json!({"name": "\u{0}"}));
    let records: [Record; 4] = [intent.into(), outcome.into(), Refusal::new("r3", 4).into(), act.into()];
    for (record, word) in records.iter().zip(["intent", "outcome", "refusal", "act"]) {
        let text = serde_json::to_string(record).unwrap();
        assert!(text.starts_with(&format!("{{\"record\":\"{word}\",\"request_id\":\"")), "{text}");
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), *record);
    }
    assert!(serde_json::to_string(&records[1]).unwrap().contains("\"ended\":\"hung_up\""));
}

#[test]
fn hidden_characters_are_shown() {
    assert_eq!(clean("a\u{0}b\u{202e}c\nd\u{1b}[31m", 100), ("a\\u{0}b\\u{202e}c\\nd\\u{1b}[31m".to_owned(), false));
    assert_eq!(clean("\u{e9}\u{1f511}", 100), ("\u{e9}\u{1f511}".to_owned(), false));
    assert_eq!(clean("\u{e9}\u{1f511}", 5), ("\u{e9}".to_owned(), true));
    assert_eq!(clean("ab\n", 3), ("ab".to_owned(), true), "no escape is cut in two");
    assert_eq!(clean("ab", 2), ("ab".to_owned(), false));
    assert_eq!(clean("", 0), (String::new(), false));
}

#[test]
fn digests_are_keyed_by_tenant() {
    let (key, other) = (DigestKey::generate().unwrap(), DigestKey::generate().unwrap());
    let digest = key.digest("a", b"text");
    assert_eq!(digest.len(), 64);
    assert_eq!(digest, key.digest("a", b"text"));
    assert_ne!(digest, key.digest("b", b"text"));
    assert_ne!(digest, key.digest("a", b"texts"));
    assert_ne!(digest, other.digest("a", b"text"));
    let mut pieces = key.digester("a");
    pieces.update(b"te");
    pieces.update(b"xt");
    assert_eq!(pieces.finish(), digest);
}

#[test]
fn key_files_are_made_once_and_stay_private() {
    let dir = tempfile::tempdir().unwrap();
    let (digests, signing) = (dir.path().join("digests"), dir.path().join("signing"));
    let digest = DigestKey::load_or_create(&digests).unwrap().digest("t", b"x");
    assert_eq!(DigestKey::load_or_create(&digests).unwrap().digest("t", b"x"), digest);
    let verifying = SigningKey::load_or_create(&signing).unwrap().verifying_key();
    assert_eq!(SigningKey::load_or_create(&signing).unwrap().verifying_key(), verifying);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left over");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for path in [&digests, &signing] {
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
        }
        assert!(matches!(DigestKey::load_or_create(&digests), Err(KeyError::Exposed)));
        assert!(matches!(SigningKey::load_or_create(&signing), Err(KeyError::Exposed)));
    }
}

#[test]
fn verifying_keys_are_written_as_c2sp_says() {
    let key = SigningKey::generate().unwrap().verifying_key();
    let text = key.to_string();
    assert_eq!(text.parse::<VerifyingKey>().unwrap(), key);
    // The example of the specification (C2SP signed-note).
    let example = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(example.parse::<VerifyingKey>().unwrap().to_string(), example);
    for bad in ["", "a+b", &example.replace('c', "d"), &example.replace("Peter", "Paul"), &format!("{text}A")] {
        assert!(bad.parse::<VerifyingKey>().is_err(), "{bad}");
    }
}

#[tokio::test]
async fn checkpoints_are_signed_notes() {
    let place = Place::new();
    let log = place.open().await;
    log.append(&crate::support::intent("r")).await.unwrap();
    let checkpoint = log.checkpoint().await.unwrap();
    let note = checkpoint.to_string();
    let lines: Vec<_> = note.split('\n').collect();
    assert_eq!((lines[0], lines[1], lines[3], lines.len()), (ORIGIN, "1", "", 6));
    assert!(lines[4].starts_with("\u{2014} portcullis-audit "));
    assert_eq!(Checkpoint::open(&note, &place.verifying_key()).unwrap(), checkpoint);
    let countersigned = format!("{note}\u{2014} witness AAAA\n");
    assert_eq!(Checkpoint::open(&countersigned, &place.verifying_key()).unwrap().root(), checkpoint.root());
    let other = SigningKey::generate().unwrap().verifying_key();
    assert!(Checkpoint::open(&note, &other).is_err());
    for bad in [note.replacen('1', "2", 1), note.replacen('1', "01", 1), note.replace("\n\n", "\nmore\n\n")] {
        assert!(Checkpoint::open(&bad, &place.verifying_key()).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn origins_are_plain_names() {
    for origin in ["", "a b", "a+b", "a\nb"] {
        let sink = audit::testing::MemorySink::new();
        let opened = Log::open(sink, SigningKey::generate().unwrap(), origin).await;
        assert!(matches!(opened, Err(audit::AuditError::Origin)), "{origin:?}");
    }
}

proptest! {
    #[test]
    fn cleaning_is_bounded_and_visible(text in ".{0,40}|[\u{0}-\u{1f}\u{202a}-\u{202e}a]{0,40}", most in 0..60_usize) {
        let (kept, is_cut) = clean(&text, most);
        prop_assert!(kept.len() <= most);
        prop_assert!(!kept.chars().any(char::is_control));
        let is_hidden = kept.contains(['\u{202a}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}']);
        prop_assert!(!is_hidden);
        prop_assert!(is_cut || clean(&text, usize::MAX).0 == kept);
    }
}
