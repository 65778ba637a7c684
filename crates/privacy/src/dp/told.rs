//! What was released, kept for whoever asks the same again: that is no new release and costs nothing.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::distinct::{BoxFuture, QueryDigest};

/// What was released to one question, with its noise.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// The numbers of an [`Aggregates`](super::Aggregates).
    Numbers(Vec<f64>),
    /// The place that a [`Vote`](crate::vote::Vote) decided on.
    Place(u32),
}

impl Told {
    const NUMBERS: u8 = b'n';
    const PLACE: u8 = b'p';

    /// As a store keeps it: nine bytes a number at most.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Numbers(numbers) => {
                let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
                std::iter::once(Self::NUMBERS).chain(numbers).collect()
            }
            Self::Place(place) => std::iter::once(Self::PLACE).chain(place.to_le_bytes()).collect(),
        }
    }

    /// The same back; none, if the bytes are not those of one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes.split_first()? {
            (&Self::NUMBERS, rest) => {
                let (numbers, rest) = rest.as_chunks::<8>();
                rest.is_empty().then(|| Self::Numbers(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()))
            }
            (&Self::PLACE, rest) => Some(Self::Place(u32::from_le_bytes(rest.try_into().ok()?))),
            _ => None,
        }
    }
}

/// Nobody knows what was told.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ToldError {
    /// The place where it is kept cannot be reached; try again later.
    #[error("what was told before cannot be looked up")]
    Unavailable,
    /// What is kept under the digest was written by somebody else.
    #[error("what is kept of an answer is broken")]
    Corrupt,
}

/// The seam: who keeps what was released. Nothing of it is secret that was not told already; it is known by a keyed
/// digest of the question.
pub trait ToldStore: Send + Sync {
    /// What was told to this question, if that is still known.
    fn find<'a>(&'a self, question: &'a QueryDigest) -> BoxFuture<'a, Result<Option<Told>, ToldError>>;

    /// Keeps what is to be told. What is there already stays, and is given back: so all who ask at once are told the same.
    fn keep<'a>(&'a self, question: &'a QueryDigest, told: Told) -> BoxFuture<'a, Result<Told, ToldError>>;
}

impl<S: ToldStore + ?Sized> ToldStore for Arc<S> {
    fn find<'a>(&'a self, question: &'a QueryDigest) -> BoxFuture<'a, Result<Option<Told>, ToldError>> {
        (**self).find(question)
    }

    fn keep<'a>(&'a self, question: &'a QueryDigest, told: Told) -> BoxFuture<'a, Result<Told, ToldError>> {
        (**self).keep(question, told)
    }
}

/// The last so many in memory, for one gateway. A restart forgets them.
#[derive(Debug)]
pub struct MemoryToldStore {
    most: NonZeroUsize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    told: HashMap<QueryDigest, Told>,
    /// The oldest first.
    order: VecDeque<QueryDigest>,
}

impl MemoryToldStore {
    /// Keeps at most so many, the newest: some 100 bytes each, and eight for each number.
    pub fn new(most: NonZeroUsize) -> Self {
        Self { most, kept: Mutex::default() }
    }

    /// No change is left half done, so a poisoned lock guards whole values.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ToldStore for MemoryToldStore {
    fn find<'a>(&'a self, question: &'a QueryDigest) -> BoxFuture<'a, Result<Option<Told>, ToldError>> {
        Box::pin(async move { Ok(self.lock().told.get(question).cloned()) })
    }

    fn keep<'a>(&'a self, question: &'a QueryDigest, told: Told) -> BoxFuture<'a, Result<Told, ToldError>> {
        Box::pin(async move {
            let mut kept = self.lock();
            if let Some(before) = kept.told.get(question) {
                return Ok(before.clone());
            }
            if kept.order.len() >= self.most.get()
                && let Some(oldest) = kept.order.pop_front()
            {
                kept.told.remove(&oldest);
            }
            kept.order.push_back(*question);
            kept.told.insert(*question, told.clone());
            Ok(told)
        })
    }
}
