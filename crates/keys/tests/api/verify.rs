//! From a key to a principal: every way it can go, and what each costs.

use std::sync::Arc;
use std::time::Duration;

use keys::{Asked, AuthError, Changed, InvalidVerifier, KeyStore, MemoryKeyStore, Principal, Revoke, Tenant, Verifier};

use crate::support::{NOW, SECOND, home, peppers, setup, setup_with};

#[tokio::test]
async fn a_known_key_costs_nothing() {
    let setup = setup();
    let key = setup.key().await;
    let principal = setup.verify(&key, NOW).await.unwrap();
    assert_eq!(principal.key_id(), &key.record().id);
    assert_eq!(principal.family(), &key.record().family);
    assert_eq!((principal.name(), principal.tenant().as_str()), ("test", "default"));
    assert_eq!(principal.scopes(), &key.record().terms.scopes);
    let calls = setup.store.calls();
    for _ in 0..100 {
        setup.verify(&key, NOW + 1).await.unwrap();
    }
    assert_eq!((setup.store.calls(), setup.verifier.hashes()), (calls, 1));
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let setup = setup();
    let key = setup.key().await;
    let principal = setup.verify(&key, NOW).await.unwrap();
    let presented = keys::parse(key.secret(), &peppers()).unwrap();
    let shown = format!("{key:?} {:?} {principal:?} {presented:?}", key.record());
    assert!(!shown.contains(&key.secret()[22..65]));
    assert!(!serde_json::to_string(key.record()).unwrap().contains("argon2"));
    let secret = key.secret()[22..65].to_owned();
    let panicking = std::thread::spawn(move || panic!("{key:?}"));
    let said = *panicking.join().unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("IssuedKey(pck1_") && !said.contains(&secret), "{said}");
}

#[tokio::test]
async fn a_key_without_a_row_costs_as_much_as_one_with() {
    let setup = setup();
    let key = setup.key().await;
    let empty = Verifier::builder(Arc::new(MemoryKeyStore::new()), peppers()).build().unwrap();
    assert_eq!(empty.verify(key.secret(), home(), NOW).await.unwrap_err(), AuthError::Unknown);
    assert_eq!(empty.hashes(), 1, "argon2 runs for nothing");
    assert_eq!(empty.verify(key.secret(), home(), NOW + 1).await.unwrap_err(), AuthError::Unknown);
    assert_eq!(empty.hashes(), 1, "and is remembered");
    assert_eq!(empty.verify(key.secret(), home(), NOW + 11 * SECOND).await.unwrap_err(), AuthError::Unknown);
    assert_eq!(empty.hashes(), 2, "for ten seconds");
}

#[tokio::test]
async fn a_wrong_secret_is_unknown() {
    let setup = setup();
    let (key, other) = (setup.key().await, setup.key().await);
    let mut record = key.record().clone();
    record.hash = other.record().hash.clone();
    let store = MemoryKeyStore::new();
    store.insert(&record, Asked::default()).await.unwrap();
    let verifier = Verifier::builder(Arc::new(store), peppers()).build().unwrap();
    assert_eq!(verifier.verify(key.secret(), home(), NOW).await.unwrap_err(), AuthError::Unknown);
    assert_eq!(verifier.hashes(), 1);
}

#[tokio::test]
async fn a_revoked_key_costs_as_much_as_a_good_one() {
    let setup = setup();
    let key = setup.key().await;
    setup.revoke_elsewhere(&key).await;
    for _ in 0..3 {
        assert_eq!(setup.verify(&key, NOW).await.unwrap_err(), AuthError::Revoked);
    }
    assert_eq!(setup.verifier.hashes(), 1, "argon2 first, then the status, then memory");
}

#[tokio::test]
async fn time_limits_hold_to_the_millisecond() {
    let setup = setup();
    let key = setup.key_until(Some(NOW + 500)).await;
    assert_eq!(setup.verify(&key, NOW + 499).await.unwrap().expires_at(), Some(NOW + 500));
    assert_eq!(setup.verify(&key, NOW + 500).await.unwrap_err(), AuthError::Expired);
    assert_eq!(setup.verifier.hashes(), 1, "a known key expires without argon2");
    let mut record = setup.key().await.record().clone();
    let issued = setup.key().await;
    record.id = issued.record().id;
    record.hash = issued.record().hash.clone();
    record.terms.not_before = Some(NOW + 5);
    let store = MemoryKeyStore::new();
    store.insert(&record, Asked::default()).await.unwrap();
    let verifier = Verifier::builder(Arc::new(store), peppers()).build().unwrap();
    assert_eq!(verifier.verify(issued.secret(), home(), NOW + 4).await.unwrap_err(), AuthError::NotYetValid);
    assert!(verifier.verify(issued.secret(), home(), NOW + 5).await.is_ok());
}

#[tokio::test]
async fn revocation_elsewhere_is_seen_after_the_soft_ttl() {
    let setup = setup();
    let key = setup.key().await;
    setup.verify(&key, NOW).await.unwrap();
    setup.revoke_elsewhere(&key).await;
    assert!(setup.verify(&key, NOW + 30 * SECOND - 1).await.is_ok());
    assert_eq!(setup.verify(&key, NOW + 30 * SECOND).await.unwrap_err(), AuthError::Revoked);
    assert_eq!(setup.verifier.hashes(), 1, "the row is read again, the secret is not hashed again");
}

#[tokio::test]
async fn after_the_hard_ttl_the_secret_is_hashed_again() {
    let setup = setup();
    let key = setup.key().await;
    for second in (0..300).step_by(20) {
        setup.verify(&key, NOW + second * SECOND).await.unwrap();
    }
    assert_eq!(setup.verifier.hashes(), 1);
    setup.verify(&key, NOW + 300 * SECOND).await.unwrap();
    assert_eq!(setup.verifier.hashes(), 2);
}

#[tokio::test]
async fn a_clock_that_steps_back_trusts_nothing_longer() {
    let setup = setup();
    let key = setup.key().await;
    setup.verify(&key, NOW).await.unwrap();
    setup.revoke_elsewhere(&key).await;
    assert_eq!(setup.verify(&key, NOW - 3_600 * SECOND).await.unwrap_err(), AuthError::Revoked);
}

#[tokio::test]
async fn revocation_here_is_seen_at_once() {
    let setup = setup();
    let (key, family_key) = (setup.key().await, setup.key().await);
    let issuer = setup.verifier.issuer();
    for key in [&key, &family_key] {
        setup.verify(key, NOW).await.unwrap();
    }
    issuer.revoke(&Principal::system(), Revoke::Key(key.record().id), NOW).await.unwrap();
    issuer.revoke(&Principal::system(), Revoke::Family(family_key.record().family), NOW).await.unwrap();
    for key in [&key, &family_key] {
        assert_eq!(setup.verify(key, NOW).await.unwrap_err(), AuthError::Revoked);
    }
}

#[tokio::test]
async fn a_check_under_way_does_not_outlive_a_revocation() {
    for is_known in [false, true] {
        let setup = setup();
        let key = setup.key().await;
        if is_known {
            setup.verify(&key, NOW - 40 * SECOND).await.unwrap();
        }
        let (calls, release) = (setup.store.calls(), setup.store.hold_next_find());
        let (verifier, secret) = (setup.verifier.clone(), key.secret().to_owned());
        let check = tokio::spawn(async move { verifier.verify(&secret, home(), NOW).await });
        while setup.store.calls() == calls {
            tokio::task::yield_now().await;
        }
        let revoke = Revoke::Key(key.record().id);
        setup.verifier.issuer().revoke(&Principal::system(), revoke, NOW).await.unwrap();
        assert_eq!(setup.verify(&key, NOW).await.unwrap_err(), AuthError::Revoked, "who comes later does not join it");
        release.send(()).unwrap();
        assert!(check.await.unwrap().is_ok(), "it began before");
        assert_eq!(setup.verify(&key, NOW).await.unwrap_err(), AuthError::Revoked, "but is not remembered");
    }
}

#[tokio::test]
async fn forgetting_reads_the_row_again() {
    let setup = setup();
    let key = setup.key().await;
    let (id, family) = (key.record().id, key.record().family);
    for changed in [Changed::Key(id), Changed::Family(family), Changed::Tenant(Tenant::default()), Changed::All] {
        setup.verify(&key, NOW).await.unwrap();
        let calls = setup.store.calls();
        setup.verifier.forget(&changed);
        setup.verify(&key, NOW).await.unwrap();
        assert_eq!(setup.store.calls(), calls + 1);
    }
}

#[tokio::test]
async fn a_key_that_has_changed_is_read_again_or_refused_but_not_hashed_again() {
    let setup = setup();
    let key = setup.key().await;
    let (id, family) = (key.record().id, key.record().family);
    for changed in [Changed::Key(id), Changed::Family(family), Changed::Tenant(Tenant::default()), Changed::All] {
        setup.verify(&key, NOW).await.unwrap();
        setup.store.take_away(true);
        setup.verifier.forget(&changed);
        assert_eq!(setup.verify(&key, NOW).await.unwrap_err(), AuthError::StoreUnavailable, "{changed}");
        setup.store.take_away(false);
        assert!(setup.verify(&key, NOW).await.is_ok(), "{changed}");
    }
    assert_eq!(setup.verifier.hashes(), 1, "the secret is still known");
    setup.revoke_elsewhere(&key).await;
    setup.verifier.forget(&Changed::Key(id));
    assert_eq!(setup.verify(&key, NOW).await.unwrap_err(), AuthError::Revoked);
    assert_eq!(setup.verifier.hashes(), 1);
}

#[tokio::test]
async fn a_key_that_is_over_is_remembered_as_such_and_comes_back_when_it_is_prolonged() {
    let setup = setup();
    let key = setup.key_until(Some(NOW + 500)).await;
    setup.verify(&key, NOW).await.unwrap();
    let calls = setup.store.calls();
    for _ in 0..3 {
        assert_eq!(setup.verify(&key, NOW + 500).await.unwrap_err(), AuthError::Expired);
    }
    assert_eq!((setup.store.calls(), setup.verifier.hashes()), (calls, 1));
    let mut longer = keys::Change::default();
    longer.expires_at = Some(Some(NOW + 900));
    setup.verifier.issuer().update(&Principal::system(), &key.record().id, longer, NOW + 500).await.unwrap();
    assert!(setup.verify(&key, NOW + 500).await.is_ok());
}

#[tokio::test]
async fn without_the_store_only_known_keys_work() {
    let setup = setup();
    let (known, new) = (setup.key().await, setup.key().await);
    setup.verify(&known, NOW).await.unwrap();
    setup.store.take_away(true);
    let refused = setup.verify(&new, NOW).await.unwrap_err();
    assert_eq!(refused, AuthError::StoreUnavailable);
    assert!(!refused.is_callers_fault());
    assert!(setup.verify(&known, NOW + 299 * SECOND).await.is_ok(), "until the hard end");
    assert_eq!(setup.verify(&known, NOW + 300 * SECOND).await.unwrap_err(), AuthError::StoreUnavailable);
    setup.store.take_away(false);
    assert!(setup.verify(&new, NOW).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_herd_with_one_cold_key_hashes_once() {
    let setup = setup();
    let key = setup.key().await;
    let herd: Vec<_> = (0..200)
        .map(|_| {
            let (verifier, secret) = (setup.verifier.clone(), key.secret().to_owned());
            tokio::spawn(async move { verifier.verify(&secret, home(), NOW).await })
        })
        .collect();
    for one in herd {
        assert!(one.await.unwrap().is_ok());
    }
    assert_eq!(setup.verifier.hashes(), 1);
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_stop_the_others() {
    let setup = setup();
    let key = setup.key().await;
    let mut first = Box::pin(setup.verify(&key, NOW));
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx).is_pending())).await);
    let second = setup.verify(&key, NOW);
    drop(first);
    assert!(second.await.is_ok());
    assert_eq!(setup.verifier.hashes(), 1);
}

#[tokio::test]
async fn too_many_cold_keys_are_shed() {
    let setup = setup_with(|builder| builder.lanes(1).queue(1));
    let mut keys = Vec::new();
    for _ in 0..12 {
        keys.push(setup.key().await);
    }
    let storm: Vec<_> = keys
        .iter()
        .map(|key| {
            let (verifier, secret) = (setup.verifier.clone(), key.secret().to_owned());
            tokio::spawn(async move { verifier.verify(&secret, home(), NOW).await })
        })
        .collect();
    let mut shed = 0;
    for one in storm {
        match one.await.unwrap() {
            Ok(_) => {}
            Err(error) => {
                assert!(matches!(error, AuthError::Busy { .. }) && !error.is_callers_fault());
                shed += 1;
            }
        }
    }
    assert!((1..12).contains(&shed), "{shed} shed");
    assert_eq!(setup.verifier.hashes(), 12 - shed);
    assert!(setup.verify(&keys[11], NOW).await.is_ok(), "later there is room again");
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let setup = setup_with(|builder| builder.cache_capacity(1).lanes(1));
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(setup.key().await);
    }
    for key in &keys {
        setup.verify(key, NOW).await.unwrap();
    }
    for key in &keys {
        setup.verify(key, NOW).await.unwrap();
    }
    assert!(setup.verifier.hashes() > 20, "at most sixteen of twenty are remembered");
}

#[tokio::test]
async fn uses_are_noted_together() {
    let setup = setup();
    let key = setup.key().await;
    setup.verify(&key, NOW).await.unwrap();
    setup.verify(&key, NOW + 7).await.unwrap();
    setup.verifier.note_used().await.unwrap();
    let found = setup.store.find(&key.record().id).await.unwrap().unwrap();
    assert_eq!(found.last_used_at, Some(NOW + 7));
    let calls = setup.store.calls();
    setup.verifier.note_used().await.unwrap();
    assert_eq!(setup.store.calls(), calls, "nothing new, nothing written");
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let build = |change: fn(keys::VerifierBuilder) -> keys::VerifierBuilder| {
        change(Verifier::builder(Arc::new(MemoryKeyStore::new()), peppers())).build().err()
    };
    assert_eq!(build(|builder| builder), None);
    assert_eq!(build(|builder| builder.lanes(0)), Some(InvalidVerifier::Zero("lanes")));
    assert_eq!(build(|builder| builder.queue(0)), Some(InvalidVerifier::Zero("queue")));
    assert_eq!(build(|builder| builder.cache_capacity(0)), Some(InvalidVerifier::Zero("cache_capacity")));
    assert_eq!(build(|builder| builder.failures_per_minute(0)), Some(InvalidVerifier::Zero("failures_per_minute")));
    assert_eq!(build(|builder| builder.soft_ttl(Duration::from_secs(301))), Some(InvalidVerifier::SoftAfterHard));
}
