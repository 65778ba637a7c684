//! What can go wrong, and whose fault it is.

use std::time::Duration;

use crate::format::Reason;

/// Why a presented key was not accepted. Callers should be told the same for everything that is
/// [their fault](AuthError::is_callers_fault).
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It has not the form of a key of ours.
    #[error("the key is malformed")]
    Malformed,
    /// No such key, or a wrong secret.
    #[error("the key is unknown")]
    Unknown,
    /// Somebody withdrew it.
    #[error("the key is revoked")]
    Revoked,
    /// Its time is over, or the grace after its rotation.
    #[error("the key has expired")]
    Expired,
    /// Its time has not come.
    #[error("the key is not valid yet")]
    NotYetValid,
    /// It may not be used from this address.
    #[error("the key may not be used from this address")]
    WrongAddress,
    /// What its makers may hand on has become less, and leaves nothing of it; or a maker is gone.
    #[error("the makers of the key leave nothing of it")]
    NothingLeft,
    /// Too many failures from this address.
    #[error("too many failures from this address; retry after {retry_after:?}")]
    Throttled {
        /// When the address may fail again.
        retry_after: Duration,
    },
    /// Too many keys wait to be checked.
    #[error("too many keys wait to be checked; retry after {retry_after:?}")]
    Busy {
        /// A guess.
        retry_after: Duration,
    },
    /// The key store does not answer, or holds something unreadable.
    #[error("the key store is unavailable")]
    StoreUnavailable,
    /// The pepper of this key is not loaded.
    #[error("the pepper of the key is not loaded")]
    PepperMissing,
}

impl AuthError {
    /// Whether another key, or waiting, would have helped; else the gateway is at fault.
    pub fn is_callers_fault(&self) -> bool {
        !matches!(self, Self::Busy { .. } | Self::StoreUnavailable | Self::PepperMissing)
    }

    /// A stable word for the audit trail.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::WrongAddress => "wrong_address",
            Self::NothingLeft => "nothing_left",
            Self::Throttled { .. } => "throttled",
            Self::Busy { .. } => "busy",
            Self::StoreUnavailable => "store_unavailable",
            Self::PepperMissing => "pepper_missing",
        }
    }
}

impl From<Reason> for AuthError {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::UnknownPepper => Self::Unknown,
            _ => Self::Malformed,
        }
    }
}

impl From<StoreError> for AuthError {
    fn from(_: StoreError) -> Self {
        Self::StoreUnavailable
    }
}

/// What a key store can answer instead.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It does not answer. Nothing has changed, as far as is known; retry.
    #[error("the key store is unavailable")]
    Unavailable,
    /// The change does not fit what is there. Nothing has changed; do not retry.
    #[error("the change conflicts with the key store")]
    Conflict,
    /// The key that asks for the change is revoked. Nothing has changed; do not retry.
    #[error("the key that asks for this is revoked")]
    AskerRevoked,
    /// It holds something that cannot be read. A human must look.
    #[error("the key store holds an unreadable row")]
    Corrupt,
    /// It is none that this version can use: no database, another schema, an encoding that does not hold
    /// every text. The log says which.
    #[error("it is no database that this version can use; the log says why")]
    Unusable,
}

/// Why a key was not issued, rotated, revoked or listed. Nothing has changed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The caller may not do this at all.
    #[error("the caller may not do this")]
    Forbidden,
    /// The caller, or whoever made the key, may not give this: it does not have it. The word says what.
    #[error("the key would reach further than its maker: {0}")]
    WiderThanMaker(&'static str),
    /// Between the key and the command line there would be more than [`MAX_MAKERS`](crate::MAX_MAKERS) keys.
    #[error("keys are made by keys that are made by keys, at most {} of them", crate::MAX_MAKERS)]
    TooManyMakers,
    /// The name is empty, longer than 128 bytes, or has control characters or a whole key in it.
    #[error("a name is 1 to 128 bytes without control characters, and holds no key")]
    Name,
    /// It would end before it begins.
    #[error("the key would already have expired")]
    ExpiryInPast,
    /// The grace is longer than [`MAX_GRACE`](crate::MAX_GRACE).
    #[error("the grace of a rotated key is at most seven days")]
    GraceTooLong,
    /// No such key or family.
    #[error("there is no such key")]
    NotFound,
    /// No such tenant, or it is revoked.
    #[error("there is no such tenant, or it is revoked")]
    NoTenant,
    /// The default tenant stays: the first admin key is one of its own.
    #[error("the default tenant cannot be revoked")]
    DefaultTenant,
    /// There is a tenant of this name.
    #[error("there is a tenant of this name")]
    TenantExists,
    /// It is of another version than the caller has seen.
    #[error("the key has changed meanwhile")]
    Changed,
    /// An inference key stays one, and so does an admin key.
    #[error("a key for inference and a key for administration cannot become each other")]
    OtherKind,
    /// The same token came with another request.
    #[error("the idempotency key was used for another request")]
    OtherRequest,
    /// The key is revoked, has ended, or was rotated before.
    #[error("the key is revoked, has expired or was rotated before")]
    NotActive,
    /// There is an admin key; use that one.
    #[error("there is an admin key already")]
    AlreadyBootstrapped,
    /// Too many keys wait to be hashed; retry.
    #[error("too many keys wait to be hashed")]
    Busy,
    /// The operating system has no randomness.
    #[error("the operating system gives no randomness")]
    NoRandomness,
    /// The pepper that the key was made with is not loaded.
    #[error("the pepper of the key is not loaded")]
    PepperMissing,
    /// The key store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
