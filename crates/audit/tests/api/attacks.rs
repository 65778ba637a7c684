//! Attacks on a trail, one test each, by their numbers in the list of attacks. 136, an operator who turns the
//! trail off, is the gateway's: a log has no switch but its end.

use std::fs;
use std::io::ErrorKind;

use audit::testing::MemorySink;
use audit::{
    Act, AuditError, ExportError, Log, MAX_RECORD_BYTES, Outcome, SegmentFile, SigningKey, VerifyError, export, find,
    open_intents, verify, verify_against, verify_since,
};
use serde_json::json;

use crate::removal::remove_oldest;
use crate::support::{ORIGIN, Place, intent, outcome, segments};

/// A change of the lines of a log.
type Attack = fn(&mut Vec<String>);

fn is_found<T>(verdict: &Result<T, VerifyError>) -> bool {
    matches!(verdict, Err(VerifyError::Tampered { .. } | VerifyError::Incomplete { .. }))
}

#[tokio::test]
async fn attack_125_records_are_flipped_deleted_inserted_swapped_cut_and_doubled() {
    let place = Place::filled(6, 1 << 20).await;
    let path = segments(&place.dir()).remove(0);
    let whole: Vec<String> = fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    let attacks: [(&str, Attack); 6] = [
        ("flipped", |lines| lines[3] = lines[3].replace("request_id\":\"1", "request_id\":\"9")),
        ("deleted", |lines| drop(lines.remove(5))),
        ("inserted", |lines| lines.insert(4, lines[0].replace("\"0\"", "\"x\""))),
        ("swapped", |lines| lines.swap(2, 3)),
        ("cut", |lines| lines.truncate(7)),
        ("doubled", |lines| lines.insert(8, lines[8].clone())),
    ];
    for (what, attack) in attacks {
        let mut lines = whole.clone();
        attack(&mut lines);
        assert_ne!(lines, whole);
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        assert!(is_found(&place.verify()), "{what}");
        assert!(place.try_open().await.is_err(), "{what}");
    }
}

#[tokio::test]
async fn attack_126_records_of_another_replica_or_time_are_spliced_in() {
    let (place, other) = (Place::filled(4, 1).await, Place::new());
    other.share_key(&place);
    let key = place.verifying_key();
    let kept = place.verify().unwrap();
    let sink = SegmentFile::open(&other.dir()).unwrap().segment_bytes(1);
    let log = Log::open(sink, other.key(), "gateway/other").await.unwrap();
    for at in 0..8 {
        log.append(&outcome(&at.to_string())).await.unwrap();
    }
    log.close().await.unwrap();
    let (own, theirs) = (segments(&place.dir()), segments(&other.dir()));
    fs::copy(&theirs[3], &own[3]).unwrap();
    assert!(is_found(&place.verify()), "one of its segments");
    for path in own.iter().zip(&theirs) {
        fs::copy(path.1, path.0).unwrap();
    }
    assert!(is_found(&place.verify()), "all of its segments");
    // All of it, signed by the same key: the name is another.
    fs::copy(other.dir().join("checkpoint"), place.dir().join("checkpoint")).unwrap();
    assert!(matches!(place.try_open().await, Err(AuditError::Checkpoint)));
    let note = kept.checkpoint.to_string();
    assert!(matches!(verify_against(&place.dir(), &key, &[&note]), Err(VerifyError::Foreign)));
    assert!(verify_since(&place.dir(), &key, &kept.mark).is_err());
    assert_eq!(place.verify().unwrap().checkpoint.origin(), "gateway/other");
}

#[tokio::test]
async fn attack_127_the_log_is_signed_anew_or_rolled_back() {
    let place = Place::filled(2, 1).await;
    let key = place.verifying_key();
    // Everything is written anew by somebody with a key of their own.
    let thief = Place::filled(2, 1).await;
    assert!(is_found(&verify(&thief.dir(), &key)));
    // Or by somebody with this key: only a checkpoint that was kept elsewhere tells.
    let before = place.verify().unwrap();
    let copy = Place::new();
    copy.share_key(&place);
    copy.open().await.append(&outcome("another history")).await.unwrap();
    let note = before.checkpoint.to_string();
    assert!(is_found(&verify_against(&copy.dir(), &key, &[&note])));
    // An old segment with its old checkpoint is a good log, but shorter than it was.
    let old: Vec<_> =
        crate::support::files(&place.dir()).iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    let log = place.open_with_segments(1).await;
    log.append(&outcome("later")).await.unwrap();
    log.close().await.unwrap();
    let after = place.verify().unwrap();
    fs::remove_dir_all(place.dir()).unwrap();
    fs::create_dir(place.dir()).unwrap();
    old.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    assert_eq!(place.verify().unwrap().records, 4, "it says nothing by itself");
    let note = after.checkpoint.to_string();
    let rolled_back = verify_against(&place.dir(), &key, &[&note]);
    assert!(matches!(rolled_back, Err(VerifyError::Incomplete { have: 4, want: Some(5) })));
    let rolled_back = verify_since(&place.dir(), &key, &after.mark);
    assert!(matches!(rolled_back, Err(VerifyError::Incomplete { have: 4, want: Some(5) })));
    let verified = verify_against(&place.dir(), &key, &[&before.checkpoint.to_string()]).unwrap();
    assert_eq!(verified.records, 4);
}

#[tokio::test]
async fn attack_128_two_write_one_log() {
    let place = Place::new();
    let log = place.open().await;
    log.append(&outcome("r")).await.unwrap();
    assert!(matches!(place.try_open().await, Err(AuditError::InUse)));
    // A sink that was taken over by another holder, as a database tells.
    let sink = MemorySink::new();
    let lost = Log::open(sink.clone(), place.key(), ORIGIN).await.unwrap();
    sink.take_over();
    assert!(matches!(lost.append(&outcome("late")).await, Err(AuditError::Closed)));
    assert!(sink.records().is_empty());
}

#[tokio::test]
async fn attack_129_the_process_is_killed_between_write_sync_and_answer() {
    let place = Place::filled(2, 1 << 20).await;
    let path = segments(&place.dir()).remove(0);
    let checkpoint = fs::read(place.dir().join("checkpoint")).unwrap();
    let acknowledged = fs::read(&path).unwrap();
    let batch = format!(
        "{}\n{}\n",
        json!({"record": "intent", "request_id": "a"}),
        json!({"record": "act", "request_id": "b"})
    );
    let first = batch.find('\n').unwrap() + 1;
    // Whatever part of the last write reached the disk: what was answered stays, the rest is whole or gone.
    for reached in 0..=batch.len() {
        fs::write(&path, [&acknowledged, &batch.as_bytes()[..reached]].concat()).unwrap();
        fs::write(place.dir().join("checkpoint"), &checkpoint).unwrap();
        let whole = u64::from(reached >= first) + u64::from(reached == batch.len());
        let log = place.open().await;
        log.close().await.unwrap();
        // An intent that was never sent on is closed, as every one.
        let closed = u64::from(whole > 0);
        assert_eq!(place.verify().unwrap().records, 4 + whole + closed, "{reached}");
        assert!(fs::read(&path).unwrap().starts_with(&acknowledged));
        assert!(open_intents(&place.dir()).unwrap().is_empty());
    }
}

#[tokio::test]
async fn attack_130_the_last_line_is_torn() {
    let place = Place::filled(2, 1 << 20).await;
    let path = segments(&place.dir()).remove(0);
    let whole = fs::read(&path).unwrap();
    // After the checkpoint it is cut off; below, a record is missing.
    fs::write(&path, [&whole[..], b"{\"record\":\"outc"].concat()).unwrap();
    place.open().await.close().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
    fs::write(&path, &whole[..whole.len() - 4]).unwrap();
    assert!(matches!(place.try_open().await, Err(AuditError::Truncated { have: 3, want: 4 })));
}

/// By a sink that is told how to fail; `segments::a_full_disk_leaves_no_half_record` has the kernel's `/dev/full`.
#[tokio::test]
async fn attack_131_the_disk_is_full_broken_read_only_or_slow() {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::ReadOnlyFilesystem, ErrorKind::TimedOut] {
        let sink = MemorySink::new();
        let log = Log::open(sink.clone(), SigningKey::generate().unwrap(), ORIGIN).await.unwrap();
        sink.break_with(kind);
        assert!(matches!(log.append(&outcome("refused")).await, Err(AuditError::Unavailable)), "{kind}");
        let kept = log.keep(&outcome("kept")).unwrap();
        assert!(matches!(log.append(&outcome("refused")).await, Err(AuditError::Unavailable)), "{kind}");
        assert_eq!((log.waiting(), log.is_healthy()), (1, false), "{kind}");
        sink.set_broken(false);
        // Nobody appends: the log tries again by itself.
        assert_eq!(kept.durable().await.unwrap().index(), 0);
        assert_eq!((log.waiting(), log.is_healthy(), sink.records().len()), (0, true, 1), "{kind}");
    }
}

#[tokio::test]
async fn attack_132_a_record_is_too_long_or_holds_another() {
    let place = Place::new();
    let log = place.open().await;
    let mut long = Act::new("long", 1);
    long.detail = Some("\u{0}".repeat(MAX_RECORD_BYTES / 6));
    assert!(matches!(log.append(&long.into()).await, Err(AuditError::TooLong)), "escapes count");
    let forged = "{\"record\":\"intent\",\"request_id\":\"forged\"}";
    let mut nested = Act::new("nested", 1);
    nested.detail = Some(format!("\n{forged}\r\n{{\"record\":\"keychange\",\"note\":\"x\"}}\n"));
    nested.before = Some(serde_json::from_str(forged).unwrap());
    nested.who.tenant = Some(forged.to_owned());
    log.append(&nested.into()).await.unwrap();
    log.close().await.unwrap();
    assert_eq!(place.verify().unwrap().records, 1);
    assert_eq!(find(&place.dir(), "nested").unwrap().len(), 1);
    assert!(find(&place.dir(), "forged").unwrap().is_empty());
    assert!(open_intents(&place.dir()).unwrap().is_empty());
}

#[tokio::test]
async fn attack_133_the_clock_goes_back() {
    let place = Place::new();
    let log = place.open_with_segments(1).await;
    for at in [1_000, u64::MAX, 0, 500] {
        log.append(&Outcome::new(at.to_string(), at).into()).await.unwrap();
    }
    log.close().await.unwrap();
    let mut order = Vec::new();
    let mut each = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        order.push((line["index"].as_u64().unwrap(), line["record"]["at"].as_u64().unwrap()));
        Ok(())
    };
    export(&place.dir(), 0, &mut each).unwrap();
    assert_eq!(order, [(0, 1_000), (1, u64::MAX), (2, 0), (3, 500)], "the order is that of the log");
    // Of files that are out of order by their times only the beginning goes.
    let log = place.open_with_segments(1).await;
    let paths = segments(&place.dir());
    fs::File::options().append(true).open(&paths[2]).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(remove_oldest(&place, &log, 1).await.unwrap(), 1);
    assert_eq!(place.verify().unwrap().first, 1);
}

#[tokio::test]
async fn attack_134_records_are_exported_twice_or_their_receipt_is_lost() {
    let place = Place::filled(5, 300).await;
    let mut arrived: Vec<String> = Vec::new();
    let mut cursor = 0;
    // It fails once after every record: what arrived may come again, with the same id and the same bytes.
    for fails_at in 0..=10 {
        let mut left = fails_at;
        let exported = export(&place.dir(), cursor, &mut |line| {
            arrived.push(line.to_owned());
            left -= 1;
            if left < 0 { Err(ErrorKind::ConnectionReset.into()) } else { Ok(()) }
        });
        match exported {
            Err(ExportError::Io(error)) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
            done => cursor = done.unwrap(),
        }
    }
    assert_eq!(cursor, 10);
    assert!(arrived.len() > 10);
    arrived.sort();
    arrived.dedup();
    let id = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap()["index"].as_u64().unwrap();
    let mut ids: Vec<u64> = arrived.iter().map(id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_135_records_are_removed_while_they_are_exported_and_verified() {
    let place = Place::filled(8, 1).await;
    let log = place.open_with_segments(1).await;
    let (dir, runtime) = (place.dir(), tokio::runtime::Handle::current());
    let mut seen = Vec::new();
    // After the second record the first ten go.
    let exported = tokio::task::block_in_place(|| {
        export(&dir, 0, &mut |line| {
            seen.push(serde_json::from_str::<serde_json::Value>(line).unwrap()["index"].as_u64().unwrap());
            if seen.len() == 2 {
                runtime.block_on(remove_oldest(&place, &log, 10)).unwrap();
            }
            Ok(())
        })
    });
    // It says what it did not see.
    assert!(matches!(exported, Err(ExportError::Removed { first: 10 })));
    assert_eq!(seen, [0, 1]);
    assert_eq!(export(&dir, 10, &mut |_| Ok(())).unwrap(), 16);
    // Whoever verifies meanwhile reads the old beginning or the new one.
    let key = place.verifying_key();
    let verifying = tokio::task::spawn_blocking(move || {
        let mut first = 10;
        while first < 15 {
            let verified = verify(&dir, &key).unwrap();
            assert!(verified.first >= first && verified.records >= 16);
            first = verified.first;
        }
    });
    for _ in 0..5 {
        remove_oldest(&place, &log, 1).await.unwrap();
        log.append(&intent("more")).await.unwrap();
    }
    verifying.await.unwrap();
}
