//! Requests that come twice.

use std::time::Duration;

use keys::{IssueError, Issuer, NewKey, ONCE_TTL, Once, Principal, Terms};

use crate::support::{NOW, admin, inference, new_key, peppers, setup};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn the_same_request_is_answered_with_the_same_key() {
    let setup = setup();
    let system = Principal::system();
    let ttl = u64::try_from(ONCE_TTL.as_millis()).unwrap();
    let ask = async |token: &str, body: &str, now| {
        let once = Once::new(token, body.as_bytes()).unwrap();
        setup.elsewhere.issue_once(&system, new_key(inference(&["*"])), Some(&once), now).await
    };
    let first = ask("one", "body", NOW).await.unwrap();
    assert!(!first.is_repeated());
    let again = ask("one", "body", NOW + ttl - 1).await.unwrap();
    assert!(again.is_repeated());
    assert_eq!((again.secret(), &again.record().id), (first.secret(), &first.record().id));
    assert!(setup.verify(&again, NOW).await.is_ok());
    assert_eq!(ask("one", "another body", NOW).await.map(drop), Err(IssueError::OtherRequest));
    assert_ne!(ask("two", "body", NOW).await.unwrap().secret(), first.secret());
    assert_ne!(ask("one", "body", NOW + ttl).await.unwrap().secret(), first.secret(), "a day later it is another");
    let other = admin(&[keys::AdminAct::KeysWrite]);
    let other = setup.elsewhere.issue(&system, NewKey::new("other", Terms::new(other)), NOW).await.unwrap();
    let other = setup.verify(&other, NOW).await.unwrap();
    let once = Once::new("one", b"body").unwrap();
    let theirs = setup.elsewhere.issue_once(&other, new_key(inference(&["*"])), Some(&once), NOW).await.unwrap();
    assert_ne!(theirs.secret(), first.secret(), "each maker has words of its own");
}

#[tokio::test]
async fn a_rotation_that_is_asked_for_twice_happens_once() {
    let setup = setup();
    let old = setup.key().await;
    let once = Once::new("rotate", b"body").unwrap();
    let rotate = async || {
        let system = Principal::system();
        setup.elsewhere.rotate_once(&system, &old.record().id, DAY, Some(&once), NOW).await.unwrap()
    };
    let (first, again) = (rotate().await, rotate().await);
    assert_eq!((first.secret(), again.is_repeated()), (again.secret(), true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_at_once_one_makes_the_key_and_all_get_it() {
    let store = setup().store;
    let once = Once::new("one", b"body").unwrap();
    let asks: Vec<_> = (0..8)
        .map(|_| {
            let (issuer, once) = (Issuer::new(store.clone(), peppers()), once.clone());
            tokio::spawn(async move {
                let new = new_key(inference(&["*"]));
                issuer.issue_once(&Principal::system(), new, Some(&once), NOW).await.unwrap()
            })
        })
        .collect();
    let mut keys = Vec::new();
    for ask in asks {
        keys.push(ask.await.unwrap());
    }
    assert!(keys.iter().all(|key| key.secret() == keys[0].secret()));
    assert_eq!(keys.iter().filter(|key| !key.is_repeated()).count(), 1);
    let listed = Issuer::new(store, peppers()).list(&Principal::system(), None, None, 10, NOW).await.unwrap();
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn what_is_stored_gives_no_key_without_the_pepper() {
    let setup = setup();
    let once = Once::new("one", b"body").unwrap();
    let system = Principal::system();
    let key = setup.elsewhere.issue_once(&system, new_key(inference(&["*"])), Some(&once), NOW).await.unwrap();
    let others = keys::Peppers::from_bytes([('0', [7; 32]), ('1', [99; 32])]).unwrap();
    let thief = Issuer::new(setup.store.clone(), others);
    let stolen = thief.issue_once(&system, new_key(inference(&["*"])), Some(&once), NOW).await;
    assert_eq!(stolen.map(drop), Err(IssueError::Store(keys::StoreError::Corrupt)), "it makes another key, of no row");
    assert!(key.secret().starts_with("pck1_1"), "by the pepper that the thief has otherwise");
    let without = Issuer::new(setup.store.clone(), keys::Peppers::from_bytes([('x', [7; 32])]).unwrap());
    let refused = without.issue_once(&system, new_key(inference(&["*"])), Some(&once), NOW).await;
    assert_eq!(refused.map(drop), Err(IssueError::PepperMissing));
}

#[test]
fn words_are_visible_ascii() {
    for bad in ["", "a b", "\u{e9}", "a\n", &"a".repeat(256)] {
        assert!(Once::new(bad, b"").is_err(), "{bad:?}");
    }
    assert!(Once::new(&"a".repeat(255), b"").is_ok());
}
