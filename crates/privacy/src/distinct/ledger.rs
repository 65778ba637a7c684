//! The seam: who counts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::budget::QueryBudget;
use super::key::Query;

/// A boxed future, so that [`QueryLedger`] stays object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Milliseconds since the Unix epoch.
pub type UnixMillis = u64;

/// So many distinct queries of a bucket and window are counted exactly, and remembered.
pub const EXACT: u64 = 10_000;
/// Most buckets of one call.
pub const MAX_BUCKETS: usize = 8;
/// Most queries of one call.
pub const MAX_QUERIES: usize = 4_096;
/// Most bytes of a bucket's name.
pub const MAX_NAME_BYTES: usize = 256;

/// Whose queries are counted, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub struct Bucket<'a> {
    pub(super) name: &'a str,
    pub(super) budget: QueryBudget,
}

impl<'a> Bucket<'a> {
    /// A bucket such as `{acme}:model:digits` or `{acme}:family:0123:model:digits`. In a Redis Cluster, all buckets
    /// of a call must have the same part in braces.
    pub const fn new(name: &'a str, budget: QueryBudget) -> Self {
        Self { name, budget }
    }

    /// Its name.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// How many there may be.
    pub const fn budget(&self) -> QueryBudget {
        self.budget
    }
}

/// Queries by what they were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// They cost nothing.
    pub repeats: u64,
    /// They cost one each, as new ones do.
    pub near: u64,
    /// They cost one each.
    pub new: u64,
}

impl Tally {
    /// What they cost.
    pub const fn cost(self) -> u64 {
        self.near.saturating_add(self.new)
    }
}

/// How a bucket stands after a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Distinct queries of this window, those of this call included unless it was refused.
    pub distinct: u64,
    /// Whether that is no estimate.
    pub is_exact: bool,
    /// What the queries of this call are in this bucket.
    pub call: Tally,
    /// Repeats and near ones of this window; of those that are new, see `distinct`.
    pub repeats: u64,
    /// See `repeats`.
    pub near: u64,
    /// What the bucket was asked with.
    pub budget: QueryBudget,
    /// When the window ends.
    pub ends: UnixMillis,
}

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All is counted.
    Within,
    /// All is counted; a bucket is beyond its soft limit.
    PastSoft,
    /// Nothing is counted, in no bucket: it would have taken one beyond its hard limit.
    Refused,
}

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    verdict: Verdict,
    standings: Vec<Standing>,
}

impl Counted {
    /// Of how each bucket stands, in the order of the call. For those who implement a ledger: of a refused call,
    /// the standings tell what was there before, and the tally what would have been added.
    pub fn new(is_refused: bool, standings: Vec<Standing>) -> Self {
        let is_past_soft = |standing: &Standing| standing.distinct > standing.budget.soft_limit();
        let verdict = match () {
            () if is_refused => Verdict::Refused,
            () if standings.iter().any(is_past_soft) => Verdict::PastSoft,
            () => Verdict::Within,
        };
        Self { verdict, standings }
    }

    /// What it comes to.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// How each bucket stands, in the order of the call.
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// The place of the first bucket that has no room for the queries of this call.
    pub fn refused_by(&self) -> Option<usize> {
        let is_refused = self.verdict == Verdict::Refused;
        self.standings.iter().position(|standing| is_refused && !standing.has_room())
    }
}

impl Standing {
    /// Whether there was room for the queries of a call that was refused.
    fn has_room(&self) -> bool {
        fits(self.distinct, self.call.cost(), self.budget)
    }
}

/// Whether so many more may be counted. What costs nothing always may.
pub(super) fn fits(distinct: u64, cost: u64, budget: QueryBudget) -> bool {
    cost == 0 || distinct.saturating_add(cost) <= budget.hard_limit()
}

/// Nothing was counted, as far as the ledger knows.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The place where queries are counted cannot be reached; try again later. Who goes on without it has no
    /// budget at all.
    #[error("the ledger of queries cannot be reached")]
    Unavailable,
    /// It has no room for another bucket.
    #[error("the ledger of queries is full")]
    Full,
    /// What is stored under a bucket's name is none; somebody else wrote it.
    #[error("a stored bucket of queries is broken")]
    Corrupt,
    /// No bucket, more than [`MAX_BUCKETS`], one twice, more queries than [`MAX_QUERIES`], a name longer than
    /// [`MAX_NAME_BYTES`], or buckets in several slots of a cluster. A bug of the caller.
    #[error("the queries cannot be counted")]
    Call,
}

/// Counts distinct queries. Every call is atomic over its buckets and queries.
pub trait QueryLedger: Send + Sync {
    /// Counts the queries of one request in all buckets, or in none: if one of them has no room for those that
    /// cost something. A query that is twice in a call is a repeat the second time.
    fn count<'a>(
        &'a self,
        buckets: &'a [Bucket<'a>],
        queries: &'a [Query],
        now: UnixMillis,
    ) -> BoxFuture<'a, Result<Counted, LedgerError>>;
}

impl<L: QueryLedger + ?Sized> QueryLedger for Arc<L> {
    fn count<'a>(
        &'a self,
        buckets: &'a [Bucket<'a>],
        queries: &'a [Query],
        now: UnixMillis,
    ) -> BoxFuture<'a, Result<Counted, LedgerError>> {
        (**self).count(buckets, queries, now)
    }
}

/// Whether a call keeps to what every ledger asks.
///
/// # Errors
/// [`LedgerError::Call`].
pub fn check_call(buckets: &[Bucket<'_>], queries: &[Query]) -> Result<(), LedgerError> {
    let is_twice = |(at, bucket): (usize, &Bucket<'_>)| buckets.iter().skip(at + 1).any(|b| b.name == bucket.name);
    let is_long = |bucket: &Bucket<'_>| bucket.name.len() > MAX_NAME_BYTES;
    let is_wrong = buckets.is_empty()
        || buckets.len() > MAX_BUCKETS
        || queries.len() > MAX_QUERIES
        || buckets.iter().any(is_long)
        || buckets.iter().enumerate().any(is_twice);
    if is_wrong { Err(LedgerError::Call) } else { Ok(()) }
}
