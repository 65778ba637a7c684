//! What can go wrong with a model server. Nothing here repeats what the server said.

use std::time::Duration;

/// A model server did not answer as it should.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// No connection: nothing was sent.
    #[error("the model server cannot be reached")]
    Unreachable,
    /// The connection broke before the first byte of the answer.
    #[error("the model server closed the connection before it answered")]
    Dropped,
    /// The server took too long.
    #[error("the model server did not answer in time")]
    TimedOut,
    /// The server refused the request as malformed; the caller may be to blame.
    #[error("the model server refused the request")]
    Refused,
    /// The server has too much to do.
    #[error("the model server is overloaded")]
    Overloaded {
        /// When it asks to be tried again.
        retry_after: Option<Duration>,
    },
    /// The server failed or does not accept our credentials.
    #[error("the model server failed with status {status}")]
    Failed {
        /// Its HTTP status.
        status: u16,
    },
    /// The answer breaks the protocol.
    #[error("the model server broke the protocol")]
    Protocol,
    /// The answer is larger than allowed.
    #[error("the answer of the model server is too large")]
    TooLarge,
    /// The answer broke off half way.
    #[error("the answer of the model server broke off")]
    BrokeOff,
    /// The settings name a server on the link, at a cloud's metadata, or everywhere.
    #[error("no model server may be at that address")]
    Address,
    /// The settings name no usable server.
    #[error("the settings of the model server are not usable")]
    Settings,
}

impl BackendError {
    /// Whether another server may be asked: this one did not take the request, or broke off before the first byte of its
    /// answer, so that at most one more computes it. A server that merely took too long is not asked twice, for it may
    /// still be computing; nor is another one when a server says that it failed at it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable | Self::Address | Self::Dropped | Self::Overloaded { .. } => true,
            Self::Failed { status } => matches!(status, 300..=499 | 502 | 503),
            _ => false,
        }
    }

    /// Whether no byte of the request has left, so that nothing was computed.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Unreachable | Self::Address | Self::Settings)
    }

    /// By the status of an answer that is no success.
    pub(crate) fn from_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            429 => Self::Overloaded { retry_after },
            503 if retry_after.is_some() => Self::Overloaded { retry_after },
            400 | 413 | 422 => Self::Refused,
            _ => Self::Failed { status },
        }
    }
}
