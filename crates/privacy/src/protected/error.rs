//! Why protected texts are not read, and why a file of them is refused.

use std::io;

/// A text or a file that could not be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtectedError {
    /// Reading or writing failed: see to the disk, or try again.
    #[error("reading or writing failed: {0}")]
    Io(io::ErrorKind),
    /// The texts are longer than what there was room for. Whoever builds must give more room.
    #[error("the texts are longer than the {room} bytes there is room for")]
    Room {
        /// How many bytes there was room for.
        room: u64,
    },
    /// There is not so much memory.
    #[error("there is not enough memory for so much room")]
    Memory,
    /// The system has no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// This is no file of protected passages.
    #[error("this is no file of protected passages")]
    Magic,
    /// The file is of another version of this crate: build it anew.
    #[error("the file has version {0}, which is not read here: build it anew")]
    Version(u16),
    /// The file was made with another secret, or its head is damaged.
    #[error("the file was made with another secret, or is damaged")]
    Secret,
    /// The file ends early.
    #[error("the file is cut short")]
    Short,
    /// Something follows the end of the file.
    #[error("the file is longer than it says")]
    Long,
    /// The file is damaged.
    #[error("the file is damaged: its checksum does not fit")]
    Checksum,
}

impl From<io::Error> for ProtectedError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Short,
            kind => Self::Io(kind),
        }
    }
}
