//! The seam: who keeps the buckets, and the words to talk to them.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::quota::Quota;

/// A boxed future, so that [`Limiter`] stays object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// `cost` units of one bucket.
#[derive(Debug, Clone, Copy)]
pub struct Charge<'a> {
    /// Whose bucket it is, such as `key:abc`. Names never mean anything to the limiter.
    pub bucket: &'a str,
    /// What is counted, such as `requests`; also the policy name in headers.
    pub unit: &'static str,
    /// The quota that holds now.
    pub quota: Quota,
    /// How many units.
    pub cost: u64,
}

/// How one bucket stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What is counted.
    pub unit: &'static str,
    /// The quota.
    pub quota: Quota,
    /// Whole units left.
    pub remaining: u64,
    /// Time until more is left; zero for a full bucket.
    pub reset_after: Duration,
}

/// What the limiter says to a set of charges.
#[must_use]
#[derive(Debug)]
pub enum Decision {
    /// All charges are held.
    Allow(Reservation),
    /// At least one does not fit now; none is held.
    Deny(Denial),
    /// At least one is more than its bucket ever holds; none is held, and waiting is useless.
    NeverFits(TooDear),
}

/// Charges that do not fit now.
#[derive(Debug, Clone)]
pub struct Denial {
    pub(crate) unit: &'static str,
    pub(crate) retry_after: Duration,
    pub(crate) standings: Vec<Standing>,
}

impl Denial {
    /// After this time the same charges fit, if nobody else charges the buckets.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }

    /// The unit that has to wait longest.
    pub fn policy(&self) -> &'static str {
        self.unit
    }

    /// How every bucket stands.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }
}

/// A charge that is more than its bucket ever holds.
#[derive(Debug, Clone, Copy)]
pub struct TooDear {
    pub(crate) unit: &'static str,
    pub(crate) cost: u64,
    pub(crate) most: u64,
}

impl TooDear {
    /// The unit in question.
    pub fn policy(&self) -> &'static str {
        self.unit
    }

    /// What it would cost.
    pub fn cost(&self) -> u64 {
        self.cost
    }

    /// What the bucket holds at most.
    pub fn most(&self) -> u64 {
        self.most
    }
}

/// Charges that are held until they are settled or cancelled. Dropped, they stay charged.
#[derive(Debug)]
pub struct Reservation {
    pub(crate) held: Vec<Held>,
    pub(crate) standings: Vec<Standing>,
}

#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) bucket: String,
    pub(crate) unit: &'static str,
    pub(crate) quota: Quota,
    pub(crate) cost: u64,
}

impl Held {
    pub(crate) fn of(charge: &Charge<'_>) -> Self {
        let Charge { bucket, unit, quota, cost } = *charge;
        Self { bucket: bucket.to_owned(), unit, quota, cost }
    }

    pub(crate) fn as_charge(&self) -> Charge<'_> {
        Charge { bucket: &self.bucket, unit: self.unit, quota: self.quota, cost: self.cost }
    }
}

impl Reservation {
    /// How every bucket stood once the charges were taken.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }
}

/// What a request cost in the end, by unit. A unit that is not named keeps its charge.
#[derive(Debug, Clone, Default)]
pub struct Actual {
    units: Vec<(&'static str, u64)>,
}

impl Actual {
    /// Every charge stays as it is.
    pub fn as_charged() -> Self {
        Self::default()
    }

    /// This unit cost so much.
    #[must_use]
    pub fn unit(mut self, unit: &'static str, cost: u64) -> Self {
        self.units.push((unit, cost));
        self
    }

    pub(crate) fn of(&self, unit: &str) -> Option<u64> {
        self.units.iter().find(|(name, _)| *name == unit).map(|(_, cost)| *cost)
    }
}

/// The limiter could not answer. Nobody's charge was taken, as far as it knows.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimiterError {
    /// The place where the buckets live cannot be reached; try again later.
    #[error("the limiter cannot reach its buckets")]
    Unavailable,
    /// What is stored under a bucket's name is no bucket; somebody else wrote it.
    #[error("a stored bucket is broken")]
    Corrupt,
    /// The settings name no usable server.
    #[error("the settings of the limiter are not usable")]
    Settings,
}

/// Keeps buckets. Every call is atomic over all the charges it is given.
pub trait Limiter: Send + Sync {
    /// Takes all charges or none.
    fn reserve<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Decision, LimiterError>>;

    /// Replaces what is held by what it cost in the end.
    fn settle<'a>(&'a self, held: Reservation, actual: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>>;

    /// Gives back what is held.
    fn cancel(&self, held: Reservation) -> BoxFuture<'_, Result<(), LimiterError>>;

    /// How buckets stand; takes nothing. Costs are ignored.
    fn peek<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Vec<Standing>, LimiterError>>;

    /// Takes one unit of one bucket: the plain one-liner.
    fn check<'a>(&'a self, bucket: &'a str, quota: Quota) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        Box::pin(async move { self.reserve(&[Charge { bucket, unit: "requests", quota, cost: 1 }]).await })
    }
}
