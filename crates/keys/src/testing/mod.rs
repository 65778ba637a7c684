//! What every [`KeyStore`] must do. Run it over your own implementation.

#![expect(clippy::panic, reason = "a conformance suite fails by panicking")]

mod revocations;

use std::num::{NonZeroU32, NonZeroU64};

use crate::error::StoreError;
use crate::hash::{Cost, SecretHash};
use crate::id::KeyId;
use crate::limits::{Per, Rate};
use crate::record::KeyRecord;
use crate::scopes::{AdminScopes, InferenceScopes, Operation, Scopes};
use crate::store::{KeyStore, Revoke};

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
}

/// A key as small as it can be; its hash fits no secret.
///
/// # Panics
/// If `id` is no key id.
pub fn record(id: &str) -> KeyRecord {
    let id: KeyId = id.parse().unwrap_or_else(|error| panic!("{error}"));
    let hash = SecretHash { cost: Cost::OWASP, salt: [1; 16], output: [2; 32] };
    let scopes = InferenceScopes::new(["*"], [Operation::Chat]).unwrap_or_else(|error| panic!("{error}"));
    KeyRecord::new(id, "a key".to_owned(), hash, Scopes::Inference(scopes), NOW)
}

/// The same, for administration.
///
/// # Panics
/// If `id` is no key id.
pub fn admin_record(id: &str) -> KeyRecord {
    let mut record = record(id);
    record.scopes = Scopes::Admin(AdminScopes::all());
    record
}

/// A record with something in every field.
fn full(id: &str) -> KeyRecord {
    let mut full = record(id);
    let rate = |units| Rate { units, per: Per::Hour, burst: NonZeroU64::MIN };
    let scopes = InferenceScopes::new(["gpt-*", "\u{e9}'\"\\%_"], Operation::ALL.iter().copied());
    full.scopes = Scopes::Inference(scopes.unwrap_or_else(|error| panic!("{error}")).with_trust_system());
    full.name = "'; DROP TABLE keys; -- \u{1f511} \"\\%_".to_owned();
    full.family = done("family", "Zzzzzzzzzzzzzzz9".parse());
    full.tenant = done("tenant", "a.B-c_9".parse());
    full.pepper_kid = 'z';
    full.limits.requests = Some(rate(NonZeroU64::MIN));
    full.limits.tokens = Some(rate(NonZeroU64::MAX));
    full.limits.input_tokens = Some(rate(NonZeroU64::MAX));
    full.limits.output_tokens = Some(rate(NonZeroU64::MIN));
    full.limits.spend = Some(Rate { units: NonZeroU64::MAX, per: Per::Total, burst: NonZeroU64::MAX });
    full.limits.budget = Some(NonZeroU64::MAX);
    full.limits.concurrent = Some(NonZeroU32::MAX);
    full.not_before = Some(0);
    full.expires_at = Some(1 << 62);
    full.rotated_to = Some(record("rotatedrotated00").id);
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
    let listed = done("list", store.list(after, limit).await);
    listed.iter().map(|record| record.id.as_str().to_owned()).collect()
}

async fn keeping(store: &dyn KeyStore) {
    let (small, full) = (record("aaaaaaaaaaaaaaaa"), full("AAAAAAAAAAAAAAAA"));
    assert_eq!(found(store, &small.id).await, None, "a fresh store has no keys");
    done("insert", store.insert(&small).await);
    done("insert", store.insert(&full).await);
    assert_eq!(found(store, &small.id).await.as_ref(), Some(&small), "a key is kept as it was given");
    assert_eq!(found(store, &full.id).await.as_ref(), Some(&full), "every field is kept; case matters in ids");
    let mut other = small.clone();
    other.name = "other".to_owned();
    assert_eq!(store.insert(&other).await, Err(StoreError::Conflict), "an id is taken once");
    assert_eq!(found(store, &small.id).await.as_ref(), Some(&small), "a conflict changes nothing");
}

async fn listing(store: &dyn KeyStore) {
    let all = ["0000000000000009", "A000000000000000", "Z000000000000000", "a000000000000000", "z000000000000000"];
    for id in all.iter().rev() {
        done("insert", store.insert(&record(id)).await);
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
        done("insert", store.insert(record).await);
    }
    let key = Revoke::Key(second.id);
    assert_eq!(done("revoke", store.revoke(&key, NOW + 1).await), 1, "one key is revoked");
    assert_eq!(done("revoke", store.revoke(&key, NOW + 2).await), 0, "a key is revoked once");
    let revoked = found(store, &second.id).await.and_then(|key| key.revoked_at);
    assert_eq!(revoked, Some(NOW + 1), "the first time is kept");
    let family = Revoke::Family(founder.family);
    assert_eq!(done("revoke", store.revoke(&family, NOW + 3).await), 1, "the rest of the family is revoked");
    assert!(found(store, &founder.id).await.is_some_and(|key| key.revoked_at == Some(NOW + 3)), "the whole family");
    assert!(found(store, &other.id).await.is_some_and(|key| key.revoked_at.is_none()), "nobody else");
    let missing = Revoke::Key(record("missing000000000").id);
    assert_eq!(done("revoke", store.revoke(&missing, NOW).await), 0, "what is not there is not revoked");
}

async fn replacing(store: &dyn KeyStore) {
    let old = record("old0000000000000");
    let mut new = record("new0000000000000");
    new.family = old.family;
    done("insert", store.insert(&old).await);
    let taken = store.replace(&old.id, NOW + 9, &old).await;
    assert_eq!(taken, Err(StoreError::Conflict), "the new id must be free");
    assert_eq!(found(store, &old.id).await.as_ref(), Some(&old), "a conflict changes nothing");
    done("replace", store.replace(&old.id, NOW + 9, &new).await);
    let replaced = found(store, &old.id).await.map(|key| (key.rotated_to, key.grace_until));
    assert_eq!(replaced, Some((Some(new.id), Some(NOW + 9))), "the old key knows its successor and its end");
    assert_eq!(found(store, &new.id).await.as_ref(), Some(&new), "the new key is kept");
    let third = record("third00000000000");
    let again = store.replace(&old.id, NOW + 99, &third).await;
    assert_eq!(again, Err(StoreError::Conflict), "a key is replaced once");
    done("revoke", store.revoke(&Revoke::Key(new.id), NOW).await);
    let revoked = store.replace(&new.id, NOW + 9, &third).await;
    assert_eq!(revoked, Err(StoreError::Conflict), "a revoked key is not replaced");
    let missing = store.replace(&record("missing000000000").id, NOW, &third).await;
    assert_eq!(missing, Err(StoreError::Conflict), "what is not there is not replaced");
    assert_eq!(found(store, &third.id).await, None, "a conflict adds nothing");
}

async fn first_admin(store: &dyn KeyStore) {
    let insert = async |id: &str, now| store.insert_first_admin(&admin_record(id), now).await;
    done("insert", store.insert(&record("inference0000000")).await);
    let mut expired = admin_record("expired000000000");
    expired.expires_at = Some(NOW);
    done("insert", store.insert(&expired).await);
    let mut rotated = admin_record("rotated000000000");
    rotated.grace_until = Some(NOW - 1);
    done("insert", store.insert(&rotated).await);
    assert_eq!(insert("early00000000000", NOW - 2).await, Err(StoreError::Conflict), "two admin keys work then");
    assert_eq!(insert("first00000000000", NOW).await, Ok(()), "no admin key works any more");
    assert_eq!(insert("second0000000000", NOW).await, Err(StoreError::Conflict), "there is a first one");
    done("revoke", store.revoke(&Revoke::Key(admin_record("first00000000000").id), NOW).await);
    assert_eq!(insert("third00000000000", NOW).await, Ok(()), "a revoked admin key does not work");
    assert_eq!(ids(store, None, 10).await.len(), 5, "a conflict adds nothing");
}

async fn touching(store: &dyn KeyStore) {
    let (one, two) = (record("one0000000000000"), record("two0000000000000"));
    for record in [&one, &two] {
        done("insert", store.insert(record).await);
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
