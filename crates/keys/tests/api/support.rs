//! A store that counts and can be taken away, and short ways to make keys.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use keys::{
    AdminAct, AdminScopes, Asked, FamilyId, InferenceScopes, IssuedKey, Issuer, KeyId, KeyRecord, KeyStore,
    MemoryKeyStore, NewKey, OnceRecord, Operation, Peppers, Principal, Rehash, Revoke, Scopes, StoreError, Stored,
    Tenant, TenantRecord, Terms, UnixMillis, Verifier,
};
use tokio::sync::oneshot;

pub(crate) const NOW: UnixMillis = 1_800_000_000_000;
pub(crate) const SECOND: u64 = 1_000;

pub(crate) fn peppers() -> Peppers {
    Peppers::from_bytes([('0', [7; 32]), ('1', [8; 32])]).unwrap()
}

pub(crate) fn home() -> IpAddr {
    "192.0.2.1".parse().unwrap()
}

pub(crate) fn inference(models: &[&str]) -> Scopes {
    Scopes::Inference(InferenceScopes::new(models.iter().copied(), [Operation::Chat]).unwrap())
}

pub(crate) fn admin(acts: &[AdminAct]) -> Scopes {
    Scopes::Admin(AdminScopes::new(acts.iter().copied()).unwrap())
}

pub(crate) fn new_key(scopes: Scopes) -> NewKey {
    NewKey::new("test", Terms::new(scopes))
}

/// A store, a verifier over it, and an issuer that the verifier does not know of.
pub(crate) struct Setup {
    pub(crate) store: Arc<Counting>,
    pub(crate) verifier: Verifier,
    pub(crate) elsewhere: Issuer,
}

pub(crate) fn setup() -> Setup {
    setup_with(|builder| builder)
}

pub(crate) fn setup_with(change: impl FnOnce(keys::VerifierBuilder) -> keys::VerifierBuilder) -> Setup {
    let store = Arc::new(Counting::default());
    let verifier = change(Verifier::builder(store.clone(), peppers())).build().unwrap();
    let elsewhere = Issuer::new(store.clone(), peppers());
    Setup { store, verifier, elsewhere }
}

impl Setup {
    pub(crate) async fn key(&self) -> IssuedKey {
        self.key_until(None).await
    }

    pub(crate) async fn key_until(&self, expires_at: Option<UnixMillis>) -> IssuedKey {
        let terms = Terms::new(inference(&["*"])).expires_at(expires_at);
        self.elsewhere.issue(&Principal::system(), NewKey::new("test", terms), NOW).await.unwrap()
    }

    pub(crate) async fn verify(&self, key: &IssuedKey, now: UnixMillis) -> Result<Principal, keys::AuthError> {
        self.verifier.verify(key.secret(), home(), now).await
    }

    pub(crate) async fn revoke_elsewhere(&self, key: &IssuedKey) {
        let target = Revoke::Key(key.record().id);
        self.elsewhere.revoke(&Principal::system(), target, NOW).await.unwrap();
    }
}

/// Counts what is asked of a memory store. Taken away, it is unavailable.
#[derive(Default)]
pub(crate) struct Counting {
    inner: MemoryKeyStore,
    calls: AtomicU64,
    is_away: AtomicBool,
    held: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Counting {
    /// The next `find` reads its row at once and gives it when this is sent.
    pub(crate) fn hold_next_find(&self) -> oneshot::Sender<()> {
        let (release, held) = oneshot::channel();
        *self.held.lock().unwrap() = Some(held);
        release
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn take_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    fn inner<'a, T: Send + 'a>(&'a self, ask: impl FnOnce(&'a MemoryKeyStore) -> Stored<'a, T>) -> Stored<'a, T> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.is_away.load(Ordering::SeqCst) {
            return Box::pin(std::future::ready(Err(StoreError::Unavailable)));
        }
        ask(&self.inner)
    }
}

impl KeyStore for Counting {
    fn find<'a>(&'a self, id: &'a KeyId) -> Stored<'a, Option<KeyRecord>> {
        let held = self.held.lock().unwrap().take();
        self.inner(|store| {
            Box::pin(async move {
                let found = store.find(id).await;
                if let Some(held) = held {
                    held.await.unwrap();
                }
                found
            })
        })
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
        self.inner(|store| store.insert(record, asked))
    }

    fn insert_first_admin<'a>(&'a self, record: &'a KeyRecord, now: UnixMillis) -> Stored<'a, ()> {
        self.inner(|store| store.insert_first_admin(record, now))
    }

    fn replace<'a>(
        &'a self,
        old: &'a KeyId,
        grace_until: UnixMillis,
        new: &'a KeyRecord,
        asked: Asked<'a>,
    ) -> Stored<'a, ()> {
        self.inner(|store| store.replace(old, grace_until, new, asked))
    }

    fn update<'a>(&'a self, record: &'a KeyRecord, asked: Asked<'a>) -> Stored<'a, ()> {
        self.inner(|store| store.update(record, asked))
    }

    fn rehash<'a>(&'a self, rehash: Rehash<'a>) -> Stored<'a, bool> {
        self.inner(|store| store.rehash(rehash))
    }

    fn revoke<'a>(&'a self, target: &'a Revoke, at: UnixMillis) -> Stored<'a, Vec<KeyId>> {
        self.inner(|store| store.revoke(target, at))
    }

    fn list<'a>(
        &'a self,
        tenant: Option<&'a Tenant>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>> {
        self.inner(|store| store.list(tenant, after, limit))
    }

    fn ending<'a>(
        &'a self,
        within: Range<UnixMillis>,
        after: Option<&'a KeyId>,
        limit: usize,
    ) -> Stored<'a, Vec<KeyRecord>> {
        self.inner(|store| store.ending(within, after, limit))
    }

    fn touch<'a>(&'a self, used: &'a [(KeyId, UnixMillis)]) -> Stored<'a, ()> {
        self.inner(|store| store.touch(used))
    }

    fn find_once<'a>(&'a self, maker: &'a FamilyId, token: &'a str, now: UnixMillis) -> Stored<'a, Option<OnceRecord>> {
        self.inner(|store| store.find_once(maker, token, now))
    }

    fn forget_once(&self, now: UnixMillis) -> Stored<'_, ()> {
        self.inner(|store| store.forget_once(now))
    }

    fn peppers(&self) -> Stored<'_, Vec<char>> {
        self.inner(|store| store.peppers())
    }

    fn insert_tenant<'a>(&'a self, tenant: &'a TenantRecord) -> Stored<'a, ()> {
        self.inner(|store| store.insert_tenant(tenant))
    }

    fn find_tenant<'a>(&'a self, id: &'a Tenant) -> Stored<'a, Option<TenantRecord>> {
        self.inner(|store| store.find_tenant(id))
    }

    fn list_tenants<'a>(&'a self, after: Option<&'a Tenant>, limit: usize) -> Stored<'a, Vec<TenantRecord>> {
        self.inner(|store| store.list_tenants(after, limit))
    }
}
