//! Removing the oldest segments: what stays still verifies, and only what the log's key removed may be missing.

use std::fs;
use std::time::{Duration, SystemTime};

use audit::{
    AuditError, Log, SegmentFile, VerifyError, VerifyingKey, find, open_intents, prove, removable, verify,
    verify_against, verify_since,
};

use crate::support::{ORIGIN, Place, intent, outcome, segments};

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(60)
}

/// Makes the oldest `count` segments look old, and removes what may be removed.
pub(crate) async fn remove_oldest(place: &Place, log: &Log, count: usize) -> Result<u64, AuditError> {
    let long_ago = SystemTime::now() - Duration::from_secs(10_000);
    for path in segments(&place.dir()).iter().take(count) {
        fs::File::options().append(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    let before = long_ago + Duration::from_secs(1);
    let removal = removable(&place.dir(), &place.verifying_key(), before).unwrap().unwrap();
    let records = removal.records();
    log.remove(removal).await.map(|()| records)
}

#[tokio::test]
async fn the_rest_verifies_and_goes_on() {
    for (requests, count) in [(4, 1), (4, 3), (8, 7), (8, 12), (8, 15)] {
        let place = Place::filled(requests, 1).await;
        let (kept, log) = (place.verify().unwrap(), place.open_with_segments(1).await);
        let removed = remove_oldest(&place, &log, count).await.unwrap();
        assert_eq!(removed, count as u64);
        let verified = verify_against(&place.dir(), &place.verifying_key(), &[&kept.checkpoint.to_string()]).unwrap();
        assert_eq!((verified.first, verified.records), (removed, u64::from(requests) * 2));
        assert_eq!(verify_since(&place.dir(), &place.verifying_key(), &kept.mark).unwrap().first, kept.records);
        log.append(&outcome("more")).await.unwrap();
        log.close().await.unwrap();
        let log = place.open_with_segments(1).await;
        log.append(&outcome("even more")).await.unwrap();
        let newest = log.checkpoint().await.unwrap();
        let rest: Vec<u64> = (removed..newest.size()).collect();
        for (record, proof) in prove(&place.dir(), &place.verifying_key(), &rest).unwrap() {
            assert_eq!(proof.check(record.as_bytes(), &place.verifying_key()), Ok(&newest));
        }
        let gone = prove(&place.dir(), &place.verifying_key(), &[removed - 1]);
        assert!(matches!(gone, Err(VerifyError::Before { first }) if first == removed));
        // And once more, on top of the first stub.
        let removed = remove_oldest(&place, &log, 1).await.unwrap();
        assert_eq!(place.verify().unwrap().first, removed);
    }
}

#[tokio::test]
async fn only_ended_segments_of_the_given_age_go() {
    let place = Place::filled(3, 1).await;
    let key = place.verifying_key();
    assert!(removable(&place.dir(), &key, SystemTime::UNIX_EPOCH).unwrap().is_none());
    assert_eq!(removable(&place.dir(), &key, later()).unwrap().unwrap().records(), 5, "the newest is not ended");
    let whole = Place::filled(3, 1 << 20).await;
    assert!(removable(&whole.dir(), &whole.verifying_key(), later()).unwrap().is_none());
    // What does not verify is evidence.
    let path = &segments(&place.dir())[4];
    fs::write(path, fs::read_to_string(path).unwrap().replace('2', "3")).unwrap();
    assert!(matches!(removable(&place.dir(), &key, later()), Err(VerifyError::Tampered { .. })));
}

#[tokio::test]
async fn age_ends_segments() {
    let place = Place::new();
    let sink = SegmentFile::open(&place.dir()).unwrap().segment_age(Duration::ZERO);
    let log = Log::open(sink, place.key(), ORIGIN).await.unwrap();
    for at in 0..3 {
        log.append(&outcome(&at.to_string())).await.unwrap();
    }
    assert_eq!(segments(&place.dir()).len(), 3);
}

#[tokio::test]
async fn nobody_else_removes() {
    let place = Place::filled(4, 1).await;
    let other = Place::filled(4, 1).await;
    let log = place.open_with_segments(1).await;
    remove_oldest(&place, &log, 2).await.unwrap();
    log.close().await.unwrap();
    let stub = fs::read_to_string(place.dir().join("stub")).unwrap();
    let is_found = |verdict: Result<audit::Verified, VerifyError>| {
        matches!(verdict, Err(VerifyError::Tampered { .. } | VerifyError::Incomplete { .. }))
    };
    for at in 0..stub.len() {
        let mut bytes = stub.clone().into_bytes();
        bytes[at] ^= 1;
        fs::write(place.dir().join("stub"), bytes).unwrap();
        assert!(is_found(place.verify()), "{at}");
    }
    fs::remove_file(place.dir().join("stub")).unwrap();
    assert!(is_found(place.verify()));
    assert!(place.try_open().await.is_err());
    // The mark of a verification is no permission, nor the stub of another log.
    let mark = verify(&other.dir(), &other.verifying_key()).unwrap().mark.to_string();
    for forged in [mark, stub.clone()] {
        fs::write(other.dir().join("stub"), forged).unwrap();
        for path in segments(&other.dir()).iter().take(2) {
            let _ = fs::remove_file(path);
        }
        assert!(is_found(other.verify()));
        assert!(other.try_open().await.is_err());
    }
    fs::write(place.dir().join("stub"), stub).unwrap();
    fs::remove_file(&segments(&place.dir())[0]).unwrap();
    assert!(is_found(place.verify()), "one more than the stub says");
}

#[tokio::test]
async fn a_removal_that_was_interrupted_is_completed() {
    let place = Place::filled(4, 1).await;
    let path = segments(&place.dir()).remove(1);
    let record = fs::read(&path).unwrap();
    let log = place.open_with_segments(1).await;
    remove_oldest(&place, &log, 3).await.unwrap();
    log.close().await.unwrap();
    // As if the process had died between the stub and the last file.
    fs::write(&path, record).unwrap();
    assert_eq!(place.verify().unwrap().first, 3);
    let log = place.open_with_segments(1).await;
    assert_eq!(remove_oldest(&place, &log, 3).await.unwrap(), 5);
    assert!(!path.exists());
    assert_eq!(place.verify().unwrap().first, 5);
}

#[tokio::test]
async fn removed_changes_of_keys_are_still_followed() {
    let place = Place::new();
    let mut keys: Vec<VerifyingKey> = vec![place.verifying_key()];
    let log = place.open_with_segments(1).await;
    for at in 0..6 {
        log.append(&outcome(&at.to_string())).await.unwrap();
        keys.push(place.change_key(&log).await);
    }
    log.checkpoint().await.unwrap();
    remove_oldest(&place, &log, 7).await.unwrap();
    for key in &keys {
        assert_eq!(verify(&place.dir(), key).unwrap().first, 7);
    }
    log.close().await.unwrap();
    place.open().await;
}

#[tokio::test]
async fn a_key_that_was_replaced_removes_nothing_of_its_successor() {
    let place = Place::new();
    let (old, log) = (place.key(), place.open_with_segments(1).await);
    log.append(&outcome("0")).await.unwrap();
    place.change_key(&log).await;
    for at in 1..4 {
        log.append(&outcome(&at.to_string())).await.unwrap();
    }
    log.close().await.unwrap();
    let removal = || removable(&place.dir(), &place.verifying_key(), later()).unwrap().unwrap();
    // The old key signs a stub over the same records, in a log of the same name.
    let thief = Place::new();
    let sink = SegmentFile::open(&thief.dir()).unwrap().segment_bytes(1);
    let log = Log::open(sink, old, ORIGIN).await.unwrap();
    for at in 0..5 {
        log.append(&outcome(&at.to_string())).await.unwrap();
    }
    log.remove(removal()).await.unwrap();
    fs::copy(thief.dir().join("stub"), place.dir().join("stub")).unwrap();
    assert!(matches!(place.verify(), Err(VerifyError::Tampered { .. })));
    fs::remove_file(place.dir().join("stub")).unwrap();
    // The new one may.
    let log = place.open_with_segments(1).await;
    log.remove(removal()).await.unwrap();
    assert_eq!(place.verify().unwrap().first, 4);
}

#[tokio::test]
async fn looking_up_goes_on_with_what_is_left() {
    let place = Place::new();
    let log = place.open_with_segments(1).await;
    for record in [intent("a"), outcome("a"), intent("b"), intent("c"), outcome("c")] {
        log.append(&record).await.unwrap();
    }
    log.checkpoint().await.unwrap();
    assert_eq!(open_intents(&place.dir()).unwrap(), [(2, "b".to_owned())]);
    remove_oldest(&place, &log, 1).await.unwrap();
    assert_eq!(open_intents(&place.dir()).unwrap(), [(2, "b".to_owned())]);
    assert_eq!(find(&place.dir(), "a").unwrap(), [outcome("a")]);
}

#[tokio::test]
async fn a_removal_of_another_log_is_refused() {
    let (place, other) = (Place::filled(2, 1).await, Place::new());
    let log = Log::open(SegmentFile::open(&other.dir()).unwrap(), other.key(), "gateway/other").await.unwrap();
    log.append(&outcome("r")).await.unwrap();
    let removal = removable(&place.dir(), &place.verifying_key(), later()).unwrap().unwrap();
    assert!(matches!(log.remove(removal).await, Err(AuditError::Origin)));
}
