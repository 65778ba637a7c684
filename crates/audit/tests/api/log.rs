//! Appending: durable, in order, together; and what happens when it fails.

use std::task::{Context, Waker};

use audit::testing::MemorySink;
use audit::{Act, AuditError, Ended, Log, Record, SegmentFile, SigningKey};

use crate::support::{ORIGIN, Place, intent, outcome};

fn key() -> SigningKey {
    SigningKey::generate().unwrap()
}

async fn open(sink: &MemorySink) -> Log {
    Log::open(sink.clone(), key(), ORIGIN).await.unwrap()
}

fn ids(sink: &MemorySink) -> Vec<String> {
    let read = |record: &String| serde_json::from_str::<Record>(record).unwrap().request_id().to_owned();
    sink.records().iter().map(read).collect()
}

#[tokio::test]
async fn a_record_is_there_when_append_returns() {
    let sink = MemorySink::new();
    let log = open(&sink).await;
    for at in 0..10 {
        let receipt = log.append(&intent(&at.to_string())).await.unwrap();
        assert_eq!(receipt.index(), at);
        let mut alone = audit::Tree::new();
        assert_eq!(*receipt.leaf_hash(), alone.push(sink.records().last().unwrap().as_bytes()));
        assert_eq!(sink.records().len() as u64, at + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_are_all_there_in_the_order_of_their_receipts() {
    let sink = MemorySink::new();
    let log = open(&sink).await;
    let writers: Vec<_> = (0..32)
        .map(|writer| {
            let log = log.clone();
            tokio::spawn(async move {
                let mut receipts = Vec::new();
                for at in 0..50 {
                    let id = format!("{writer}-{at}");
                    receipts.push((log.append(&outcome(&id)).await.unwrap().index(), id));
                }
                receipts
            })
        })
        .collect();
    let mut receipts = Vec::new();
    for writer in writers {
        let own = writer.await.unwrap();
        assert!(own.is_sorted(), "a writer's records are in its order");
        receipts.extend(own);
    }
    receipts.sort();
    assert_eq!(ids(&sink), receipts.into_iter().map(|(_, id)| id).collect::<Vec<_>>());
    let checkpoint = log.checkpoint().await.unwrap();
    let mut tree = audit::Tree::new();
    for record in sink.records() {
        tree.push(record.as_bytes());
    }
    assert_eq!((checkpoint.size(), *checkpoint.root()), (1_600, tree.root()));
}

#[tokio::test]
async fn waiting_records_share_a_write() {
    let sink = MemorySink::new();
    let log = open(&sink).await;
    let before = sink.appends();
    let records: Vec<_> = (0..40).map(|at| outcome(&at.to_string())).collect();
    let mut appends: Vec<_> = records.iter().map(|record| Box::pin(log.append(record))).collect();
    let held = sink.hold();
    for append in &mut appends {
        assert!(append.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    drop(held);
    for (at, append) in appends.into_iter().enumerate() {
        assert_eq!(append.await.unwrap().index(), at as u64);
    }
    let writes = sink.appends() - before;
    assert!(writes <= 2, "{writes} writes: what was taken before the sink was held, and all that waited");
}

#[tokio::test]
async fn an_append_that_is_given_up_leaves_the_log_whole() {
    let sink = MemorySink::new();
    let log = open(&sink).await;
    let held = sink.hold();
    let record = outcome("given up");
    let mut append = Box::pin(log.append(&record));
    assert!(append.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(append);
    drop(held);
    assert_eq!(log.append(&outcome("next")).await.unwrap().index(), 1);
    assert_eq!(ids(&sink), ["given up", "next"]);
}

#[tokio::test]
async fn a_failing_sink_is_unavailable_and_recovers() {
    let sink = MemorySink::new();
    let log = open(&sink).await;
    log.append(&outcome("before")).await.unwrap();
    sink.set_broken(true);
    assert!(log.is_healthy());
    assert!(matches!(log.append(&outcome("lost")).await, Err(AuditError::Unavailable)));
    assert!(!log.is_healthy());
    assert!(matches!(log.checkpoint().await, Err(AuditError::Unavailable)));
    sink.set_broken(false);
    let receipt = log.append(&outcome("after")).await.unwrap();
    assert!(log.is_healthy());
    assert_eq!(receipt.index(), 1, "what failed has no place");
    assert_eq!(ids(&sink), ["before", "after"]);
    assert_eq!(log.checkpoint().await.unwrap().size(), 2);
}

#[tokio::test]
async fn a_closed_log_refuses() {
    let sink = MemorySink::new();
    let log = open(&sink).await;
    let clone = log.clone();
    log.append(&outcome("r")).await.unwrap();
    log.close().await.unwrap();
    clone.ended().await;
    assert!(matches!(clone.append(&outcome("late")).await, Err(AuditError::Closed)));
    assert!(matches!(clone.close().await, Err(AuditError::Closed)));
    assert_eq!(ids(&sink), ["r"]);
}

#[tokio::test]
async fn a_log_that_another_process_took_over_ends() {
    let sink = MemorySink::new();
    let log = open(&sink).await;
    log.append(&outcome("ours")).await.unwrap();
    sink.take_over();
    assert!(matches!(log.append(&outcome("lost")).await, Err(AuditError::Closed)));
    log.ended().await;
    assert!(!log.is_healthy());
    assert!(matches!(log.append(&outcome("late")).await, Err(AuditError::Closed)));
    assert_eq!(ids(&sink), ["ours"]);
}

#[tokio::test]
async fn a_record_that_is_too_long_is_refused() {
    let sink = MemorySink::new();
    let log = open(&sink).await;
    let mut act = Act::new("r", 1);
    act.detail = Some("x".repeat(audit::MAX_RECORD_BYTES));
    assert!(matches!(log.append(&act.into()).await, Err(AuditError::TooLong)));
    assert!(sink.records().is_empty() && log.is_healthy());
}

#[tokio::test]
async fn open_intents_are_closed_at_the_next_start() {
    let (sink, dir) = (MemorySink::new(), tempfile::tempdir().unwrap());
    let file = dir.path().join("key");
    let load = || SigningKey::load_or_create(&file).unwrap();
    let log = Log::open(sink.clone(), load(), ORIGIN).await.unwrap();
    for id in ["done", "open-2", "open-1"] {
        log.append(&intent(id)).await.unwrap();
    }
    log.append(&outcome("done")).await.unwrap();
    log.close().await.unwrap();
    let log = Log::open(sink.clone(), load(), ORIGIN).await.unwrap();
    let closing: Vec<Record> = sink.records()[4..].iter().map(|record| serde_json::from_str(record).unwrap()).collect();
    let ids: Vec<_> = closing.iter().map(Record::request_id).collect();
    assert_eq!(ids, ["open-1", "open-2"]);
    for record in &closing {
        let Record::Outcome(outcome) = record else { panic!("{record:?}") };
        assert_eq!((outcome.ended, outcome.who.tenant.as_deref()), (Ended::Unknown, Some("acme")));
    }
    log.close().await.unwrap();
    Log::open(sink.clone(), load(), ORIGIN).await.unwrap();
    assert_eq!(sink.records().len(), 6, "once");
}

#[tokio::test]
async fn a_log_of_another_key_or_name_does_not_open() {
    let sink = MemorySink::new();
    open(&sink).await.close().await.unwrap();
    assert!(matches!(Log::open(sink.clone(), key(), ORIGIN).await, Err(AuditError::Checkpoint)));
    let place = Place::new();
    place.open().await.close().await.unwrap();
    let sink = SegmentFile::open(&place.dir()).unwrap();
    assert!(matches!(Log::open(sink, place.key(), "gateway/other").await, Err(AuditError::Checkpoint)));
}
