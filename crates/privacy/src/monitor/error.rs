//! Why nothing can be learnt, and why stored bytes are refused.

/// Nothing can be learnt from these traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CalibrationError {
    /// A band needs more principals with enough queries.
    #[error("{found} principals with {queries} queries each are too few, {least} are needed")]
    TooFew {
        /// How many there were.
        found: usize,
        /// The queries that each needs.
        queries: usize,
        /// How many are needed.
        least: usize,
    },
    /// The traces are of more than one projection: of different models or secrets.
    #[error("the traces are of different projections")]
    Mixed,
    /// All queries are the same.
    #[error("the queries do not differ")]
    NoDistance,
}

/// Stored bytes are no state of this kind: they are damaged, of another version or made with another secret or
/// calibration. Begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The first byte names another version, or there is none.
    #[error("the state is of another version")]
    Version,
    /// They were made with another secret, for another model, or with another calibration.
    #[error("the state belongs to another secret, model or calibration")]
    Foreign,
    /// The length or a value is impossible.
    #[error("the state is damaged")]
    Damaged,
}
