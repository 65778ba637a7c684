#![doc = include_str!("../README.md")]

mod clean;
mod digest;
mod error;
mod find;
mod key;
mod log;
mod note;
mod record;
mod recover;
mod secret_file;
mod segment;
mod sink;
#[cfg(feature = "testing")]
pub mod testing;
mod tree;
mod verify;

pub use clean::clean;
pub use digest::{DigestKey, Digester};
pub use error::{AuditError, KeyError};
pub use find::find;
pub use key::{SigningKey, VerifyingKey};
pub use log::{Log, Receipt};
pub use note::{Checkpoint, InvalidCheckpoint};
pub use record::{Act, Ended, Input, Intent, Noted, Outcome, Record, Refusal, Who};
pub use segment::SegmentFile;
pub use sink::{BoxFuture, Sink};
pub use tree::Tree;
pub use verify::{Verification, Verified, VerifyError, verify};

/// Most bytes of one record as it is stored.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;
