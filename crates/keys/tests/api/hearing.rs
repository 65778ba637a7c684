//! Verifiers that tell each other, peppers that come and go, hashes that are renewed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use keys::{
    AWAY_TTL, AuthError, BoxFuture, Changed, Heard, Issuer, KeyStore, MemoryKeyStore, MemoryRevocations, Peppers,
    Principal, Revocations, Revoke, Unheard, Verifier,
};
use tokio::sync::mpsc;

use crate::support::{NOW, home, inference, new_key, peppers, setup, setup_with};

/// What is to be heard, and where to say that it was.
type Said = (Heard, mpsc::Sender<()>);

/// Lets a test say what is heard, and waits until it was.
struct Scripted(Mutex<Option<mpsc::Receiver<Said>>>);

impl Scripted {
    fn new() -> (Arc<Self>, mpsc::Sender<Said>) {
        let (say, said) = mpsc::channel(1);
        (Arc::new(Self(Mutex::new(Some(said)))), say)
    }
}

impl Revocations for Scripted {
    fn announce<'a>(&'a self, _changed: &'a Changed) -> BoxFuture<'a, Result<(), Unheard>> {
        Box::pin(std::future::ready(Err(Unheard)))
    }

    fn listen<'a>(&'a self, hear: &'a (dyn Fn(Heard) + Send + Sync)) -> BoxFuture<'a, ()> {
        let mut said = self.0.lock().unwrap().take().unwrap();
        Box::pin(async move {
            while let Some((heard, done)) = said.recv().await {
                hear(heard);
                done.send(()).await.unwrap();
            }
            std::future::pending().await
        })
    }
}

#[tokio::test]
async fn what_one_verifier_revokes_another_refuses() {
    let store: Arc<dyn KeyStore> = Arc::new(MemoryKeyStore::new());
    let revocations = MemoryRevocations::new();
    let verifier = || {
        let builder = Verifier::builder(store.clone(), peppers()).revocations(Arc::new(revocations.clone()));
        builder.build().unwrap()
    };
    let (one, two) = (verifier(), verifier());
    let key = one.issuer().issue(&Principal::system(), new_key(inference(&["*"])), NOW).await.unwrap();
    let following = two.clone();
    tokio::spawn(async move { following.follow(&|_| {}).await });
    for verifier in [&one, &two] {
        verifier.verify(key.secret(), home(), NOW).await.unwrap();
    }
    one.issuer().revoke(&Principal::system(), Revoke::Key(key.record().id), NOW).await.unwrap();
    let refused = async {
        // The other task hears of it when it next runs.
        while two.verify(key.secret(), home(), NOW).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.expect("it is heard");
}

#[tokio::test]
async fn a_verifier_that_cannot_hear_reads_rows_sooner_and_one_that_hears_again_reads_them_at_once() {
    let (scripted, say) = Scripted::new();
    let setup = setup_with(|builder| builder.revocations(scripted));
    let key = setup.key().await;
    let follower = setup.verifier.clone();
    tokio::spawn(async move { follower.follow(&|_| {}).await });
    let hear = async |heard| {
        let (done, mut is_done) = mpsc::channel(1);
        say.send((heard, done)).await.unwrap();
        is_done.recv().await.unwrap();
    };
    let away = u64::try_from(AWAY_TTL.as_millis()).unwrap();
    hear(Heard::Here).await;
    setup.verify(&key, NOW).await.unwrap();
    setup.revoke_elsewhere(&key).await;
    assert!(setup.verify(&key, NOW + away).await.is_ok(), "nobody has said anything");
    hear(Heard::Away).await;
    assert!(setup.verify(&key, NOW + away - 1).await.is_ok());
    assert_eq!(setup.verify(&key, NOW + away).await.unwrap_err(), AuthError::Revoked);

    let key = setup.key().await;
    setup.verify(&key, NOW).await.unwrap();
    setup.revoke_elsewhere(&key).await;
    hear(Heard::Here).await;
    assert_eq!(setup.verify(&key, NOW).await.unwrap_err(), AuthError::Revoked, "something may have been missed");
    assert_eq!(setup.verifier.hashes(), 2, "the secrets are still known");
}

#[tokio::test]
async fn without_anybody_to_tell_a_revocation_still_holds_here() {
    let (scripted, _say) = Scripted::new();
    let setup = setup_with(|builder| builder.revocations(scripted));
    let key = setup.key().await;
    setup.verify(&key, NOW).await.unwrap();
    let revoked = setup.verifier.issuer().revoke(&Principal::system(), Revoke::Key(key.record().id), NOW).await;
    assert_eq!(revoked.map(|keys| keys.len()), Ok(1), "the database has it");
    assert_eq!(setup.verify(&key, NOW).await.unwrap_err(), AuthError::Revoked);
}

/// Tells nobody until it is repaired, and counts what it could tell.
#[derive(Default)]
struct Broken {
    is_repaired: std::sync::atomic::AtomicBool,
    told: Mutex<Vec<Changed>>,
}

impl Revocations for Broken {
    fn announce<'a>(&'a self, changed: &'a Changed) -> BoxFuture<'a, Result<(), Unheard>> {
        let is_repaired = self.is_repaired.load(std::sync::atomic::Ordering::SeqCst);
        if is_repaired {
            self.told.lock().unwrap().push(changed.clone());
        }
        Box::pin(std::future::ready(is_repaired.then_some(()).ok_or(Unheard)))
    }

    fn listen<'a>(&'a self, _hear: &'a (dyn Fn(Heard) + Send + Sync)) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_told_is_told_when_it_can_be() {
    let broken = Arc::new(Broken::default());
    let store = Arc::new(MemoryKeyStore::new());
    let issuer = Issuer::new(store, peppers()).telling(broken.clone());
    for _ in 0..3 {
        let key = issuer.issue(&Principal::system(), new_key(inference(&["*"])), NOW).await.unwrap();
        issuer.revoke(&Principal::system(), Revoke::Key(key.record().id), NOW).await.unwrap();
    }
    // The clock of the test stands still but for these, so that the task that tells again has its turns.
    tokio::time::sleep(Duration::from_secs(5)).await;
    broken.is_repaired.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(*broken.told.lock().unwrap(), [Changed::All], "once, for all of it");
}

#[tokio::test]
async fn a_good_use_renews_the_hash_under_the_newest_pepper() {
    let old = Peppers::from_bytes([('0', [7; 32])]).unwrap();
    let store = Arc::new(MemoryKeyStore::new());
    let key = Issuer::new(store.clone(), old).issue(&Principal::system(), new_key(inference(&["*"])), NOW).await;
    let key = key.unwrap();
    // `peppers` has a newer one, named 1.
    let verifier = Verifier::builder(store.clone(), peppers()).build().unwrap();
    verifier.verify(key.secret(), home(), NOW).await.unwrap();
    let renewed = async {
        // A task of its own does it, beside the answer.
        loop {
            let record = store.find(&key.record().id).await.unwrap().unwrap();
            if record.pepper_kid == '1' {
                return record;
            }
            tokio::task::yield_now().await;
        }
    };
    let record = tokio::time::timeout(Duration::from_secs(5), renewed).await.expect("it is renewed");
    assert_ne!(record.hash, key.record().hash);
    let before = verifier.hashes();
    verifier.verify(key.secret(), home(), NOW + 31_000).await.unwrap();
    assert_eq!(verifier.hashes(), before, "the row that is read again is the one that is known");
    let fresh = Verifier::builder(store.clone(), peppers()).build().unwrap();
    assert!(fresh.verify(key.secret(), home(), NOW).await.is_ok());
    assert_eq!(store.peppers().await.unwrap(), ['0', '1'], "the tag still needs the old one");
}

#[tokio::test]
async fn a_lost_pepper_is_named_and_its_keys_are_refused() {
    let setup = setup();
    let key = setup.key().await;
    let lost = Peppers::from_bytes([('0', [7; 32])]).unwrap();
    let verifier = Verifier::builder(setup.store.clone(), lost).build().unwrap();
    assert_eq!(verifier.verify(key.secret(), home(), NOW).await.unwrap_err(), AuthError::Unknown);
    assert_eq!(verifier.issuer().missing_peppers().await, Ok(vec!['1']));
    assert_eq!(setup.verifier.issuer().missing_peppers().await, Ok(vec![]));
}
