//! The cases that every [`ToldStore`] must pass.

use super::{Told, ToldStore};
use crate::PrivacySecret;
use crate::distinct::{QueryDigest, QueryKey};

/// Runs every case on stores that `make` gives, each of them empty.
///
/// # Panics
/// When one fails.
pub async fn suite<S: ToldStore>(make: impl AsyncFn() -> S) {
    let store = make().await;
    let numbers = Told::Numbers(vec![0.25, -3.0, 1e300]);
    assert_eq!(store.find(&question(1)).await, Ok(None), "nobody was told yet");
    assert_eq!(store.keep(&question(1), numbers.clone()).await, Ok(numbers.clone()));
    assert_eq!(store.find(&question(1)).await, Ok(Some(numbers.clone())));
    assert_eq!(store.find(&question(2)).await, Ok(None), "another question");
    let kept = store.keep(&question(1), Told::Place(7)).await;
    assert_eq!(kept, Ok(numbers.clone()), "the first stays");
    assert_eq!(store.find(&question(1)).await, Ok(Some(numbers)));
    assert_eq!(store.keep(&question(3), Told::Place(u32::MAX)).await, Ok(Told::Place(u32::MAX)));
    assert_eq!(store.find(&question(3)).await, Ok(Some(Told::Place(u32::MAX))));
    assert_eq!(store.keep(&question(4), Told::Numbers(Vec::new())).await, Ok(Told::Numbers(Vec::new())));
}

/// The digest of a question by its number.
pub fn question(number: u64) -> QueryDigest {
    let key = QueryKey::new(&PrivacySecret::from_bytes([7; 32]), "m");
    key.bytes(b"", &number.to_le_bytes()).digest()
}
