//! What every [`KeyStore`] must do. Run it over your own implementation.

#![expect(clippy::panic, reason = "a conformance suite fails by panicking")]

mod counting;
mod revocations;

use std::num::{NonZeroU32, NonZeroU64};

use crate::error::StoreError;
use crate::hash::{Cost, SecretHash};
use crate::id::{FamilyId, KeyId};
use crate::limits::{Per, Rate};
use crate::networks::Networks;
use crate::once::OnceRecord;
use crate::record::KeyRecord;
use crate::scopes::{AdminAct, AdminScopes, InferenceScopes, Operation, Scopes};
use crate::store::{Asked, KeyStore, Rehash, Revoke};
use crate::tenant::{Tenant, TenantRecord};
use crate::terms::Terms;

pub use counting::CountingStore;
pub use revocations::revocations_suite;

const NOW: u64 = 1_800_000_000_000;

/// Runs every case on stores made by `make`, each fresh and empty.
///
/// # Panics
/// When the implementation breaks the contract; the message names the case.
pub async fn suite<S: KeyStore>(make: impl AsyncFn() -> S) {
    keeping(&make().await).await;
    listing(&make().await).await;
    revoking(&make().await).await;
    replacing(&make().await).await;
    first_admin(&make().await).await;
    touching(&make().await).await;
    updating(&make().await).await;
    rehashing(&make().await).await;
    ending(&make().await).await;
    asking_twice(&make().await).await;
    askers(&make().await).await;
    tenants(&make().await).await;
}

/// A key as small as it can be; its hash fits no secret.
///
/// # Panics
/// If `id` is no key id.
pub fn record(id: &str) -> KeyRecord {
    let id: KeyId = id.parse().unwrap_or_else(|error| panic!("{error}"));
    let hash = SecretHash { cost: Cost::OWASP, salt: [1; 16], output: [2; 32] };
    let scopes = InferenceScopes::new(["*"], [Operation::Chat]).unwrap_or_else(|error| panic!("{error}"));
    KeyRecord::new(id, "a key".to_owned(), hash, Terms::new(Scopes::Inference(scopes)), NOW)
}

/// The same, for administration.
///
/// # Panics
/// If `id` is no key id.
pub fn admin_record(id: &str) -> KeyRecord {
    let mut record = record(id);
    record.terms.scopes = Scopes::Admin(AdminScopes::all());
    record
}

fn tenant(id: &str) -> Tenant {
    done("tenant", id.parse())
}

/// A record with something in every field.
fn full(id: &str) -> KeyRecord {
    let mut full = record(id);
    let rate = |units| Rate { units, per: Per::Hour, burst: NonZeroU64::MIN };
    let scopes = InferenceScopes::new(["gpt-*", "\u{e9}'\"\\%_"], Operation::ALL.iter().copied());
    full.terms.scopes = Scopes::Inference(done("scopes", scopes).with_trust_system());
    full.terms.addresses = done("networks", Networks::new(["192.0.2.0/24", "2001:db8::/32"]));
    full.name = "'; DROP TABLE keys; -- \u{1f511} \"\\%_".to_owned();
    full.family = done("family", "Zzzzzzzzzzzzzzz9".parse());
    full.tenant = tenant("a.B-c_9");
    full.made_by = Some(record("makermakermaker0").id.into());
    full.version = 1 << 62;
    full.pepper_kid = 'z';
    full.terms.limits.requests = Some(rate(NonZeroU64::MIN));
    full.terms.limits.tokens = Some(rate(NonZeroU64::MAX));
    full.terms.limits.input_tokens = Some(rate(NonZeroU64::MAX));
    full.terms.limits.output_tokens = Some(rate(NonZeroU64::MIN));
    full.terms.limits.spend = Some(Rate { units: NonZeroU64::MAX, per: Per::Total, burst: NonZeroU64::MAX });
    full.terms.limits.budget = Some(NonZeroU64::MAX);
    full.terms.limits.concurrent = Some(NonZeroU32::MAX);
    full.terms.not_before = Some(0);
    full.terms.expires_at = Some(1 << 62);
    full.rotated_to = Some(record("rotatedrotated00").id);
    full.rotated_at = Some(NOW - 1);
    full.grace_until = Some(NOW);
    full.revoked_at = Some(1);
    full.last_used_at = Some(2);
    full
}

fn done<T, E: std::fmt::Display>(what: &str, result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

async fn found(store: &dyn KeyStore, id: &KeyId) -> Option<KeyRecord> {
    done("find", store.find(id).await)
}

async fn ids(store: &dyn KeyStore, after: Option<&KeyId>, limit: usize) -> Vec<String> {
    let listed = done("list", store.list(None, after, limit).await);
    listed.iter().map(|record| record.id.as_str().to_owned()).collect()
}

async fn keeping(store: &dyn KeyStore) {
    let (small, full) = (record("aaaaaaaaaaaaaaaa"), full("AAAAAAAAAAAAAAAA"));
    assert_eq!(found(store, &small.id).await, None, "a fresh store has no keys");
    done("insert_tenant", store.insert_tenant(&TenantRecord::new(full.tenant.clone(), String::new(), 0)).await);
    done("insert", store.insert(&small, Asked::default()).await);
    done("insert", store.insert(&full, Asked::default()).await);
    assert_eq!(found(store, &small.id).await.as_ref(), Some(&small), "a key is kept as it was given");
    assert_eq!(found(store, &full.id).await.as_ref(), Some(&full), "every field is kept; case matters in ids");
    let mut other = small.clone();
    other.name = "other".to_owned();
    assert_eq!(store.insert(&other, Asked::default()).await, Err(StoreError::Conflict), "an id is taken once");
    assert_eq!(found(store, &small.id).await.as_ref(), Some(&small), "a conflict changes nothing");
}

async fn listing(store: &dyn KeyStore) {
    let all = ["0000000000000009", "A000000000000000", "Z000000000000000", "a000000000000000", "z000000000000000"];
    for id in all.iter().rev() {
        done("insert", store.insert(&record(id), Asked::default()).await);
    }
    assert_eq!(ids(store, None, 10).await, all, "keys are listed in the byte order of their ids");
    assert_eq!(ids(store, None, 2).await, ["0000000000000009", "A000000000000000"], "no more than asked for");
    let after = record("Z000000000000000").id;
    assert_eq!(ids(store, Some(&after), 1).await, ["a000000000000000"], "a list goes on after a key");
    let between = record("ZZZZZZZZZZZZZZZZ").id;
    assert_eq!(ids(store, Some(&between), 1).await, ["a000000000000000"], "the key before need not be there");
    assert!(ids(store, None, 0).await.is_empty(), "none, if none are asked for");
}

async fn revoking(store: &dyn KeyStore) {
    let founder = record("founder000000000");
    let mut second = record("second0000000000");
    second.family = founder.family;
    let other = record("other00000000000");
    for record in [&founder, &second, &other] {
        done("insert", store.insert(record, Asked::default()).await);
    }
    let key = Revoke::Key(second.id);
    assert_eq!(done("revoke", store.revoke(&key, NOW + 1).await).len(), 1, "one key is revoked");
    assert_eq!(done("revoke", store.revoke(&key, NOW + 2).await).len(), 0, "a key is revoked once");
    let revoked = found(store, &second.id).await.and_then(|key| key.revoked_at);
    assert_eq!(revoked, Some(NOW + 1), "the first time is kept");
    let family = Revoke::Family(founder.family);
    assert_eq!(done("revoke", store.revoke(&family, NOW + 3).await).len(), 1, "the rest of the family is revoked");
    assert!(found(store, &founder.id).await.is_some_and(|key| key.revoked_at == Some(NOW + 3)), "the whole family");
    assert!(found(store, &other.id).await.is_some_and(|key| key.revoked_at.is_none()), "nobody else");
    let missing = Revoke::Key(record("missing000000000").id);
    assert_eq!(done("revoke", store.revoke(&missing, NOW).await).len(), 0, "what is not there is not revoked");
}

async fn replacing(store: &dyn KeyStore) {
    let old = record("old0000000000000");
    let mut new = record("new0000000000000");
    new.family = old.family;
    done("insert", store.insert(&old, Asked::default()).await);
    let taken = store.replace(&old.id, NOW + 9, &old, Asked::default()).await;
    assert_eq!(taken, Err(StoreError::Conflict), "the new id must be free");
    assert_eq!(found(store, &old.id).await.as_ref(), Some(&old), "a conflict changes nothing");
    done("replace", store.replace(&old.id, NOW + 9, &new, Asked::default()).await);
    let replaced = found(store, &old.id).await.map(|key| (key.rotated_to, key.rotated_at, key.grace_until));
    let expected = (Some(new.id), Some(NOW), Some(NOW + 9));
    assert_eq!(replaced, Some(expected), "the old key knows its successor, since when, and its end");
    assert_eq!(found(store, &new.id).await.as_ref(), Some(&new), "the new key is kept");
    let third = record("third00000000000");
    let again = store.replace(&old.id, NOW + 99, &third, Asked::default()).await;
    assert_eq!(again, Err(StoreError::Conflict), "a key is replaced once");
    done("revoke", store.revoke(&Revoke::Key(new.id), NOW).await);
    let revoked = store.replace(&new.id, NOW + 9, &third, Asked::default()).await;
    assert_eq!(revoked, Err(StoreError::Conflict), "a revoked key is not replaced");
    let (fourth, mut fifth) = (record("fourth0000000000"), record("fifth00000000000"));
    done("insert", store.insert(&fourth, Asked::default()).await);
    fifth.version = 2;
    let changed = store.replace(&fourth.id, NOW + 9, &fifth, Asked::default()).await;
    assert_eq!(changed, Err(StoreError::Conflict), "a key is replaced by one of its own version");
    let missing = store.replace(&record("missing000000000").id, NOW, &third, Asked::default()).await;
    assert_eq!(missing, Err(StoreError::Conflict), "what is not there is not replaced");
    assert_eq!(found(store, &third.id).await, None, "a conflict adds nothing");
}

async fn first_admin(store: &dyn KeyStore) {
    let insert = async |id: &str, now| store.insert_first_admin(&admin_record(id), now).await;
    done("insert", store.insert(&record("inference0000000"), Asked::default()).await);
    let mut expired = admin_record("expired000000000");
    expired.terms.expires_at = Some(NOW);
    done("insert", store.insert(&expired, Asked::default()).await);
    let mut rotated = admin_record("rotated000000000");
    rotated.grace_until = Some(NOW - 1);
    done("insert", store.insert(&rotated, Asked::default()).await);
    let mut weak = admin_record("weak000000000000");
    let acts = AdminScopes::new([AdminAct::KeysWrite, AdminAct::MetricsRead]);
    // A pattern that looks like an act is none.
    let grants = InferenceScopes::new(["tenants:all"], [Operation::Chat]);
    weak.terms.scopes = Scopes::Admin(done("acts", acts).with_grants(done("grants", grants)));
    done("insert", store.insert(&weak, Asked::default()).await);
    assert_eq!(insert("early00000000000", NOW - 2).await, Err(StoreError::Conflict), "two admin keys work then");
    assert_eq!(insert("first00000000000", NOW).await, Ok(()), "no admin key works any more");
    assert_eq!(insert("second0000000000", NOW).await, Err(StoreError::Conflict), "there is a first one");
    done("revoke", store.revoke(&Revoke::Key(admin_record("first00000000000").id), NOW).await);
    assert_eq!(insert("third00000000000", NOW).await, Ok(()), "a revoked admin key does not work");
    assert_eq!(ids(store, None, 10).await.len(), 6, "a conflict adds nothing");
}

async fn touching(store: &dyn KeyStore) {
    let (one, two) = (record("one0000000000000"), record("two0000000000000"));
    for record in [&one, &two] {
        done("insert", store.insert(record, Asked::default()).await);
    }
    let missing = record("missing000000000").id;
    let later = NOW + 1_000;
    done("touch", store.touch(&[(one.id, later), (missing, later), (two.id, NOW)]).await);
    done("touch", store.touch(&[(one.id, NOW), (two.id, later)]).await);
    for key in [&one, &two] {
        let used = found(store, &key.id).await.and_then(|key| key.last_used_at);
        assert_eq!(used, Some(later), "the latest use is kept");
    }
}

async fn updating(store: &dyn KeyStore) {
    let (founder, mut second, other) =
        (record("founder000000000"), record("second0000000000"), record("other00000000000"));
    second.family = founder.family;
    for record in [&founder, &second, &other] {
        done("insert", store.insert(record, Asked::default()).await);
    }
    let mut after = second.clone();
    after.name = "another name".to_owned();
    after.terms = full("AAAAAAAAAAAAAAAA").terms;
    after.version = 2;
    done("update", store.update(&after, Asked::default()).await);
    for id in [&founder.id, &second.id] {
        let found = found(store, id).await.map(|key| (key.name, key.terms, key.version));
        let expected = (after.name.clone(), after.terms.clone(), 2);
        assert_eq!(found, Some(expected), "a family has one name, one set of terms and one version");
    }
    assert_eq!(found(store, &other.id).await.as_ref(), Some(&other), "nobody else changes");
    assert_eq!(store.update(&after, Asked::default()).await, Err(StoreError::Conflict), "a version is left once");
    after.version = 4;
    assert_eq!(store.update(&after, Asked::default()).await, Err(StoreError::Conflict), "and to the next one only");
    let mut missing = record("missing000000000");
    missing.version = 2;
    assert_eq!(
        store.update(&missing, Asked::default()).await,
        Err(StoreError::Conflict),
        "what is not there does not change"
    );
}

async fn rehashing(store: &dyn KeyStore) {
    let key = record("aaaaaaaaaaaaaaaa");
    done("insert", store.insert(&key, Asked::default()).await);
    let to = SecretHash { cost: Cost::OWASP, salt: [3; 16], output: [4; 32] };
    let rehash = Rehash { id: &key.id, from: &key.hash, to: &to, pepper_kid: '9' };
    assert!(done("rehash", store.rehash(rehash).await), "what was there is replaced");
    assert!(!done("rehash", store.rehash(rehash).await), "once");
    let found = found(store, &key.id).await.map(|key| (key.hash, key.pepper_kid));
    assert_eq!(found, Some((to, '9')), "with the name of its pepper");
    let peppers = done("peppers", store.peppers().await);
    assert_eq!(peppers, ['9', 'a'], "a key needs the pepper of its hash and the one of its tag");
    done("revoke", store.revoke(&Revoke::Key(key.id), NOW).await);
    assert!(done("peppers", store.peppers().await).is_empty(), "a revoked key needs none");
}

async fn ending(store: &dyn KeyStore) {
    let mut keys = ["a", "b", "c", "d", "e"].map(|letter| record(&letter.repeat(16)));
    let [expires, replaced, both, endless, revoked] = &mut keys;
    expires.terms.expires_at = Some(NOW + 10);
    replaced.grace_until = Some(NOW + 19);
    (both.terms.expires_at, both.grace_until) = (Some(NOW + 99), Some(NOW + 15));
    endless.terms.expires_at = Some(NOW + 20);
    (revoked.terms.expires_at, revoked.revoked_at) = (Some(NOW + 15), Some(NOW));
    for record in &keys {
        done("insert", store.insert(record, Asked::default()).await);
    }
    let ids = async |after: Option<&KeyRecord>, limit| {
        let ending = store.ending(NOW + 10..NOW + 20, after.map(|key| &key.id), limit).await;
        let ending = done("ending", ending);
        ending.iter().map(|key| key.id.as_str().chars().take(1).collect()).collect::<Vec<String>>()
    };
    assert_eq!(ids(None, 10).await, ["a", "b", "c"], "those that end in that time, the earlier of two ends counting");
    assert_eq!(ids(None, 2).await, ["a", "b"], "no more than asked for");
    assert_eq!(ids(keys.get(1), 2).await, ["c"], "a list goes on after a key");
}

fn asking(once: &OnceRecord) -> Asked<'_> {
    Asked { once: Some(once), ..Asked::default() }
}

async fn asking_twice(store: &dyn KeyStore) {
    let (one, two, maker) = (record("one0000000000000"), record("two0000000000000"), record("maker00000000000"));
    let family: FamilyId = maker.id.into();
    let once = |key: &KeyRecord, end| OnceRecord::new(family, ("token".to_owned(), [5; 32]), [6; 32], key.id, end);
    done("insert", store.insert(&one, asking(&once(&one, NOW + 10))).await);
    let known = async |family, token: &str, now| done("find_once", store.find_once(&family, token, now).await);
    assert_eq!(known(family, "token", NOW + 9).await, Some(once(&one, NOW + 10)), "what was asked for is known");
    assert_eq!(known(family, "token", NOW + 10).await, None, "for a while");
    assert_eq!(known(family, "Token", NOW).await, None, "by its very token");
    assert_eq!(known(one.family, "token", NOW).await, None, "and its own maker");
    let again = store.insert(&two, asking(&once(&two, NOW + 10))).await;
    assert_eq!(again, Err(StoreError::Conflict), "a token is taken once");
    assert_eq!(found(store, &two.id).await, None, "a conflict adds nothing");
    let again = store.replace(&one.id, NOW, &two, asking(&once(&two, NOW + 10))).await;
    assert_eq!(again, Err(StoreError::Conflict), "also for a key that replaces another");
    assert_eq!(found(store, &one.id).await.as_ref(), Some(&one), "a conflict changes nothing");
    let mut later = record("later00000000000");
    later.created_at = NOW + 10;
    done("insert", store.insert(&later, asking(&once(&later, NOW + 20))).await);
    assert_eq!(known(family, "token", NOW + 10).await, Some(once(&later, NOW + 20)), "what has expired is free");
    done("forget_once", store.forget_once(NOW + 19).await);
    assert!(known(family, "token", NOW + 10).await.is_some(), "what has not expired is kept");
    done("forget_once", store.forget_once(NOW + 20).await);
    assert_eq!(known(family, "token", NOW + 10).await, None, "what has is forgotten");
}

async fn askers(store: &dyn KeyStore) {
    let (admin, key, new) = (admin_record("admin00000000000"), record("key0000000000000"), record("new0000000000000"));
    let asked = Asked { by: Some(&admin.id), once: None };
    let mut changed = key.clone();
    changed.version = 2;
    let nobody = store.insert(&new, asked).await;
    assert_eq!(nobody, Err(StoreError::AskerRevoked), "who is not there asks for nothing");
    done("insert", store.insert(&admin, Asked::default()).await);
    done("insert", store.insert(&key, asked).await);
    done("revoke", store.revoke(&Revoke::Key(admin.id), NOW).await);
    assert_eq!(store.insert(&new, asked).await, Err(StoreError::AskerRevoked), "nor who is revoked");
    assert_eq!(store.replace(&key.id, NOW, &new, asked).await, Err(StoreError::AskerRevoked), "by rotation");
    assert_eq!(store.update(&changed, asked).await, Err(StoreError::AskerRevoked), "or by a change");
    assert_eq!(found(store, &key.id).await.as_ref(), Some(&key), "nothing has changed");
    assert_eq!(found(store, &new.id).await, None, "nothing is new");
}

async fn tenants(store: &dyn KeyStore) {
    let default = done("find_tenant", store.find_tenant(&Tenant::default()).await);
    assert!(default.is_some_and(|tenant| tenant.revoked_at.is_none()), "the default tenant is there");
    let acme = TenantRecord::new(tenant("acme"), "Acme '; -- \u{1f511}".to_owned(), NOW);
    done("insert_tenant", store.insert_tenant(&acme).await);
    assert_eq!(store.insert_tenant(&acme).await, Err(StoreError::Conflict), "a name is taken once");
    let default = TenantRecord::new(Tenant::default(), String::new(), NOW);
    assert_eq!(store.insert_tenant(&default).await, Err(StoreError::Conflict), "the default one's, too");
    assert_eq!(done("find_tenant", store.find_tenant(&acme.id).await).as_ref(), Some(&acme), "a tenant is kept");
    done("insert_tenant", store.insert_tenant(&TenantRecord::new(tenant("Zeta"), String::new(), NOW)).await);
    let names = async |after: Option<&Tenant>, limit| {
        let listed = done("list_tenants", store.list_tenants(after, limit).await);
        listed.into_iter().map(|tenant| tenant.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(None, 10).await, ["Zeta", "acme", "default"], "tenants are listed in byte order");
    assert_eq!(names(Some(&tenant("Zeta")), 1).await, ["acme"], "a list goes on after a name");

    let (mut theirs, ours) = (record("theirs0000000000"), record("ours000000000000"));
    theirs.tenant = acme.id.clone();
    for key in [&theirs, &ours] {
        done("insert", store.insert(key, Asked::default()).await);
    }
    let listed = done("list", store.list(Some(&acme.id), None, 10).await);
    assert_eq!(listed, [theirs.clone()], "the keys of one tenant");
    let mut lost = record("lost000000000000");
    lost.tenant = tenant("nobody");
    assert_eq!(store.insert(&lost, Asked::default()).await, Err(StoreError::Conflict), "a key needs a tenant");
    let revoke = Revoke::Tenant(acme.id.clone());
    assert_eq!(done("revoke", store.revoke(&revoke, NOW + 1).await).len(), 1, "its keys are revoked");
    assert_eq!(done("revoke", store.revoke(&revoke, NOW + 2).await).len(), 0, "a tenant is revoked once");
    let at = done("find_tenant", store.find_tenant(&acme.id).await).and_then(|tenant| tenant.revoked_at);
    assert_eq!(at, Some(NOW + 1), "the first time is kept");
    assert!(found(store, &ours.id).await.is_some_and(|key| key.revoked_at.is_none()), "nobody else's");
    lost.tenant = acme.id.clone();
    assert_eq!(store.insert(&lost, Asked::default()).await, Err(StoreError::Conflict), "a revoked tenant gets no keys");
    let mut newer = record("newer00000000000");
    newer.tenant = acme.id;
    let replaced = store.replace(&theirs.id, NOW, &newer, Asked::default()).await;
    assert_eq!(replaced, Err(StoreError::Conflict), "nor by rotation");
}
