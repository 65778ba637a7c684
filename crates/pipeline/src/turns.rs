//! Turns: those who ask the same at once wait for each other, so that an answer is paid for once by a gateway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use privacy::distinct::QueryDigest;
use tokio::sync::OwnedMutexGuard;

/// A turn for each question that somebody is asking.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<QueryDigest, Weak<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits until nobody else asks this question here; the turn lasts until the guard is dropped.
    pub(crate) async fn of(&self, question: QueryDigest) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(&question).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let new = Arc::<tokio::sync::Mutex<()>>::default();
                turns.insert(question, Arc::downgrade(&new));
                new
            })
        };
        turn.lock_owned().await
    }
}
