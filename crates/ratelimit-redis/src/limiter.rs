//! The seam: who keeps the buckets.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::charge::{Actual, Charge};
use crate::decision::{Decision, Reservation, Standing};
use crate::quota::Quota;

/// A boxed future, so that [`Limiter`] stays object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The limiter could not answer. Nobody's charge was taken, as far as it knows.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimiterError {
    /// The place where the buckets live cannot be reached; try again later.
    #[error("the limiter cannot reach its buckets")]
    Unavailable,
    /// The server refuses the user, the password, or what the user wants to do. Only when connecting: later it
    /// is an outage.
    #[error("the server of the limiter refuses its user, password or rights")]
    Refused,
    /// No TLS connection could be made: one side does not trust the other's certificate. Only when connecting.
    #[error("the certificate of the limiter's server, or the limiter's own, is not trusted")]
    Untrusted,
    /// What is stored under a bucket's name is no bucket; somebody else wrote it.
    #[error("a stored bucket is broken")]
    Corrupt,
    /// The settings name no usable server, for this reason.
    #[error("the settings of the limiter cannot be used: {0}")]
    Settings(&'static str),
    /// The sentinels do not know the name of the master. Later that is an outage.
    #[error("the sentinels do not know this master")]
    UnknownMaster,
    /// The server is one of a cluster, whose address begins with `redis+cluster`.
    #[error("the server is one of a cluster: its address begins with redis+cluster")]
    Cluster,
    /// A bucket's name is longer than [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES), a unit of slots has a brace,
    /// or a call has more charges than [`MAX_CHARGES`](crate::MAX_CHARGES). A bug of the caller.
    #[error("the charges cannot be made")]
    Charges,
    /// Two units of a bucket are stored alike; see [`is_same_unit`](crate::is_same_unit). A bug of the caller.
    #[error("two units of a bucket are stored alike")]
    SameUnit,
}

/// Keeps buckets. Every call is atomic over all the charges it is given.
///
/// If the future of a call is dropped before it is ready, what it took is given back as soon as that is
/// known.
pub trait Limiter: Send + Sync {
    /// Takes all charges or none.
    fn reserve<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Decision, LimiterError>>;

    /// Replaces what is held by what it has cost so far, while the work goes on: a long stream is seen by
    /// others. Slots are renewed.
    fn charge<'a>(&'a self, held: &'a mut Reservation, so_far: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>>;

    /// Replaces what is held by what it cost in the end, and frees its slots.
    fn settle<'a>(&'a self, held: Reservation, actual: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>>;

    /// Gives back what is held.
    fn cancel(&self, held: Reservation) -> BoxFuture<'_, Result<(), LimiterError>>;

    /// Empties buckets until nothing fits for `wait`, as when a backend says so. Costs are ignored, and
    /// slots and budgets stay as they are.
    fn penalize<'a>(&'a self, charges: &'a [Charge<'a>], wait: Duration) -> BoxFuture<'a, Result<(), LimiterError>>;

    /// How buckets stand; takes nothing. Costs are ignored.
    fn peek<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Vec<Standing>, LimiterError>>;

    /// Takes one unit of one bucket: the plain one-liner.
    fn check<'a>(&'a self, bucket: &'a str, quota: Quota) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        Box::pin(async move { self.reserve(&[Charge::new(bucket, "requests", quota, 1)]).await })
    }
}

impl<L: Limiter + ?Sized> Limiter for Arc<L> {
    fn reserve<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        (**self).reserve(charges)
    }

    fn charge<'a>(&'a self, held: &'a mut Reservation, so_far: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        (**self).charge(held, so_far)
    }

    fn settle<'a>(&'a self, held: Reservation, actual: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        (**self).settle(held, actual)
    }

    fn cancel(&self, held: Reservation) -> BoxFuture<'_, Result<(), LimiterError>> {
        (**self).cancel(held)
    }

    fn penalize<'a>(&'a self, charges: &'a [Charge<'a>], wait: Duration) -> BoxFuture<'a, Result<(), LimiterError>> {
        (**self).penalize(charges, wait)
    }

    fn peek<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Vec<Standing>, LimiterError>> {
        (**self).peek(charges)
    }
}
