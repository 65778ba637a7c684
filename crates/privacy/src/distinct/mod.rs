//! Budgets of distinct queries: how much of a model somebody may ask, whatever it answers.
//!
//! Noise and rounding make copying a model dearer, a few times over; what bounds it is how many different
//! questions are answered. So these are counted, for each [`Bucket`] that the caller names: the family of a key
//! **and** its tenant, so that new keys, or many of them, gain nothing.
//!
//! # What counts
//!
//! | a query is | when, in this bucket and window | it costs |
//! |---|---|---|
//! | a repeat | one with the same [`QueryDigest`] was counted | nothing, also at the limit |
//! | near | it is none, but its [`Sketch`] is within [`Sketch::NEAR`] bits of one of the last ones | 1 |
//! | new | it is neither | 1 |
//!
//! - **Honest repeats are free**: health checks, tries again, popular prompts. An answer that was given once tells
//!   nothing the second time, if what is asked is the same to the bit; so the digest takes in everything that the
//!   answer depends on, and normalises nothing that a model may see. Folded case or white space would be a
//!   free query for each way to write the same text. Minus zero is zero, and that is all. A model that draws its
//!   answers tells more each time it is asked: where that matters, make each of its queries another one, by `also`.
//! - **Jitter pays the full price.** Averaging noise needs copies of one input that differ a little, and each of them
//!   costs what a new query costs. No discount for what is near can be gamed, because there is none; that it
//!   was near is counted apart, as a sign of what the caller is doing.
//! - A window is a day or a month of UTC, not a sliding one: a caller can use two budgets in a short time
//!   around midnight of the first, but never more than one a month over the months.
//!
//! Up to [`EXACT`] distinct queries in a window are counted exactly. Beyond, an estimate goes on from there, with a
//! standard error of 0.6 % of what came after, and repeats are known of a random [`EXACT`] of the queries; one that
//! is not known to be a repeat is refused at the limit.

mod budget;
mod cardinality;
mod key;
mod ledger;
mod memory;
mod near;
mod sketch;
#[cfg(feature = "testing")]
pub mod testing;
mod text;
mod vector;

pub use budget::{QueryBudget, SoftAboveHard, Window};
pub use key::{Query, QueryDigest, QueryKey};
pub use ledger::{
    BoxFuture, Bucket, Counted, EXACT, LedgerError, MAX_BUCKETS, MAX_NAME_BYTES, MAX_QUERIES, QueryLedger, Standing,
    Tally, UnixMillis, Verdict, check_call,
};
pub use memory::MemoryQueryLedger;
pub use near::NEAR_SLOTS;
pub use sketch::Sketch;
