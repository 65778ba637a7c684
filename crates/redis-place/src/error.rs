//! Why a place is of no use.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerError};

/// Why Redis is of no use.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Nobody answers, or not as a server that is in order; try again later.
    #[error("redis cannot be reached")]
    Unavailable,
    /// The server refuses the user, the password, or what the user wants to do.
    #[error("redis refuses the user, the password or the rights")]
    Refused,
    /// No TLS connection could be made: one side does not trust the other's certificate.
    #[error("the certificate of redis, or our own, is not trusted")]
    Untrusted,
    /// The settings name no usable server, for this reason.
    #[error("the settings of redis cannot be used: {0}")]
    Settings(&'static str),
    /// The sentinels do not know the name of the master.
    #[error("the sentinels do not know this master")]
    UnknownMaster,
}

impl From<&RedisError> for PlaceError {
    fn from(error: &RedisError) -> Self {
        // A script that may not do something ends with a plain error, in other words since Redis 7.2.
        let is_of_rights =
            |text: &str| text.contains("The user executing the script can't") || text.contains("ACL failure");
        let refuses = |said: &(usize, ServerError)| {
            matches!(said.1.code(), "NOAUTH" | "WRONGPASS" | "NOPERM") || said.1.details().is_some_and(is_of_rights)
        };
        let said = error.clone().into_server_errors();
        if error.kind() == ErrorKind::AuthenticationFailed || said.is_some_and(|said| said.iter().any(refuses)) {
            return Self::Refused;
        }
        // Wrapped twice: by the runtime, and to be cloned.
        let io = error.source().and_then(|source| source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>());
        let io = io.and_then(|shared| shared.downcast_ref::<io::Error>());
        let is_of_tls = io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>());
        if is_of_tls { Self::Untrusted } else { Self::Unavailable }
    }
}
