//! What can go wrong.

use std::io;

/// Why a record is not durable, or a log does not open.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The record could not be made durable. Later ones may; retry.
    #[error("the audit log cannot be written")]
    Unavailable,
    /// The log was closed.
    #[error("the audit log is closed")]
    Closed,
    /// The record is longer than [`MAX_RECORD_BYTES`](crate::MAX_RECORD_BYTES). Do not retry.
    #[error("the record is too long")]
    TooLong,
    /// A change of keys is not appended, but made: see [`Log::change_key`](crate::Log::change_key).
    #[error("a change of keys cannot be appended")]
    KeyChange,
    /// The origin is empty, or has spaces, plus signs or control characters; or records are of another log.
    #[error("the origin of an audit log is a name without spaces, plus signs and control characters")]
    Origin,
    /// Another process writes this log.
    #[error("the audit log is in use by another process")]
    InUse,
    /// Fewer records are there than were signed. Restore them; the log refuses to go on without.
    #[error("the audit log has {have} records, its checkpoint says {want}: records were removed")]
    Truncated {
        /// Records there are.
        have: u64,
        /// Records there were.
        want: u64,
    },
    /// What is there is not what was signed.
    #[error("the audit log was changed; the first record known to be wrong, or the end of the wrong range, is {at}")]
    Tampered {
        /// Index of a record, from 0.
        at: u64,
    },
    /// There are records and no checkpoint, or it is signed by another key or for another origin, or the key was
    /// replaced by another.
    #[error("the audit log has no valid checkpoint of this key and origin")]
    Checkpoint,
    /// The files cannot be read or made.
    #[error("the audit log cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Why a key cannot be used.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is not written as it must be.
    #[error("the key is malformed")]
    Malformed,
    /// Others than its owner may read the file.
    #[error("the key file may be read by others than its owner; set its mode to 0600")]
    Exposed,
    /// The file cannot be read or made, or there is no randomness.
    #[error("the key file cannot be read or made: {0}")]
    Io(#[from] io::Error),
}

impl From<crate::secret_file::SecretFileError> for KeyError {
    fn from(error: crate::secret_file::SecretFileError) -> Self {
        match error {
            crate::secret_file::SecretFileError::Exposed => Self::Exposed,
            crate::secret_file::SecretFileError::Io(error) => Self::Io(error),
        }
    }
}
