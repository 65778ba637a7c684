//! Keys in Postgres.

use std::sync::Arc;

use keys::testing::{admin_record, record, suite};
use keys::{Issuer, KeyStore, Peppers, StoreError, Verifier};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use store::PostgresStore;
use testkit::PostgresServer;

const NOW: u64 = 1_800_000_000_000;
const ID: &str = "0000000000000001";

async fn sql(server: &PostgresServer, text: &'static str) {
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    connection.execute(text).await.unwrap();
}

#[tokio::test]
async fn postgres_passes_the_suite() {
    let server = PostgresServer::start().await;
    suite(async || {
        sql(&server, "DROP TABLE IF EXISTS keys, _sqlx_migrations").await;
        PostgresStore::connect(&server.url()).await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn gateways_that_start_at_once_share_one_schema_and_one_first_admin() {
    let server = PostgresServer::start().await;
    let url = server.url();
    let starting = (0..4).map(|_| PostgresStore::connect(&url));
    let stores: Vec<PostgresStore> =
        futures_util::future::join_all(starting).await.into_iter().map(Result::unwrap).collect();
    let ids: Vec<String> = (0..4).map(|n| format!("000000000000000{n}")).collect();
    let records: Vec<_> = ids.iter().map(|id| admin_record(id)).collect();
    let racing = stores.iter().zip(&records).map(|(store, record)| store.insert_first_admin(record, NOW));
    let won = futures_util::future::join_all(racing).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_key_of_one_gateway_works_at_another() {
    let server = PostgresServer::start().await;
    let peppers = Peppers::generate().unwrap();
    let one = Arc::new(PostgresStore::connect(&server.url()).await.unwrap());
    let two = Arc::new(PostgresStore::connect(&server.url()).await.unwrap());
    let key = Issuer::new(one, peppers.clone()).bootstrap("first", NOW).await.unwrap();
    let verifier = Verifier::builder(two, peppers).build().unwrap();
    let principal = verifier.verify(key.secret(), "192.0.2.1".parse().unwrap(), NOW).await.unwrap();
    assert_eq!(*principal.key_id(), key.record().id);
}

#[tokio::test]
async fn a_server_that_is_gone_is_unavailable_and_one_that_is_back_goes_on() {
    let mut server = PostgresServer::start().await;
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    store.insert(&record(ID)).await.unwrap();
    server.kill().await;
    assert_eq!(store.find(&record(ID).id).await, Err(StoreError::Unavailable));
    server.restart().await;
    assert_eq!(store.find(&record(ID).id).await.unwrap(), Some(record(ID)));
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_corrupt() {
    let server = PostgresServer::start().await;
    let store = PostgresStore::connect(&server.url()).await.unwrap();
    store.insert(&record(ID)).await.unwrap();
    sql(&server, "UPDATE keys SET scopes = '{\"everything\":true}'").await;
    assert_eq!(store.find(&record(ID).id).await, Err(StoreError::Corrupt));
    assert_eq!(PostgresStore::connect("nonsense").await.err(), Some(StoreError::Corrupt));
    let nobody = PostgresStore::connect("postgres://a@127.0.0.1:1/a").await;
    assert_eq!(nobody.err(), Some(StoreError::Unavailable));
}
