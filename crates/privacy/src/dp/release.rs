//! What is let out, and what it was paid with.

use std::fmt;

use super::rho::Rho;

/// That so much was reserved in the ledger. It is spent by one release.
#[derive(Debug)]
pub struct Receipt {
    rho: Rho,
    remaining: Rho,
}

impl Receipt {
    /// Only for what the ledger has just reserved, once: `rho`, after which `remaining` is left to the data set.
    pub const fn of_reserved(rho: Rho, remaining: Rho) -> Self {
        Self { rho, remaining }
    }
}

/// How noise was made, for the audit log.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// [`DiscreteLaplace`](super::DiscreteLaplace).
    DiscreteLaplace,
    /// [`DiscreteGaussian`](super::DiscreteGaussian).
    DiscreteGaussian,
    /// [`NoisyMax`](super::NoisyMax).
    NoisyMax,
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiscreteLaplace => "discrete_laplace",
            Self::DiscreteGaussian => "discrete_gaussian",
            Self::NoisyMax => "noisy_max",
        })
    }
}

/// What may leave, and what the audit log says of it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub struct Release<T> {
    /// With noise.
    pub value: T,
    /// How it was made.
    pub mechanism: Mechanism,
    /// What it cost.
    pub rho: Rho,
    /// What was left to the data set when it was paid.
    pub remaining: Rho,
}

/// Nothing was released, and no noise drawn; what was reserved is spent all the same.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// The receipt is of less than the release costs.
    #[error("less was reserved than the release costs")]
    Underpaid,
    /// There are not as many numbers as were declared.
    #[error("there are not as many numbers as were declared")]
    Count,
    /// Fewer voters than the quorum answered.
    #[error("fewer voters than the quorum answered")]
    Quorum,
}

impl<T> Release<T> {
    /// Pays, then draws.
    ///
    /// # Errors
    /// [`ReleaseError::Underpaid`].
    pub(crate) fn paid(
        mechanism: Mechanism,
        rho: Rho,
        receipt: Receipt,
        draw: impl FnOnce() -> T,
    ) -> Result<Self, ReleaseError> {
        if receipt.rho < rho {
            return Err(ReleaseError::Underpaid);
        }
        Ok(Self { value: draw(), mechanism, rho: receipt.rho, remaining: receipt.remaining })
    }
}
