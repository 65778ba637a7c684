//! Another key signs on: who trusts any of them can follow, and nobody else takes over.

use std::fs;

use audit::testing::MemorySink;
use audit::{AuditError, KeyChange, Log, SigningKey, VerifyError, prove, prove_growth, verify, verify_since};

use crate::support::{ORIGIN, Place, outcome, segments};

/// A closed log of three keys: a record under the first, two under each other.
async fn of_three_keys() -> (Place, Vec<audit::VerifyingKey>) {
    let place = Place::new();
    let mut keys = vec![place.verifying_key()];
    let log = place.open_with_segments(1).await;
    log.append(&outcome("0")).await.unwrap();
    for id in ["1", "2"] {
        keys.push(place.change_key(&log).await);
        log.append(&outcome(id)).await.unwrap();
    }
    log.close().await.unwrap();
    (place, keys)
}

#[tokio::test]
async fn a_log_is_verified_with_any_of_its_keys() {
    let (place, keys) = of_three_keys().await;
    for key in &keys {
        assert_eq!(verify(&place.dir(), key).unwrap().records, 5);
        let (record, proof) = prove(&place.dir(), key, &[0]).unwrap().remove(0);
        assert!(proof.check(record.as_bytes(), &keys[2]).is_ok(), "the newest key signs proofs");
    }
    let stranger = SigningKey::generate().unwrap().verifying_key();
    assert!(matches!(verify(&place.dir(), &stranger), Err(VerifyError::Tampered { .. })));
}

#[tokio::test]
async fn the_log_opens_with_its_newest_key_only() {
    let place = Place::new();
    let (old, log) = (place.key(), place.open().await);
    log.append(&outcome("0")).await.unwrap();
    let before = fs::read(place.dir().join("checkpoint")).unwrap();
    place.change_key(&log).await;
    log.close().await.unwrap();
    let sink = audit::SegmentFile::open(&place.dir()).unwrap();
    assert!(matches!(Log::open(sink, old, ORIGIN).await.map(drop), Err(AuditError::Checkpoint)));
    // As if the process had died before the new key signed a checkpoint.
    fs::write(place.dir().join("checkpoint"), before).unwrap();
    assert_eq!(place.verify().unwrap().unsigned, 2);
    let log = place.open().await;
    log.append(&outcome("1")).await.unwrap();
    log.close().await.unwrap();
    assert_eq!(place.verify().unwrap().records, 3);
}

#[tokio::test]
async fn a_mark_outlives_the_key_it_was_made_with() {
    let place = Place::new();
    let (first, log) = (place.verifying_key(), place.open().await);
    log.append(&outcome("0")).await.unwrap();
    let older = log.checkpoint().await.unwrap();
    let mark = place.verify().unwrap().mark;
    let second = place.change_key(&log).await;
    log.append(&outcome("1")).await.unwrap();
    log.checkpoint().await.unwrap();
    for key in [&first, &second] {
        let verified = verify_since(&place.dir(), key, &mark).unwrap();
        assert_eq!((verified.first, verified.records), (1, 3));
        let again = verify_since(&place.dir(), key, &verified.mark.to_string().parse().unwrap()).unwrap();
        assert_eq!((again.first, again.records), (3, 3));
    }
    let growth = prove_growth(&place.dir(), &first, &older).unwrap();
    assert_eq!(growth.check(&older, &second).unwrap().size(), 3);
}

#[tokio::test]
async fn a_change_counts_only_with_both_signatures_and_in_its_place() {
    let (place, _) = of_three_keys().await;
    let paths = segments(&place.dir());
    let change = fs::read_to_string(&paths[1]).unwrap();
    let signatures: Vec<&str> = change.split("\\n").filter(|line| line.starts_with('\u{2014}')).collect();
    assert_eq!(signatures.len(), 2);
    for spoilt in [
        change.replace(&format!("{}\\n", signatures[0]), ""),
        change.replace(&format!("{}\\n", signatures[1]), ""),
        change.replace("keychange", "act"),
        change.replace("{\"record\":\"keychange\"", "{ \"record\":\"keychange\""),
        fs::read_to_string(&paths[3]).unwrap(),
    ] {
        fs::write(&paths[1], &spoilt).unwrap();
        assert!(matches!(place.verify(), Err(VerifyError::Tampered { .. })), "{spoilt}");
    }
    fs::write(&paths[1], change).unwrap();
    place.verify().unwrap();
}

#[tokio::test]
async fn a_change_that_cannot_be_recorded_changes_nothing() {
    let sink = MemorySink::new();
    let log = Log::open(sink.clone(), SigningKey::generate().unwrap(), ORIGIN).await.unwrap();
    sink.set_broken(true);
    let new = SigningKey::generate().unwrap();
    let verifying = new.verifying_key();
    assert!(matches!(log.change_key(new, KeyChange::new("r", 1)).await, Err(AuditError::Unavailable)));
    sink.set_broken(false);
    let checkpoint = log.checkpoint().await.unwrap();
    assert_eq!(checkpoint.size(), 0);
    assert!(audit::Checkpoint::open(&checkpoint.to_string(), &verifying).is_err());
}
