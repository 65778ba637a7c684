//! Keys in one SQLite file.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use keys::testing::{admin_record, record, suite};
use keys::{Issuer, KeyStore, Peppers, Principal, Revoke, StoreError, Verifier};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use store::SqliteStore;
use tempfile::TempDir;

const NOW: u64 = 1_800_000_000_000;
const ID: &str = "0000000000000001";

fn file() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.sqlite");
    (dir, path)
}

async fn connect(path: &std::path::Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
}

#[tokio::test]
async fn sqlite_passes_the_suite() {
    let (dir, _) = file();
    let count = AtomicUsize::new(0);
    suite(async || {
        let name = format!("{}.sqlite", count.fetch_add(1, Ordering::Relaxed));
        SqliteStore::open(&dir.path().join(name)).await.unwrap()
    })
    .await;
    assert_eq!(count.into_inner(), 6);
}

#[tokio::test]
async fn keys_outlive_the_process() {
    let (_dir, path) = file();
    SqliteStore::open(&path).await.unwrap().insert(&record(ID)).await.unwrap();
    let again = SqliteStore::open(&path).await.unwrap();
    assert_eq!(again.find(&record(ID).id).await.unwrap(), Some(record(ID)));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_real_key_goes_the_whole_way() {
    let (_dir, path) = file();
    let store = std::sync::Arc::new(SqliteStore::open(&path).await.unwrap());
    let peppers = Peppers::generate().unwrap();
    let key = Issuer::new(store.clone(), peppers.clone()).bootstrap("first", NOW).await.unwrap();
    let verifier = Verifier::builder(store, peppers).build().unwrap();
    let from = "192.0.2.1".parse().unwrap();
    let principal = verifier.verify(key.secret(), from, NOW).await.unwrap();
    let issuer = verifier.issuer();
    assert_eq!(issuer.list(&principal, None, 10, NOW).await.unwrap(), [key.record().clone()]);
    issuer.revoke(&principal, Revoke::Key(key.record().id), NOW).await.unwrap();
    assert!(verifier.verify(key.secret(), from, NOW).await.is_err());
    assert!(issuer.list(&Principal::system(), None, 10, NOW).await.unwrap()[0].revoked_at.is_some());
    // No secret is in any of the files.
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(43).any(|window| window == &key.secret().as_bytes()[22..65]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_first_admins_one_wins() {
    let (_dir, path) = file();
    SqliteStore::open(&path).await.unwrap();
    let starts: Vec<_> = (0..8)
        .map(|start| {
            let path = path.clone();
            tokio::spawn(async move {
                let store = SqliteStore::open(&path).await.unwrap();
                store.insert_first_admin(&admin_record(&format!("{start:016}")), NOW).await
            })
        })
        .collect();
    let mut winners = 0;
    for start in starts {
        match start.await.unwrap() {
            Ok(()) => winners += 1,
            Err(error) => assert_eq!(error, StoreError::Conflict),
        }
    }
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_corrupt() {
    for spoil in [
        "UPDATE keys SET scopes = '{\"admin\":[\"keys:everything\"]}'",
        "UPDATE keys SET scopes = '{}'",
        "UPDATE keys SET kind = 'admin'",
        "UPDATE keys SET hash = '$argon2id$v=19$m=4194304,t=2,p=1$AQEBAQEBAQEBAQEBAQEBAQ$AA'",
        "UPDATE keys SET limits = '{\"requests\":\"1/week\"}'",
        "UPDATE keys SET expires_at = 'never'",
        "UPDATE keys SET expires_at = -1",
        "UPDATE keys SET tenant = ''",
        "UPDATE keys SET rotated_to = '****************'",
    ] {
        let (_dir, path) = file();
        let store = SqliteStore::open(&path).await.unwrap();
        store.insert(&record(ID)).await.unwrap();
        sqlx::query(spoil).execute(&mut connect(&path).await).await.unwrap();
        assert_eq!(store.find(&record(ID).id).await, Err(StoreError::Corrupt), "{spoil}");
        assert_eq!(store.list(None, 10).await, Err(StoreError::Corrupt), "{spoil}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt() {
    let (_dir, path) = file();
    std::fs::write(&path, "not a database ".repeat(1_000)).unwrap();
    assert_eq!(SqliteStore::open(&path).await.map(drop), Err(StoreError::Corrupt));
}

#[tokio::test]
async fn a_schema_of_the_future_is_corrupt() {
    let (_dir, path) = file();
    SqliteStore::open(&path).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations SELECT 9999, description, installed_on, success, checksum, \
                 execution_time FROM _sqlx_migrations WHERE version = 1";
    sqlx::query(newer).execute(&mut connect(&path).await).await.unwrap();
    assert_eq!(SqliteStore::open(&path).await.map(drop), Err(StoreError::Corrupt));
}

#[tokio::test]
async fn a_removed_or_replaced_file_is_unavailable() {
    let (_dir, path) = file();
    let store = SqliteStore::open(&path).await.unwrap();
    store.insert(&record(ID)).await.unwrap();
    let away = path.with_extension("away");
    std::fs::rename(&path, &away).unwrap();
    assert_all_unavailable(&store).await;
    std::fs::copy(&away, &path).unwrap();
    assert_all_unavailable(&store).await;
    std::fs::rename(&away, &path).unwrap();
    assert_eq!(store.find(&record(ID).id).await.unwrap(), Some(record(ID)), "put back, it works again");
}

async fn assert_all_unavailable(store: &SqliteStore) {
    let (other, id) = (record("0000000000000002"), record(ID).id);
    let away = Err(StoreError::Unavailable);
    assert_eq!(store.find(&id).await.map(drop), away);
    assert_eq!(store.insert(&other).await, away);
    assert_eq!(store.insert_first_admin(&other, NOW).await, away);
    assert_eq!(store.replace(&id, NOW, &other).await, away);
    assert_eq!(store.revoke(&Revoke::Key(id), NOW).await.map(drop), away);
    assert_eq!(store.list(None, 1).await.map(drop), away);
    assert_eq!(store.touch(&[(id, NOW)]).await, away);
}

#[tokio::test]
async fn a_locked_file_is_unavailable_for_writes_and_then_works_again() {
    let (_dir, path) = file();
    let store = SqliteStore::open(&path).await.unwrap();
    let mut other = connect(&path).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    assert_eq!(store.insert(&record(ID)).await, Err(StoreError::Unavailable));
    assert_eq!(store.find(&record(ID).id).await, Ok(None), "reads go on");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(store.insert(&record(ID)).await, Ok(()));
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_unavailable() {
    let (dir, _) = file();
    let nowhere = dir.path().join("missing").join("keys.sqlite");
    assert_eq!(SqliteStore::open(&nowhere).await.map(drop), Err(StoreError::Unavailable));
}
