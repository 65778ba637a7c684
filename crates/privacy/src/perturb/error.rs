//! Why a perturbation is refused, and why a row is.

/// Settings that make no sense: whoever wrote the configuration is at fault.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PerturbError {
    /// Nothing was set.
    #[error("nothing is to be perturbed: set decimals, smooth noise, or the best few")]
    Nothing,
    /// The best 0.
    #[error("at least the best one must be kept")]
    KeepsNone,
    /// So many decimals hide nothing.
    #[error("{decimals} decimals are no protection; at most {most} are")]
    Decimals {
        /// What was asked for.
        decimals: u8,
        /// The most there may be.
        most: u8,
    },
    /// The strength of the noise is no number, not above 0, or too large to leave anything.
    #[error("the strength of the noise must be above 0 and at most {most}")]
    Strength {
        /// The most it may be.
        most: f64,
    },
    /// Noise needs the name and version of the model.
    #[error("smooth noise needs the name and version of the model")]
    NoModel,
}

/// A row holds an infinity or what is no number, and was set to zeros. The model server is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a value of the answer is not finite")]
pub struct NotFinite;
