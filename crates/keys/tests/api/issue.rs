//! Issue, rotate, revoke, list: who may, and what comes of it.

use std::sync::Arc;
use std::time::Duration;

use keys::{
    AdminAct, AdminScopes, AuthError, IssueError, Issuer, KeyStore, MAX_GRACE, NewKey, Principal, Revoke, Scopes,
    StoreError, Terms,
};

use crate::support::{NOW, SECOND, Setup, admin, home, inference, new_key, peppers, setup};

const DAY: Duration = Duration::from_secs(86_400);

async fn principal(setup: &Setup, scopes: Scopes, expires_at: Option<u64>) -> Principal {
    let new = NewKey::new("test", Terms::new(scopes).expires_at(expires_at));
    let key = setup.elsewhere.issue(&Principal::system(), new, NOW).await.unwrap();
    setup.verify(&key, NOW).await.unwrap()
}

#[tokio::test]
async fn an_inference_key_administers_nothing() {
    let setup = setup();
    let by = principal(&setup, inference(&["*"]), None).await;
    let (issuer, id) = (setup.verifier.issuer(), *by.key_id());
    let refused = [
        issuer.issue(&by, new_key(inference(&["m"])), NOW).await.map(drop),
        issuer.rotate(&by, &id, DAY, NOW).await.map(drop),
        issuer.revoke(&by, Revoke::Key(id), NOW).await.map(drop),
        issuer.list(&by, None, None, 10, NOW).await.map(drop),
    ];
    assert!(refused.iter().all(|refused| *refused == Err(IssueError::Forbidden)));
}

#[tokio::test]
async fn an_admin_key_hands_on_no_more_than_it_has() {
    let setup = setup();
    let issuer = setup.verifier.issuer();
    let by = principal(&setup, admin(&[AdminAct::KeysWrite]), Some(NOW + 1_000)).await;
    let until = |scopes, end| NewKey::new("test", Terms::new(scopes).expires_at(end));
    let all = || Scopes::Admin(AdminScopes::all());
    let same = || admin(&[AdminAct::KeysWrite]);
    for (new, expected) in [
        (until(inference(&["*"]), Some(NOW + 1_000)), Ok(())),
        (until(same(), Some(NOW + 1_000)), Ok(())),
        (until(inference(&["*"]), None), Err(IssueError::WiderThanMaker("expires_at"))),
        (until(same(), Some(NOW + 1_001)), Err(IssueError::WiderThanMaker("expires_at"))),
        (until(same(), None), Err(IssueError::WiderThanMaker("expires_at"))),
        (until(all(), Some(NOW + 1_000)), Err(IssueError::WiderThanMaker("scopes"))),
    ] {
        assert_eq!(issuer.issue(&by, new.clone(), NOW).await.map(drop), expected, "{new:?}");
    }
    let strong = setup.elsewhere.issue(&Principal::system(), new_key(all()), NOW).await.unwrap();
    let stolen = issuer.rotate(&by, &strong.record().id, DAY, NOW).await.map(drop);
    assert_eq!(stolen, Err(IssueError::WiderThanMaker("scopes")), "rotating a stronger key would give its power away");
    assert_eq!(issuer.list(&by, None, None, 10, NOW).await.map(drop), Err(IssueError::Forbidden));
    let late = issuer.issue(&by, new_key(inference(&["*"])), NOW + 1_000).await.map(drop);
    assert_eq!(late, Err(IssueError::Forbidden), "an expired maker makes nothing");
}

#[tokio::test]
async fn bad_new_keys_are_refused() {
    let setup = setup();
    let system = Principal::system();
    for name in ["", "a\nb", "a\u{0}", &"a".repeat(129)] {
        let new = NewKey::new(name, Terms::new(inference(&["*"])));
        assert_eq!(setup.elsewhere.issue(&system, new, NOW).await.map(drop), Err(IssueError::Name), "{name:?}");
    }
    let key = setup.key().await;
    let named = NewKey::new(format!("key {}", key.secret()), Terms::new(inference(&["*"])));
    assert_eq!(setup.elsewhere.issue(&system, named, NOW).await.map(drop), Err(IssueError::Name), "a key is no name");
    let calls = setup.store.calls();
    let past = NewKey::new("test", Terms::new(inference(&["*"])).expires_at(Some(NOW)));
    assert_eq!(setup.elsewhere.issue(&system, past, NOW).await.map(drop), Err(IssueError::ExpiryInPast));
    assert_eq!(setup.store.calls(), calls);
}

#[tokio::test]
async fn rotation_keeps_the_family_and_ends_the_old_key() {
    let setup = setup();
    let issuer = setup.verifier.issuer();
    let old = setup.key_until(Some(NOW + 10 * 86_400 * SECOND)).await;
    setup.verify(&old, NOW).await.unwrap();
    let new = issuer.rotate(&Principal::system(), &old.record().id, DAY, NOW).await.unwrap();
    assert_ne!(new.secret(), old.secret());
    assert_eq!(new.record().family, old.record().family);
    assert_eq!(new.record().terms, old.record().terms);
    let over = NOW + 86_400 * SECOND;
    assert_eq!(setup.verify(&old, over - 1).await.unwrap().expires_at(), Some(over));
    assert!(setup.verify(&new, over - 1).await.is_ok());
    assert_eq!(setup.verify(&old, over).await.unwrap_err(), AuthError::Expired);
    assert!(setup.verify(&new, over).await.is_ok());
}

#[tokio::test]
async fn only_an_active_key_is_rotated_and_only_once() {
    let setup = setup();
    let (issuer, system) = (setup.verifier.issuer(), Principal::system());
    let rotate = async |id, grace, now| issuer.rotate(&system, &id, grace, now).await.map(drop);
    let (key, ending) = (setup.key().await, setup.key_until(Some(NOW + 1)).await);
    let id = key.record().id;
    assert_eq!(rotate(id, MAX_GRACE + Duration::from_secs(1), NOW).await, Err(IssueError::GraceTooLong));
    assert_eq!(rotate(*system.key_id(), DAY, NOW).await, Err(IssueError::NotFound));
    assert_eq!(rotate(ending.record().id, DAY, NOW + 1).await, Err(IssueError::NotActive));
    assert_eq!(rotate(id, MAX_GRACE, NOW).await, Ok(()));
    assert_eq!(rotate(id, DAY, NOW).await, Err(IssueError::NotActive));
    let revoked = setup.key().await;
    setup.revoke_elsewhere(&revoked).await;
    assert_eq!(rotate(revoked.record().id, DAY, NOW).await, Err(IssueError::NotActive));
}

#[tokio::test]
async fn revoking_a_family_ends_all_its_keys() {
    let setup = setup();
    let (issuer, system) = (setup.verifier.issuer(), Principal::system());
    let old = setup.key().await;
    let new = issuer.rotate(&system, &old.record().id, DAY, NOW).await.unwrap();
    for key in [&old, &new] {
        setup.verify(key, NOW).await.unwrap();
    }
    assert_eq!(issuer.revoke(&system, Revoke::Family(old.record().family), NOW).await.map(|keys| keys.len()), Ok(2));
    for key in [&old, &new] {
        assert_eq!(setup.verify(key, NOW).await.unwrap_err(), AuthError::Revoked);
    }
    assert_eq!(
        issuer.revoke(&system, Revoke::Key(old.record().id), NOW).await.map(|keys| keys.len()),
        Ok(0),
        "again is no error"
    );
    let missing = issuer.revoke(&system, Revoke::Key(*system.key_id()), NOW).await;
    assert_eq!(missing, Err(IssueError::NotFound));
}

#[tokio::test]
async fn keys_are_listed_in_pages() {
    let setup = setup();
    let by = principal(&setup, admin(&[AdminAct::KeysRead]), None).await;
    for _ in 0..4 {
        setup.key().await;
    }
    let first = setup.elsewhere.list(&by, None, None, 3, NOW).await.unwrap();
    let rest = setup.elsewhere.list(&by, None, first.last().map(|key| &key.id), 3, NOW).await.unwrap();
    assert_eq!((first.len(), rest.len()), (3, 2));
    assert!(first.iter().chain(&rest).is_sorted_by_key(|key| key.id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_first_starts_one_gets_a_key() {
    let store = setup().store;
    let starts: Vec<_> = (0..6)
        .map(|_| {
            let issuer = Issuer::new(store.clone(), peppers());
            tokio::spawn(async move { issuer.bootstrap("first", NOW).await })
        })
        .collect();
    let mut keys = Vec::new();
    for start in starts {
        match start.await.unwrap() {
            Ok(key) => keys.push(key),
            Err(error) => assert_eq!(error, IssueError::AlreadyBootstrapped),
        }
    }
    assert_eq!(keys.len(), 1);
    let verifier = keys::Verifier::builder(store, peppers()).build().unwrap();
    let principal = verifier.verify(keys[0].secret(), home(), NOW).await.unwrap();
    assert!(AdminAct::ALL.iter().all(|act| principal.scopes().permits_admin(*act)));
}

#[tokio::test]
async fn without_the_store_nothing_is_issued() {
    let setup = setup();
    let store: Arc<dyn KeyStore> = setup.store.clone();
    setup.store.take_away(true);
    let issued = Issuer::new(store, peppers()).issue(&Principal::system(), new_key(inference(&["*"])), NOW).await;
    assert_eq!(issued.map(drop), Err(IssueError::Store(StoreError::Unavailable)));
}
