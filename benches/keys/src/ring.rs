//! The keys of a run, and verifiers that know them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use futures_util::future::join_all;
use keys::testing::CountingStore;
use keys::{
    InferenceScopes, Issuer, KeyId, KeyRecord, KeyStore, NewKey, Operation, Peppers, Principal, Scopes, Terms,
    UnixMillis, Verifier, VerifierBuilder,
};

/// Stands still, so that nothing that is remembered grows old.
pub(crate) const NOW: UnixMillis = 1_800_000_000_000;
/// So many milliseconds later all is forgotten, and a key is as new.
pub(crate) const FORGOTTEN: u64 = 301_000;
pub(crate) const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Far more than any part of a run makes.
pub(crate) const NO_THROTTLE: u32 = u32::MAX;

/// A key as its holder and its store have it.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) record: KeyRecord,
}

impl Key {
    pub(crate) fn id(&self) -> KeyId {
        self.record.id
    }
}

pub(crate) fn peppers() -> Peppers {
    Peppers::from_bytes([('0', [7; 32])]).unwrap()
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// As many Argon2 threads as a verifier has by default.
pub(crate) fn lanes() -> usize {
    (cores() / 2).max(1)
}

/// A verifier with the default settings, but for a queue that takes all.
pub(crate) fn builder(store: Arc<dyn KeyStore>) -> VerifierBuilder {
    Verifier::builder(store, peppers()).lanes(lanes()).queue(4_096)
}

/// Issues so many keys over a store, on all cores.
pub(crate) async fn issue(store: Arc<dyn KeyStore>, count: usize, expires_at: Option<UnixMillis>) -> Vec<Key> {
    issue_by(&issuer(store), count, expires_at, NOW).await
}

fn issuer(store: Arc<dyn KeyStore>) -> Issuer {
    builder(store).lanes(cores()).build().unwrap().issuer()
}

pub(crate) async fn issue_by(
    issuer: &Issuer,
    count: usize,
    expires_at: Option<UnixMillis>,
    now: UnixMillis,
) -> Vec<Key> {
    let scopes = Scopes::Inference(InferenceScopes::new(["*"], [Operation::Chat]).unwrap());
    let terms = Terms::new(scopes).expires_at(expires_at);
    let system = Principal::system();
    let issued = join_all((0..count).map(|_| issuer.issue(&system, NewKey::new("bench", terms.clone()), now))).await;
    let key = |issued: keys::IssuedKey| Key { text: issued.secret().to_owned(), record: issued.record().clone() };
    issued.into_iter().map(|issued| key(issued.unwrap())).collect()
}

/// Keys that a verifier remembers, and others that it has not seen.
pub(crate) struct Ring {
    pub(crate) store: Arc<CountingStore>,
    pub(crate) verifier: Verifier,
    pub(crate) warm: Vec<Key>,
    pub(crate) cold: Vec<Key>,
}

impl Ring {
    pub(crate) async fn new(warm: usize, cold: usize) -> Self {
        let store = Arc::new(CountingStore::default());
        // It holds its memory until the verifier's lanes have theirs: what an allocator gets back it keeps for the
        // next, and the growth by the first storm would be hidden.
        let issuer = issuer(store.clone());
        let mut keys = issue_by(&issuer, warm + cold, None, NOW).await;
        let cold = keys.split_off(warm);
        let verifier = builder(store.clone()).build().unwrap();
        for known in join_all(keys.iter().map(|key| verifier.verify(&key.text, HOME, NOW))).await {
            known.unwrap();
        }
        Self { store, verifier, warm: keys, cold }
    }
}
