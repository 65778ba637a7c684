//! What a file can be that a server cannot.

use std::path::{Path, PathBuf};

use keys::testing::record;
use keys::{Asked, Issuer, KeyStore, Peppers, StoreError};
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

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
}

#[tokio::test]
async fn the_file_is_private_and_holds_no_secret() {
    let (_dir, path) = file();
    let store = std::sync::Arc::new(SqliteStore::open(&path).await.unwrap());
    let key = Issuer::new(store, Peppers::generate().unwrap()).bootstrap("first", NOW).await.unwrap();
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(43).any(|window| window == &key.secret().as_bytes()[22..65]));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_unusable() {
    let (_dir, path) = file();
    std::fs::write(&path, "not a database ".repeat(1_000)).unwrap();
    assert_eq!(SqliteStore::open(&path).await.map(drop), Err(StoreError::Unusable));
}

#[tokio::test]
async fn a_column_of_another_type_is_corrupt() {
    let (_dir, path) = file();
    let store = SqliteStore::open(&path).await.unwrap();
    store.insert(&record(ID), Asked::default()).await.unwrap();
    sqlx::query("UPDATE keys SET expires_at = 'never'").execute(&mut connect(&path).await).await.unwrap();
    assert_eq!(store.find(&record(ID).id).await, Err(StoreError::Corrupt));
}

#[tokio::test]
async fn a_replaced_file_is_unavailable() {
    let (_dir, path) = file();
    let store = SqliteStore::open(&path).await.unwrap();
    store.insert(&record(ID), Asked::default()).await.unwrap();
    let away = path.with_extension("away");
    std::fs::rename(&path, &away).unwrap();
    std::fs::copy(&away, &path).unwrap();
    assert_eq!(store.find(&record(ID).id).await, Err(StoreError::Unavailable));
    std::fs::rename(&away, &path).unwrap();
    assert_eq!(store.find(&record(ID).id).await.unwrap(), Some(record(ID)), "put back, it works again");
}

#[tokio::test]
async fn a_locked_file_is_unavailable_for_writes_and_then_works_again() {
    let (_dir, path) = file();
    let store = SqliteStore::open(&path).await.unwrap();
    let mut other = connect(&path).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    assert_eq!(store.insert(&record(ID), Asked::default()).await, Err(StoreError::Unavailable));
    assert_eq!(store.find(&record(ID).id).await, Ok(None), "reads go on");
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(store.insert(&record(ID), Asked::default()).await, Ok(()));
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_unavailable() {
    let (dir, _) = file();
    let nowhere = dir.path().join("missing").join("keys.sqlite");
    assert_eq!(SqliteStore::open(&nowhere).await.map(drop), Err(StoreError::Unavailable));
}
