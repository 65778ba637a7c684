//! The crate's behaviour through its public face, on real files.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use audit::testing::MemorySink;
use audit::*;
use proptest::prelude::*;

const ORIGIN: &str = "test/one";

async fn open(folder: &Path) -> Result<Log, AuditError> {
    let key = SigningKey::load_or_create(&folder.join("key"))?;
    Log::open(SegmentFile::open(&folder.join("log"))?, key, ORIGIN).await
}

fn act(id: &str) -> Record {
    let mut act = Act::new(id.to_owned(), 7);
    act.act = "test".to_owned();
    Record::Act(act)
}

fn intent(id: &str) -> Record {
    Record::Intent(Intent::new(id.to_owned(), 7))
}

fn outcome(id: &str) -> Record {
    Record::Outcome(Outcome::new(id.to_owned(), 8))
}

async fn written(folder: &Path, count: usize) -> VerifyingKey {
    let log = open(folder).await.unwrap();
    for n in 0..count {
        let receipt = log.append(&act(&format!("r{n}"))).await.unwrap();
        assert_eq!(receipt.index(), n as u64);
    }
    log.close().await.unwrap();
    log.verifying_key().clone()
}

fn segment(folder: &Path) -> std::path::PathBuf {
    folder.join("log/00000001.jsonl")
}

#[tokio::test]
async fn what_has_a_receipt_is_there_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let key = written(folder.path(), 5).await;
    let verified = verify(&folder.path().join("log"), &key).unwrap();
    assert_eq!((verified.records, verified.signed), (5, 5));
    let again: VerifyingKey = key.to_string().parse().unwrap();
    assert_eq!(again, key);
    assert!(key.to_string().replace("test/one", "test/two").parse::<VerifyingKey>().is_err());
}

#[tokio::test]
async fn reopening_continues_the_tree() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 3).await;
    let log = open(folder.path()).await.unwrap();
    assert_eq!(log.append(&act("more")).await.unwrap().index(), 3);
    assert_eq!(log.checkpoint().await.unwrap().size(), 4);
    let verified = verify(&folder.path().join("log"), log.verifying_key()).unwrap();
    assert_eq!((verified.records, verified.signed), (4, 4));
    log.close().await.unwrap();
    assert!(matches!(log.append(&act("late")).await, Err(AuditError::Closed)));
}

#[tokio::test]
async fn any_changed_byte_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let key = written(folder.path(), 3).await;
    let file = segment(folder.path());
    let good = fs::read(&file).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&file, &bad).unwrap();
        assert!(verify(&folder.path().join("log"), &key).is_err(), "byte {at}");
    }
    fs::write(&file, &good).unwrap();
    assert!(verify(&folder.path().join("log"), &key).is_ok());
    let other = SigningKey::generate().unwrap().verifying_key(ORIGIN);
    assert!(matches!(verify(&folder.path().join("log"), &other), Err(VerifyError::Incomplete { .. })));
}

#[tokio::test]
async fn missing_records_are_found_and_the_log_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let key = written(folder.path(), 3).await;
    let file = segment(folder.path());
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&file, format!("{}\n{}\n", lines[0], lines[1])).unwrap();
    let missing = verify(&folder.path().join("log"), &key);
    assert_eq!(missing, Err(VerifyError::Incomplete { problem: "records are missing at the end" }));
    assert!(matches!(open(folder.path()).await, Err(AuditError::Tampered { at: 3 })));
    fs::write(&file, format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1])).unwrap();
    assert_eq!(verify(&folder.path().join("log"), &key), Err(VerifyError::Tampered { at: 3 }));
}

#[tokio::test]
async fn half_a_line_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let key = written(folder.path(), 2).await;
    let file = segment(folder.path());
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str(r#"{"record":"act","request_id":"to"#);
    fs::write(&file, text).unwrap();
    let log = open(folder.path()).await.unwrap();
    assert_eq!(log.append(&act("next")).await.unwrap().index(), 2);
    log.close().await.unwrap();
    assert_eq!(verify(&folder.path().join("log"), &key).unwrap().records, 3);
}

#[tokio::test]
async fn an_intent_without_outcome_becomes_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await.unwrap();
    for record in [intent("a"), intent("b"), outcome("a")] {
        let _ = log.append(&record).await.unwrap();
    }
    drop(log);
    let log = open(folder.path()).await.unwrap();
    let found = find(&folder.path().join("log"), "b").unwrap();
    assert!(matches!(&found[..], [Record::Intent(_), Record::Outcome(last)] if last.ended == Ended::Unknown));
    assert_eq!(find(&folder.path().join("log"), "a").unwrap().len(), 2);
    assert!(find(&folder.path().join("log"), "c").unwrap().is_empty());
    log.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_share_one_order() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|writer| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut indexes = Vec::new();
                for n in 0..20 {
                    indexes.push(log.append(&act(&format!("w{writer}-{n}"))).await.unwrap().index());
                }
                assert!(indexes.is_sorted());
                indexes
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (0..1280).collect::<Vec<u64>>());
    log.close().await.unwrap();
    assert_eq!(verify(&folder.path().join("log"), log.verifying_key()).unwrap().records, 1280);
}

#[tokio::test]
async fn a_broken_sink_refuses_and_recovers() {
    let sink = MemorySink::default();
    let log = Log::open(sink.clone(), SigningKey::generate().unwrap(), ORIGIN).await.unwrap();
    let _ = log.append(&act("a")).await.unwrap();
    sink.break_it(true);
    assert!(matches!(log.append(&act("b")).await, Err(AuditError::Unavailable)));
    assert!(!log.is_healthy());
    sink.break_it(false);
    assert_eq!(log.append(&act("c")).await.unwrap().index(), 1);
    assert!(log.is_healthy());
    assert_eq!(sink.lines().len(), 2);
    log.close().await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_full_disk_stores_nothing_of_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("log")).unwrap();
    std::os::unix::fs::symlink("/dev/full", segment(folder.path())).unwrap();
    let key = SigningKey::generate().unwrap();
    let log = Log::open(SegmentFile::open(&folder.path().join("log")).unwrap(), key, ORIGIN).await;
    match log {
        Ok(log) => assert!(matches!(log.append(&act("a")).await, Err(AuditError::Unavailable))),
        Err(error) => assert!(matches!(error, AuditError::Unavailable)),
    }
}

#[cfg(unix)]
#[test]
fn key_files_are_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let key = DigestKey::load_or_create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(DigestKey::load_or_create(&path).unwrap().digest("t", b"x"), key.digest("t", b"x"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(DigestKey::load_or_create(&path), Err(AuditError::KeyFile { .. })));
}

#[test]
fn digests_are_of_tenant_and_bytes() {
    let key = DigestKey::generate().unwrap();
    assert_eq!(key.digest("a", b"x"), key.digest("a", b"x"));
    assert_ne!(key.digest("a", b"x"), key.digest("b", b"x"));
    assert_ne!(key.digest("a", b"x"), DigestKey::generate().unwrap().digest("a", b"x"));
    assert_eq!(key.digest("a", b"x").len(), 32);
}

proptest! {
    #[test]
    fn cleaned_texts_are_bounded_and_visible(text in any::<String>(), max in 0_usize..64) {
        let (clean, cut) = clean(&text, max);
        prop_assert!(clean.len() <= max);
        prop_assert!(!clean.chars().any(char::is_control));
        prop_assert!(cut || clean.len() >= text.len());
    }
}
