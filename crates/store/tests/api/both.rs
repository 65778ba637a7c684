//! What every key store does, on both kinds of database.

use keys::testing::{admin_record, record, suite};
use keys::{AdminAct, Asked, Issuer, Operation, Peppers, Principal, Revoke, StoreError, TenantRecord, Verifier};

use crate::place::Place;

const NOW: u64 = 1_800_000_000_000;
const ID: &str = "0000000000000001";
/// How often two calls are let race.
const ROUNDS: usize = 100;

macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::Place::sqlite().await).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(super::Place::postgres().await).await;
            })+
        }
    };
}

on_both!(
    the_suite_passes,
    keys_outlive_the_process,
    a_key_of_one_gateway_works_at_another,
    of_many_first_admins_one_wins,
    rows_that_cannot_be_read_are_corrupt,
    a_schema_of_the_future_is_unusable,
    a_database_that_is_gone_is_unavailable_and_one_that_is_back_goes_on,
    every_released_schema_is_brought_up_to_date,
    no_key_escapes_the_revocation_of_its_family,
    no_key_is_made_in_a_tenant_that_is_being_revoked,
);

async fn the_suite_passes(place: Place) {
    suite(async || {
        let store = place.open().await.unwrap();
        place.sql("DELETE FROM keys").await;
        place.sql("DELETE FROM tenants WHERE id <> 'default'").await;
        place.sql("DELETE FROM issued_once").await;
        store
    })
    .await;
}

async fn keys_outlive_the_process(place: Place) {
    place.open().await.unwrap().insert(&record(ID), Asked::default()).await.unwrap();
    let again = place.open().await.unwrap();
    assert_eq!(again.find(&record(ID).id).await.unwrap(), Some(record(ID)));
}

async fn a_key_of_one_gateway_works_at_another(place: Place) {
    let (one, two) = (place.open().await.unwrap(), place.open().await.unwrap());
    let peppers = Peppers::generate().unwrap();
    let key = Issuer::new(one, peppers.clone()).bootstrap("first", NOW).await.unwrap();
    let verifier = Verifier::builder(two, peppers).build().unwrap();
    let from = "192.0.2.1".parse().unwrap();
    let principal = verifier.verify(key.secret(), from, NOW).await.unwrap();
    let issuer = verifier.issuer();
    assert_eq!(issuer.list(&principal, None, None, 10, NOW).await.unwrap(), [key.record().clone()]);
    issuer.revoke(&principal, Revoke::Key(key.record().id), NOW).await.unwrap();
    assert!(verifier.verify(key.secret(), from, NOW).await.is_err());
    let listed = issuer.list(&Principal::system(), None, None, 10, NOW).await.unwrap();
    assert!(listed.iter().all(|record| record.revoked_at.is_some()));
}

async fn of_many_first_admins_one_wins(place: Place) {
    let start = async |start: usize| {
        let store = place.open().await.unwrap();
        store.insert_first_admin(&admin_record(&format!("{start:016}")), NOW).await
    };
    // They also bring the schema up to date at once.
    let started = futures_util::future::join_all((0..6).map(start)).await;
    assert_eq!(started.iter().filter(|done| done.is_ok()).count(), 1);
    assert_eq!(started.iter().filter(|done| **done == Err(StoreError::Conflict)).count(), 5);
}

async fn rows_that_cannot_be_read_are_corrupt(place: Place) {
    for spoil in [
        "UPDATE keys SET scopes = '{\"admin\":[\"keys:everything\"]}'",
        "UPDATE keys SET scopes = '{}'",
        "UPDATE keys SET kind = 'admin'",
        "UPDATE keys SET hash = '$argon2id$v=19$m=4194304,t=2,p=1$AQEBAQEBAQEBAQEBAQEBAQ$AA'",
        "UPDATE keys SET limits = '{\"requests\":\"1/week\"}'",
        "UPDATE keys SET expires_at = -1",
        "UPDATE keys SET tenant = ''",
        "UPDATE keys SET rotated_to = '****************'",
        "UPDATE keys SET made_by = '****************'",
        "UPDATE keys SET addresses = '[\"192.0.2.1/33\"]'",
        "UPDATE keys SET version = -1",
    ] {
        let store = place.open().await.unwrap();
        place.sql("DELETE FROM keys").await;
        store.insert(&record(ID), Asked::default()).await.unwrap();
        place.sql(spoil).await;
        assert_eq!(store.find(&record(ID).id).await, Err(StoreError::Corrupt), "{spoil}");
        assert_eq!(store.list(None, None, 10).await, Err(StoreError::Corrupt), "{spoil}");
    }
}

async fn a_schema_of_the_future_is_unusable(place: Place) {
    place.open().await.unwrap();
    place
        .sql(
            "INSERT INTO _sqlx_migrations SELECT 9999, description, installed_on, success, checksum, execution_time \
             FROM _sqlx_migrations WHERE version = 1",
        )
        .await;
    assert_eq!(place.open().await.map(drop), Err(StoreError::Unusable));
}

async fn a_database_that_is_gone_is_unavailable_and_one_that_is_back_goes_on(mut place: Place) {
    let store = place.open().await.unwrap();
    store.insert(&record(ID), Asked::default()).await.unwrap();
    place.break_off().await;
    let (other, id) = (record("0000000000000002"), record(ID).id);
    let away = Err(StoreError::Unavailable);
    assert_eq!(store.find(&id).await.map(drop), away);
    assert_eq!(store.insert(&other, Asked::default()).await, away);
    assert_eq!(store.insert_first_admin(&other, NOW).await, away);
    assert_eq!(store.replace(&id, NOW, &other, Asked::default()).await, away);
    assert_eq!(store.revoke(&Revoke::Key(id), NOW).await.map(drop), away);
    assert_eq!(store.list(None, None, 1).await.map(drop), away);
    assert_eq!(store.touch(&[(id, NOW)]).await, away);
    place.bring_back().await;
    assert_eq!(store.find(&id).await.unwrap(), Some(record(ID)));
}

/// The rows that a version left behind, with a key of each kind.
async fn every_released_schema_is_brought_up_to_date(place: Place) {
    place.migrate_to(1).await;
    place
        .sql(
            "INSERT INTO keys (id, family, tenant, name, hash, pepper_kid, kind, scopes, limits, created_at, grace_until) \
             VALUES ('0000000000000001', '0000000000000001', 'acme', 'ci', \
             '$argon2id$v=19$m=19456,t=2,p=1$AQEBAQEBAQEBAQEBAQEBAQ$AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI', \
             '0', 'inference', '{\"inference\":{\"models\":[\"*\"],\"operations\":[\"chat\"],\"trust_system\":false}}', \
             '{\"requests\":\"5/second burst 10\"}', 1800000000000, 1800000000001), \
             ('0000000000000002', '0000000000000002', 'default', 'admin', \
             '$argon2id$v=19$m=19456,t=2,p=1$AQEBAQEBAQEBAQEBAQEBAQ$AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI', \
             '0', 'admin', '{\"admin\":[\"keys:read\",\"keys:write\"]}', '{}', 1800000000000, NULL)",
        )
        .await;
    let store = place.open().await.unwrap();
    let key = store.find(&record(ID).id).await.unwrap().unwrap();
    assert_eq!((key.version, key.made_by, key.rotated_at, key.grace_until), (1, None, None, Some(NOW + 1)));
    assert!(key.terms.addresses.is_anywhere() && key.terms.scopes.permits(Operation::Chat, "any"));
    let tenants = store.list_tenants(None, 10).await.unwrap();
    assert_eq!(tenants.iter().map(|tenant| tenant.id.as_str()).collect::<Vec<_>>(), ["acme", "default"]);
    let admin = store.find(&record("0000000000000002").id).await.unwrap().unwrap();
    let acts = [AdminAct::KeysRead, AdminAct::KeysWrite, AdminAct::TenantsAll];
    assert!(acts.iter().all(|act| admin.terms.scopes.permits_admin(*act)), "it reaches as far as before");
    assert!(!admin.terms.scopes.permits_admin(AdminAct::AuditRead), "and no further");
}

/// Replaces a key while its family is revoked: the new one is refused, or revoked with it.
async fn no_key_escapes_the_revocation_of_its_family(place: Place) {
    let (one, two) = (place.open().await.unwrap(), place.open().await.unwrap());
    for round in 0..ROUNDS {
        let (old, mut new) = (record(&format!("{round:016}")), record(&format!("new{round:013}")));
        new.family = old.family;
        one.insert(&old, Asked::default()).await.unwrap();
        let family = Revoke::Family(old.family);
        let (replaced, revoked) =
            tokio::join!(one.replace(&old.id, NOW, &new, Asked::default()), two.revoke(&family, NOW));
        revoked.unwrap();
        let newer = one.find(&new.id).await.unwrap();
        assert!(newer.is_none_or(|key| key.revoked_at.is_some()), "round {round}, replaced: {replaced:?}");
    }
}

async fn no_key_is_made_in_a_tenant_that_is_being_revoked(place: Place) {
    let (one, two) = (place.open().await.unwrap(), place.open().await.unwrap());
    for round in 0..ROUNDS {
        let mut key = record(&format!("{round:016}"));
        key.tenant = format!("tenant-{round}").parse().unwrap();
        one.insert_tenant(&TenantRecord::new(key.tenant.clone(), String::new(), NOW)).await.unwrap();
        let tenant = Revoke::Tenant(key.tenant.clone());
        let (inserted, revoked) = tokio::join!(one.insert(&key, Asked::default()), two.revoke(&tenant, NOW));
        revoked.unwrap();
        let kept = one.find(&key.id).await.unwrap();
        assert!(kept.is_none_or(|key| key.revoked_at.is_some()), "round {round}, inserted: {inserted:?}");
    }
}
