//! The files: what a crash, a second process or a lost disk does to them.

use std::fs::{self, OpenOptions};
use std::io::Write;

use audit::{AuditError, Log, Record, SegmentFile, Sink, VerifyError, find, verify};

use crate::support::{ORIGIN, Place, intent, outcome, segments};

#[tokio::test]
async fn reopening_goes_on_with_the_tree() {
    let place = Place::new();
    let mut roots = Vec::new();
    for start in 0..4 {
        let log = place.open().await;
        log.append(&outcome(&start.to_string())).await.unwrap();
        let checkpoint = log.checkpoint().await.unwrap();
        assert_eq!(checkpoint.size(), start + 1);
        roots.push(*checkpoint.root());
        log.close().await.unwrap();
    }
    let verified = verify(&place.dir(), &place.verifying_key()).unwrap();
    assert_eq!((verified.records, verified.root, verified.unsigned), (4, roots[3], 0));
    assert_eq!(segments(&place.dir()).len(), 1);
}

#[tokio::test]
async fn long_logs_have_many_segments() {
    let place = Place::filled(20, 1_000).await;
    assert!(segments(&place.dir()).len() > 5);
    assert_eq!(verify(&place.dir(), &place.verifying_key()).unwrap().records, 40);
    let log = place.open().await;
    assert_eq!(log.append(&outcome("more")).await.unwrap().index(), 40);
}

#[tokio::test]
async fn a_torn_tail_is_cut_off() {
    let place = Place::filled(3, 1 << 20).await;
    let path = segments(&place.dir()).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    for tail in [&b"{"[..], b"{\"record\":\"intent\",\"request_id\":\"torn\"}", b"\0\0\0\0", b"\xff"] {
        OpenOptions::new().append(true).open(&path).unwrap().write_all(tail).unwrap();
        assert_eq!(verify(&place.dir(), &place.verifying_key()).unwrap().records, 6, "what was signed is there");
        place.open().await.close().await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
}

#[tokio::test]
async fn records_after_the_checkpoint_are_kept() {
    let place = Place::filled(3, 1 << 20).await;
    let old = fs::read(place.dir().join("checkpoint")).unwrap();
    let log = place.open().await;
    log.append(&outcome("late")).await.unwrap();
    log.close().await.unwrap();
    // As if the process had died before the second checkpoint.
    fs::write(place.dir().join("checkpoint"), old).unwrap();
    let verified = verify(&place.dir(), &place.verifying_key()).unwrap();
    assert_eq!((verified.records, verified.unsigned), (6, 1));
    place.open().await.close().await.unwrap();
    assert_eq!(verify(&place.dir(), &place.verifying_key()).unwrap().records, 7);
}

#[tokio::test]
async fn one_process_at_a_time() {
    let place = Place::new();
    let log = place.open().await;
    assert!(matches!(SegmentFile::open(&place.dir()), Err(AuditError::InUse)));
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_segment_that_is_taken_away_is_unavailable() {
    let place = Place::new();
    let log = place.open().await;
    log.append(&outcome("kept")).await.unwrap();
    let path = segments(&place.dir()).pop().unwrap();
    let away = path.with_extension("away");
    fs::rename(&path, &away).unwrap();
    assert!(matches!(log.append(&outcome("lost")).await, Err(AuditError::Unavailable)));
    assert!(!log.is_healthy());
    fs::rename(&away, &path).unwrap();
    assert_eq!(log.append(&outcome("put back")).await.unwrap().index(), 1);
    fs::remove_file(&path).unwrap();
    assert!(matches!(log.append(&outcome("lost")).await, Err(AuditError::Unavailable)));
    log.close().await.unwrap();
    assert!(matches!(place.try_open().await, Err(AuditError::Truncated { have: 0, want: 2 })));
}

/// A full disk, as the kernel has it: every write to it fails.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_leaves_no_half_record() {
    let place = Place::new();
    fs::create_dir_all(place.dir()).unwrap();
    let next = place.dir().join("00000000000000000001.jsonl");
    let sink = SegmentFile::open(&place.dir()).unwrap().segment_bytes(1);
    let log = Log::open(sink, place.key(), ORIGIN).await.unwrap();
    log.append(&outcome("before")).await.unwrap();
    std::os::unix::fs::symlink("/dev/full", &next).unwrap();
    assert!(matches!(log.append(&outcome("lost")).await, Err(AuditError::Unavailable)));
    assert!(matches!(log.append(&outcome("lost")).await, Err(AuditError::Unavailable)));
    fs::remove_file(&next).unwrap();
    assert_eq!(log.append(&outcome("after")).await.unwrap().index(), 1);
    log.close().await.unwrap();
    assert_eq!(verify(&place.dir(), &place.verifying_key()).unwrap().records, 2);
}

#[tokio::test]
async fn an_append_that_failed_is_never_replayed() {
    let place = Place::new();
    let mut sink = SegmentFile::open(&place.dir()).unwrap();
    sink.append(&["{}".to_owned()]).await.unwrap();
    let path = segments(&place.dir()).pop().unwrap();
    // What an interrupted write leaves behind while the file is open.
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"ha").unwrap();
    let mut count = 0;
    let mut each = |_: &[u8]| {
        count += 1;
        Ok(())
    };
    sink.replay(&mut each).await.unwrap();
    sink.append(&["[]".to_owned()]).await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"{}\n[]\n");
    assert_eq!(count, 1);
}

#[tokio::test]
async fn files_are_private() {
    let place = Place::filled(1, 1 << 20).await;
    #[cfg(unix)]
    for path in crate::support::files(&place.dir()) {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
    }
}

#[tokio::test]
async fn a_request_is_found_across_segments() {
    let place = Place::new();
    let sink = SegmentFile::open(&place.dir()).unwrap().segment_bytes(1);
    let log = Log::open(sink, place.key(), ORIGIN).await.unwrap();
    for record in [intent("a"), intent("b"), outcome("a"), outcome("b"), intent("ab"), outcome("ab")] {
        log.append(&record).await.unwrap();
    }
    assert_eq!(find(&place.dir(), "a").unwrap(), [intent("a"), outcome("a")]);
    assert_eq!(find(&place.dir(), "ab").unwrap(), [intent("ab"), outcome("ab")]);
    assert_eq!(find(&place.dir(), "acme").unwrap(), [] as [Record; 0], "other fields do not count");
    assert_eq!(find(&place.dir(), "\"").unwrap(), [] as [Record; 0]);
    assert!(matches!(find(&place.dir().join("missing"), "a"), Err(AuditError::Io(_))));
}

#[test]
fn nothing_is_incomplete() {
    let place = Place::new();
    assert!(matches!(verify(&place.dir(), &place.verifying_key()), Err(VerifyError::Io(_))));
    fs::create_dir(place.dir()).unwrap();
    let verified = verify(&place.dir(), &place.verifying_key());
    assert!(matches!(verified, Err(VerifyError::Incomplete { have: 0, want: None })));
}
