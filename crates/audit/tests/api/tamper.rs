//! Whatever is done to a closed log is found, by `verify` and by the next start.

use std::fs;

use audit::{AuditError, SigningKey, VerifyError, verify};

use crate::support::{Place, segments};

fn verdict(place: &Place) -> Result<u64, VerifyError> {
    verify(&place.dir(), &place.verifying_key()).map(|verified| verified.records)
}

async fn assert_found(place: &Place, what: &str) {
    let verdict = verdict(place);
    assert!(
        matches!(verdict, Err(VerifyError::Tampered { .. } | VerifyError::Incomplete { .. })),
        "{what}: {verdict:?}"
    );
    let opened = place.try_open().await.map(drop);
    let is_found = matches!(
        opened,
        Err(AuditError::Tampered { .. } | AuditError::Truncated { .. } | AuditError::Checkpoint | AuditError::Io(_))
    );
    assert!(is_found, "{what}: {opened:?}");
}

#[tokio::test]
async fn every_byte_counts() {
    let place = Place::filled(2, 200).await;
    let mut paths = segments(&place.dir());
    assert!(paths.len() > 1);
    paths.push(place.dir().join("checkpoint"));
    for path in paths {
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for flip in [1, 0x20, 0x80] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                fs::write(&path, &bytes).unwrap();
                let verdict = verdict(&place);
                assert!(
                    matches!(verdict, Err(VerifyError::Tampered { .. } | VerifyError::Incomplete { .. })),
                    "{path:?} at {at}: {verdict:?}"
                );
            }
        }
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(verdict(&place).unwrap(), 4);
}

#[tokio::test]
async fn lines_are_neither_moved_nor_removed_nor_added() {
    let place = Place::filled(4, 1 << 20).await;
    let path = segments(&place.dir()).pop().unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let without_first = lines[1..].to_vec();
    let without_last = lines[..7].to_vec();
    let swapped = [&lines[1..2], &lines[..1], &lines[2..]].concat();
    let repeated = [&lines[..1], &lines[..]].concat();
    let forged = [&["{\"record\":\"act\",\"request_id\":\"x\"}"], &lines[..7]].concat();
    let (empty, blank) = (vec![], [&lines[..4], &[""], &lines[4..]].concat());
    for (what, lines) in [
        ("without first", without_first),
        ("without last", without_last),
        ("swapped", swapped),
        ("repeated", repeated),
        ("forged", forged),
        ("empty", empty),
        ("blank", blank),
    ] {
        fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        assert_found(&place, what).await;
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(verdict(&place).unwrap(), 8);
}

#[tokio::test]
async fn truncation_below_the_checkpoint_is_incomplete() {
    let place = Place::filled(4, 1 << 20).await;
    let path = segments(&place.dir()).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(&path, &whole[..second]).unwrap();
    assert!(matches!(verdict(&place), Err(VerifyError::Incomplete { have: 1, want: Some(8) })));
    assert!(matches!(place.try_open().await.map(drop), Err(AuditError::Truncated { have: 1, want: 8 })));
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(verdict(&place), Err(VerifyError::Incomplete { have: 7, want: Some(8) })));
}

#[tokio::test]
async fn segments_are_neither_removed_nor_renamed_nor_spliced() {
    for at in 0..4 {
        let place = Place::filled(2, 1).await;
        fs::remove_file(&segments(&place.dir())[at]).unwrap();
        assert_found(&place, "removed").await;
    }
    let place = Place::filled(2, 1).await;
    let path = &segments(&place.dir())[1];
    fs::write(path, [fs::read(path).unwrap(), b"{\"half".to_vec()].concat()).unwrap();
    assert_found(&place, "half a line in an old segment").await;
    let place = Place::filled(2, 1).await;
    let paths = segments(&place.dir());
    fs::rename(&paths[3], place.dir().join("00000000000000000009.jsonl")).unwrap();
    assert_found(&place, "renamed").await;
    let (place, other) = (Place::filled(2, 1).await, Place::filled(3, 1).await);
    fs::copy(&segments(&other.dir())[4], &segments(&place.dir())[2]).unwrap();
    assert_found(&place, "spliced").await;
}

#[tokio::test]
async fn another_key_signs_nothing() {
    let (place, other) = (Place::filled(2, 1 << 20).await, Place::filled(2, 1 << 20).await);
    let theirs = SigningKey::generate().unwrap().verifying_key();
    assert!(matches!(verify(&place.dir(), &theirs), Err(VerifyError::Tampered { .. })));
    fs::copy(other.dir().join("checkpoint"), place.dir().join("checkpoint")).unwrap();
    assert_found(&place, "signed by another").await;
}

#[tokio::test]
async fn a_log_without_its_checkpoint_is_incomplete() {
    let place = Place::filled(2, 1 << 20).await;
    fs::remove_file(place.dir().join("checkpoint")).unwrap();
    assert!(matches!(verdict(&place), Err(VerifyError::Incomplete { have: 4, want: None })));
    assert!(matches!(place.try_open().await.map(drop), Err(AuditError::Checkpoint)));
}
