//! Short ways to make keys, over a store that counts and can be taken away.

use std::net::IpAddr;
use std::sync::Arc;

use keys::testing::CountingStore;
use keys::{
    AdminAct, AdminScopes, InferenceScopes, IssuedKey, Issuer, NewKey, Operation, Peppers, Principal, Revoke, Scopes,
    Terms, UnixMillis, Verifier,
};

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
    pub(crate) store: Arc<CountingStore>,
    pub(crate) verifier: Verifier,
    pub(crate) elsewhere: Issuer,
}

pub(crate) fn setup() -> Setup {
    setup_with(|builder| builder)
}

pub(crate) fn setup_with(change: impl FnOnce(keys::VerifierBuilder) -> keys::VerifierBuilder) -> Setup {
    let store = Arc::new(CountingStore::default());
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
