//! The audit trail in Postgres.

use std::time::{Duration, SystemTime};

use audit::testing::{removes, suite};
use audit::{AuditError, Inquiry, Intent, Log, Outcome, Record, SigningKey, Sink as _, Verified, VerifyError};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use store::{LogRows, PostgresStore, PostgresTrail};
use testkit::PostgresServer;

async fn start() -> (PostgresServer, PostgresTrail) {
    let server = PostgresServer::start().await;
    let trail = PostgresTrail::connect(&server.url()).await.unwrap();
    (server, trail)
}

async fn sql(server: &PostgresServer, text: &'static str) -> u64 {
    PgConnection::connect(&server.url()).await.unwrap().execute(text).await.unwrap().rows_affected()
}

/// A log as a gateway opens it, with a key that never changes.
async fn open(rows: LogRows) -> Result<Log, AuditError> {
    let origin = format!("portcullis/{}", rows.number());
    Log::open(rows, key(), &origin).await
}

/// The test key 1 of RFC 8032, section 7.1.
fn key() -> SigningKey {
    "PRIVATE+KEY+portcullis-audit+26ab543d+AZ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g".parse().unwrap()
}

async fn verified(trail: &PostgresTrail, log: i64) -> Result<Verified, VerifyError> {
    Ok(trail.examine(log, &Inquiry::new(&key().verifying_key())).await?.verified)
}

fn outcome(request_id: &str) -> Record {
    Outcome::new(request_id, 1).into()
}

#[tokio::test]
async fn logs_pass_the_suite() {
    let (_server, trail) = start().await;
    suite(async || trail.claim().await.unwrap()).await;
    assert_eq!(trail.logs().await.unwrap(), [1, 2, 3]);
    removes(trail.claim().await.unwrap()).await;
}

#[tokio::test]
async fn every_gateway_writes_a_log_of_its_own_and_the_next_goes_on_where_one_stopped() {
    let (server, trail) = start().await;
    PostgresStore::connect(&server.url()).await.unwrap();
    let claims = futures_util::future::join_all((0..4).map(|_| trail.claim())).await;
    let mut logs = Vec::new();
    for rows in claims {
        logs.push(open(rows.unwrap()).await.unwrap());
    }
    assert_eq!(trail.logs().await.unwrap(), [1, 2, 3, 4]);
    for log in &logs {
        log.append(&Intent::new("open", 1).into()).await.unwrap();
        log.append(&outcome("r")).await.unwrap();
    }
    for log in &logs {
        log.close().await.unwrap();
    }
    let next = trail.claim().await.unwrap();
    assert_eq!(next.number(), 1);
    let next = open(next).await.unwrap();
    // The open intent was closed as unknown.
    assert_eq!(next.append(&outcome("s")).await.unwrap().index(), 3);
    assert_eq!(verified(&trail, 1).await.unwrap().records, 3);
    assert_eq!(trail.find("open").await.unwrap().len(), 5);
    assert_eq!(trail.find("r").await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_gateway_that_lost_its_log_writes_nothing_more() {
    let (server, trail) = start().await;
    let lost = open(trail.claim().await.unwrap()).await.unwrap();
    lost.append(&outcome("mine")).await.unwrap();
    // As if it had been cut off for half a minute.
    sql(&server, "UPDATE audit_logs SET held_until = now() - interval '1 second'").await;
    let heir = open(trail.claim().await.unwrap()).await.unwrap();
    assert!(matches!(lost.append(&outcome("late")).await, Err(AuditError::Closed)));
    lost.ended().await;
    assert_eq!(heir.append(&outcome("ours")).await.unwrap().index(), 1);
    heir.close().await.unwrap();
    assert!(trail.find("late").await.unwrap().is_empty());
    assert_eq!(verified(&trail, 1).await.unwrap().records, 2);
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_crash_and_what_failed_is_nowhere() {
    let (mut server, trail) = start().await;
    let log = open(trail.claim().await.unwrap()).await.unwrap();
    let writing = tokio::spawn({
        let log = log.clone();
        async move {
            let (mut kept, mut lost) = (Vec::new(), Vec::new());
            for at in 0..u32::MAX {
                let wrote = log.append(&outcome(&at.to_string())).await;
                if wrote.is_ok() {
                    kept.push(at)
                } else {
                    lost.push(at)
                }
                // It ends once it has written before, not during, and after the crash.
                if !lost.is_empty() && kept.last() > lost.last() {
                    break;
                }
            }
            (kept, lost)
        }
    });
    while trail.find("20").await.unwrap().is_empty() {}
    server.kill().await;
    server.restart().await;
    let (kept, lost) = writing.await.unwrap();
    log.close().await.unwrap();
    for at in kept {
        assert_eq!(trail.find(&at.to_string()).await.unwrap().len(), 1, "{at}");
    }
    for at in lost.iter().take(50) {
        assert!(trail.find(&at.to_string()).await.unwrap().is_empty(), "{at}");
    }
    verified(&trail, 1).await.unwrap();
}

#[tokio::test]
async fn a_statement_that_was_given_up_writes_nothing_later() {
    let (server, trail) = start().await;
    let mut rows = trail.claim().await.unwrap();
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    transaction.execute("SELECT 1 FROM audit_logs FOR UPDATE").await.unwrap();
    let given_up = rows.append(&["{\"request_id\":\"late\"}".to_owned()]).await.unwrap_err();
    assert_eq!(given_up.kind(), std::io::ErrorKind::TimedOut);
    // Its statement is still waiting in the server, and goes on now.
    transaction.commit().await.unwrap();
    rows.append(&["{\"request_id\":\"next\"}".to_owned()]).await.unwrap();
    let mut kept = Vec::new();
    let mut keep = |record: &[u8]| {
        kept.push(String::from_utf8(record.to_vec()).unwrap());
        Ok(())
    };
    rows.replay(&mut keep).await.unwrap();
    assert_eq!(kept, ["{\"request_id\":\"next\"}"]);
}

#[tokio::test]
async fn whatever_is_done_to_the_rows_is_found() {
    let (server, trail) = start().await;
    for (spoil, is_missing) in [
        ("UPDATE audit_records SET record = replace(record, 'r3', 'r4') WHERE sequence = 3", false),
        ("UPDATE audit_records SET record = 'no JSON' WHERE sequence = 3", false),
        ("DELETE FROM audit_records WHERE sequence = 3", true),
        ("DELETE FROM audit_records WHERE sequence >= 3", true),
        ("DELETE FROM audit_records", true),
        ("UPDATE audit_records SET sequence = sequence + 1 WHERE sequence = 5", true),
        (
            "INSERT INTO audit_records (log, sequence, request_id, record) SELECT log, -1, request_id, record FROM audit_records LIMIT 1",
            false,
        ),
        ("UPDATE audit_logs SET checkpoint = replace(checkpoint, '6', '5')", false),
        ("UPDATE audit_logs SET checkpoint = NULL", true),
        ("UPDATE audit_records SET record = record || ' '", false),
    ] {
        sql(&server, "TRUNCATE audit_logs, audit_records").await;
        let log = open(trail.claim().await.unwrap()).await.unwrap();
        for at in 0..6 {
            log.append(&outcome(&format!("r{at}"))).await.unwrap();
        }
        log.close().await.unwrap();
        assert_eq!(verified(&trail, 1).await.unwrap().records, 6);
        assert!(sql(&server, spoil).await > 0, "{spoil}");
        let verdict = verified(&trail, 1).await;
        match verdict {
            Err(VerifyError::Incomplete { .. }) => assert!(is_missing, "{spoil}"),
            Err(VerifyError::Tampered { .. }) => assert!(!is_missing, "{spoil}"),
            other => panic!("{spoil}: {other:?}"),
        }
        assert!(open(trail.claim().await.unwrap()).await.is_err(), "{spoil}");
    }
}

#[tokio::test]
async fn a_long_log_is_read_in_pages() {
    let (_server, trail) = start().await;
    let log = open(trail.claim().await.unwrap()).await.unwrap();
    let records: Vec<Record> = (0..2_500).map(|at| outcome(&at.to_string())).collect();
    let appended = futures_util::future::join_all(records.iter().map(|record| log.append(record))).await;
    assert!(appended.iter().all(Result::is_ok));
    log.close().await.unwrap();
    assert_eq!(verified(&trail, 1).await.unwrap().records, 2_500);
    let again = open(trail.claim().await.unwrap()).await.unwrap();
    assert_eq!(again.append(&outcome("more")).await.unwrap().index(), 2_500);
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let (server, _trail) = start().await;
    sql(&server, "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0").await;
    let url = server.url().replace("/postgres?", "/latin?");
    assert_eq!(PostgresTrail::connect(&url).await.err(), Some(keys::StoreError::Unusable));
    assert_eq!(PostgresTrail::connect("nonsense").await.err(), Some(keys::StoreError::Unusable));
    let nobody = PostgresTrail::connect("postgres://a@127.0.0.1:1/a").await;
    assert_eq!(nobody.err(), Some(keys::StoreError::Unavailable));
}

#[tokio::test]
async fn a_log_that_is_gone_is_missed() {
    let (server, trail) = start().await;
    let mut logs = Vec::new();
    for _ in 0..3 {
        logs.push(open(trail.claim().await.unwrap()).await.unwrap());
    }
    for log in &logs {
        log.append(&outcome("r")).await.unwrap();
        log.close().await.unwrap();
    }
    for (spoil, log) in [
        ("DELETE FROM audit_logs WHERE log = 1", 1),
        ("DELETE FROM audit_records WHERE log = 1", 1),
        ("DELETE FROM audit_logs WHERE log = 3", 3),
    ] {
        assert_eq!(sql(&server, spoil).await, 1, "{spoil}");
        assert_eq!(trail.logs().await.unwrap(), [1, 2, 3], "{spoil}");
        let verdict = verified(&trail, log).await;
        assert!(matches!(verdict, Err(VerifyError::Incomplete { .. })), "{spoil}: {verdict:?}");
    }
    assert_eq!(verified(&trail, 2).await.unwrap().records, 1);
}

#[tokio::test]
async fn what_was_not_acknowledged_is_not_left_to_the_next_holder() {
    let (server, trail) = start().await;
    let mut rows = trail.claim().await.unwrap();
    let mut other = PgConnection::connect(&server.url()).await.unwrap();
    let mut transaction = other.begin().await.unwrap();
    transaction.execute("SELECT 1 FROM audit_logs FOR UPDATE").await.unwrap();
    assert!(rows.append(&["{}".to_owned()]).await.is_err());
    // Its statement goes on in the server, and then the gateway stops.
    transaction.commit().await.unwrap();
    rows.release().await;
    let mut next = trail.claim().await.unwrap();
    assert_eq!(next.number(), 1);
    next.replay(&mut |record| panic!("{record:?}")).await.unwrap();
}

#[tokio::test]
async fn what_is_removed_leaves_a_stub_from_which_the_rest_verifies() {
    let (server, trail) = start().await;
    let log = open(trail.claim().await.unwrap()).await.unwrap();
    for at in 0..10 {
        log.append(&outcome(&format!("r{at}"))).await.unwrap();
    }
    log.checkpoint().await.unwrap();
    sql(&server, "UPDATE audit_records SET written_at = now() - interval '3 days' WHERE sequence < 6").await;
    let ago = |days: u64| SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    assert_eq!(trail.written_before(1, ago(4)).await.unwrap(), 0);
    let before = trail.written_before(1, ago(2)).await.unwrap();
    assert_eq!(before, 6);
    let key = key().verifying_key();
    let removal = trail.examine(1, &Inquiry::new(&key).removing_before(before)).await.unwrap().removal.unwrap();
    let mark = verified(&trail, 1).await.unwrap().mark;
    log.remove(removal).await.unwrap();
    // Whether or not the rows are deleted already.
    for rows in [10, 4] {
        let found = verified(&trail, 1).await.unwrap();
        assert_eq!((found.first, found.records), (6, 10));
        let counted = sql(&server, "UPDATE audit_records SET log = log").await;
        assert_eq!(counted, rows);
        trail.sweep().await.unwrap();
    }
    log.append(&outcome("more")).await.unwrap();
    log.close().await.unwrap();
    let log = open(trail.claim().await.unwrap()).await.unwrap();
    log.append(&outcome("and more")).await.unwrap();
    log.checkpoint().await.unwrap();
    let since = trail.examine(1, &Inquiry::new(&key).since(&mark).proving(&[10, 11])).await.unwrap();
    assert_eq!((since.verified.first, since.verified.records, since.proved.len()), (10, 12, 2));
    for (record, proof) in &since.proved {
        assert!(proof.check(record.as_bytes(), &key).is_ok());
    }
    let gone = trail.examine(1, &Inquiry::new(&key).proving(&[5])).await;
    assert!(matches!(gone, Err(VerifyError::Before { first: 6 })), "{gone:?}");
    // Nobody without the key removes anything.
    for spoil in [
        "UPDATE audit_logs SET stub = NULL, first = 0",
        "UPDATE audit_logs SET stub = replace(stub, 'removed', '')",
        "DELETE FROM audit_records WHERE sequence = 6",
    ] {
        sql(&server, "CREATE TABLE kept AS SELECT * FROM audit_logs").await;
        assert_eq!(sql(&server, spoil).await, 1, "{spoil}");
        assert!(verified(&trail, 1).await.is_err(), "{spoil}");
        sql(&server, "UPDATE audit_logs SET stub = kept.stub, first = kept.first FROM kept").await;
        sql(&server, "DROP TABLE kept").await;
    }
}
