//! Records that are kept for a sink that fails or hangs.

use audit::testing::MemorySink;
use audit::{Act, AuditError, Log, Record, SigningKey};

use crate::support::{ORIGIN, intent, outcome};

async fn open() -> (MemorySink, Log) {
    let sink = MemorySink::new();
    let log = Log::open(sink.clone(), SigningKey::generate().unwrap(), ORIGIN).await.unwrap();
    (sink, log)
}

fn ids(sink: &MemorySink) -> Vec<String> {
    let read = |record: &String| serde_json::from_str::<Record>(record).unwrap().request_id().to_owned();
    sink.records().iter().map(read).collect()
}

#[tokio::test]
async fn a_sink_that_works_makes_them_durable_at_once() {
    let (sink, log) = open().await;
    assert_eq!(log.keep(&outcome("a")).unwrap().durable().await.unwrap().index(), 0);
    assert_eq!((ids(&sink).len(), log.waiting()), (1, 0));
}

#[tokio::test]
async fn they_are_written_in_order_before_all_later_ones() {
    let (sink, log) = open().await;
    sink.set_broken(true);
    let kept: Vec<_> = (0..3_000).map(|at| log.keep(&outcome(&at.to_string())).unwrap()).collect();
    assert!(matches!(log.append(&outcome("strict")).await, Err(AuditError::Unavailable)));
    assert_eq!(log.waiting(), 3_000);
    sink.set_broken(false);
    assert_eq!(log.append(&outcome("last")).await.unwrap().index(), 3_000);
    for (at, kept) in kept.into_iter().enumerate() {
        assert_eq!(kept.durable().await.unwrap().index(), at as u64);
    }
    let expected: Vec<String> = (0..3_000).map(|at| at.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!((ids(&sink), log.waiting()), (expected, 0));
}

#[tokio::test]
async fn they_take_bounded_memory_and_what_is_not_taken_is_refused() {
    let (sink, log) = open().await;
    sink.set_broken(true);
    let mut act = Act::new("big", 1);
    act.detail = Some("x".repeat(200_000));
    let big = act.into();
    let mut taken = 0;
    let refused = loop {
        match log.keep(&big) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AuditError::Unavailable));
    assert_eq!((taken, log.waiting()), (334, 334), "64 MiB of them");
    sink.set_broken(false);
    // There is room again as soon as they are written.
    assert_eq!(log.append(&outcome("next")).await.unwrap().index(), taken);
    assert_eq!(log.waiting(), 0);
}

#[tokio::test]
async fn the_room_of_those_that_wait_can_be_chosen() {
    let sink = MemorySink::new();
    let log = Log::open_with_room(sink.clone(), SigningKey::generate().unwrap(), "test/log", 1 << 20).await.unwrap();
    sink.set_broken(true);
    assert!(!log.is_full());
    let mut act = Act::new("some", 1);
    act.detail = Some("x".repeat(2_000));
    let some = act.into();
    let kept: Vec<_> = std::iter::from_fn(|| log.keep(&some).ok()).collect();
    assert!(log.is_full() && (400..500).contains(&kept.len()), "{}", kept.len());
    sink.set_broken(false);
    for kept in kept {
        kept.durable().await.unwrap();
    }
    assert!(!log.is_full());
}

#[tokio::test]
async fn a_sink_that_hangs_is_not_healthy_and_loses_nothing() {
    let (sink, log) = open().await;
    let held = sink.hold();
    let kept = log.keep(&intent("hanging")).unwrap();
    while log.is_healthy() {
        tokio::task::yield_now().await;
    }
    let later = log.keep(&outcome("hanging")).unwrap();
    assert_eq!(log.waiting(), 2);
    drop(held);
    assert_eq!((kept.durable().await.unwrap().index(), later.durable().await.unwrap().index()), (0, 1));
    assert!(log.is_healthy());
    assert_eq!(log.waiting(), 0);
}

#[tokio::test]
async fn a_log_that_ends_says_what_it_loses() {
    let (sink, log) = open().await;
    sink.set_broken(true);
    let kept = log.keep(&outcome("lost")).unwrap();
    assert!(matches!(log.close().await, Err(AuditError::Unavailable)));
    assert!(matches!(kept.durable().await, Err(AuditError::Unavailable)));
    let late = async { log.keep(&outcome("late"))?.durable().await };
    assert!(matches!(late.await, Err(AuditError::Closed)));
    assert_eq!((log.waiting(), ids(&sink).len()), (0, 0));
    // Nor is anything written to a log that another process took over.
    let (sink, log) = open().await;
    sink.set_broken(true);
    let kept: Vec<_> = (0..3).map(|at| log.keep(&outcome(&at.to_string())).unwrap()).collect();
    sink.take_over();
    assert!(matches!(log.append(&outcome("strict")).await, Err(AuditError::Closed)));
    for kept in kept {
        assert!(matches!(kept.durable().await, Err(AuditError::Unavailable)));
    }
    assert_eq!((log.waiting(), ids(&sink).len()), (0, 0));
    // What can still be written is.
    let (sink, log) = open().await;
    sink.set_broken(true);
    let kept = log.keep(&outcome("late")).unwrap();
    assert!(matches!(log.append(&outcome("strict")).await, Err(AuditError::Unavailable)));
    sink.set_broken(false);
    log.close().await.unwrap();
    assert_eq!(kept.durable().await.unwrap().index(), 0);
    assert_eq!(ids(&sink), ["late"]);
}

#[tokio::test]
async fn a_change_of_keys_is_no_record_to_append() {
    let (sink, log) = open().await;
    let change: Record = audit::KeyChange::new("r", 1).into();
    assert!(matches!(log.append(&change).await, Err(AuditError::KeyChange)));
    assert!(matches!(log.keep(&change).map(drop), Err(AuditError::KeyChange)));
    assert!(ids(&sink).is_empty());
}
