#![doc = include_str!("../README.md")]

mod checkpoint;
mod clean;
mod digest;
mod error;
mod export;
mod find;
mod folder;
mod inquiry;
mod key;
mod keys;
mod log;
mod note;
mod path;
mod proof;
mod record;
mod recover;
mod remove;
mod secret_file;
mod segment;
mod sink;
mod start;
#[cfg(feature = "testing")]
pub mod testing;
mod tree;
mod verification;
mod verify;
mod writer;

pub use checkpoint::{Checkpoint, InvalidCheckpoint};
pub use clean::clean;
pub use digest::{DigestKey, Digester};
pub use error::{AuditError, KeyError};
pub use export::{ExportError, export, export_line};
pub use find::{find, find_indexed, find_last, open_intents};
pub use inquiry::{Examination, Found, Inquiry};
pub use key::{SigningKey, VerifyingKey};
pub use log::{Kept, Log, Receipt};
pub use proof::{Growth, InvalidProof, Proof};
pub use record::{Act, Ended, Input, Intent, KeyChange, Noted, Outcome, Peer, Record, Refusal, Released, Who};
pub use remove::Removal;
pub use segment::SegmentFile;
pub use sink::{BoxFuture, Sink};
pub use start::{InvalidMark, Mark};
pub use tree::Tree;
pub use verification::Verified;
pub use verify::{VerifyError, examine, prove, prove_growth, removable, verify, verify_against, verify_since};

/// Most bytes of one record as it is stored.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;
