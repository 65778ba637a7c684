//! Differential privacy, for what it can honestly be claimed: numbers whose sensitivity is enforced by clipping, and
//! a choice among scores whose sensitivity is known. Of the scores or the text of one model it cannot.
//!
//! - Everything is an integer on a fixed [`Grid`]: floating-point noise tells the input by its lowest bits
//!   (Mironov, "On Significance of the Least Significant Bits for Differential Privacy", 2012).
//! - [`DiscreteLaplace`] and [`DiscreteGaussian`] are sampled exactly, in integers, as Canonne, Kamath and Steinke do
//!   ("The Discrete Gaussian for Differential Privacy", 2020); [`NoisyMax`] likewise.
//! - What a release costs is a [`Rho`] of zero-concentrated differential privacy, rounded up, which adds up.
//! - [`Randomness`] is ChaCha20, seeded by the operating system.
//!
//! # Spending
//!
//! What is spent never comes back. It is kept as a quota for ever: for each [`DataSet`], across all keys, and below
//! that for each key. Reserve [`Rho::as_nano`] units of both buckets **before** the release, in one call, and never give
//! them back once noise was drawn; if the ledger is away, there is no release. [`Aggregates::release`] and
//! [`Vote::decide`](crate::vote::Vote::decide) consume the [`Receipt`] of the reservation. An answer that was told
//! before is no new release and costs nothing: a [`ToldStore`] keeps it.
//!
//! # What it does not cover
//!
//! Who sees how long a release took learns a little of the noise. Whether an answer came at all, and how the caller
//! chose what to ask, are not protected.

mod aggregates;
mod clipped;
mod data_set;
mod exact;
mod gaussian;
mod laplace;
mod noisy_max;
mod random;
mod release;
mod rho;
#[cfg(feature = "testing")]
pub mod testing;
mod told;
#[cfg(feature = "testing")]
pub mod told_testing;

pub use aggregates::Aggregates;
pub use clipped::{Clipped, EmptyRange, Grid};
pub use data_set::{DataSet, NANO_RHO, NoName};
pub use gaussian::DiscreteGaussian;
pub use laplace::DiscreteLaplace;
pub use noisy_max::NoisyMax;
pub use random::{NoRandomness, Randomness};
pub use release::{Mechanism, Receipt, Release, ReleaseError};
pub use rho::{Epsilon, NoNumber, Rho, TooMuchNoise};
pub use told::{MemoryToldStore, Told, ToldError, ToldStore};
