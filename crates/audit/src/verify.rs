//! Whether a log is what was signed.

use std::cmp::Ordering;
use std::io;
use std::path::Path;

use serde::de::IgnoredAny;

use crate::key::VerifyingKey;
use crate::note::{Checkpoint, InvalidCheckpoint};
use crate::segment::{invalid, read_checkpoint, read_lines, refuse_torn, segments};
use crate::tree::Tree;

/// A log whose records are those that were signed.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many records the checkpoint covers: none of them was changed, removed or added.
    pub records: u64,
    /// The root over them.
    pub root: [u8; 32],
    /// Whole records after the checkpoint. Nothing is known of them yet.
    pub unsigned: u64,
    /// The checkpoint. Compare it with one that was kept elsewhere: whoever holds the signing key
    /// can write another log.
    pub checkpoint: Checkpoint,
}

/// A log that is not what was signed.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Something was changed.
    #[error("the audit log was changed at or before record {at}")]
    Tampered {
        /// Index of the last record of the range in which something is wrong, from 0.
        at: u64,
    },
    /// Records, or the checkpoint, are missing.
    #[error("the audit log has {have} whole records; its checkpoint covers {}", want.map_or_else(|| "an unknown number".to_owned(), |want| want.to_string()))]
    Incomplete {
        /// Records there are.
        have: u64,
        /// Records there were; `None` if there is no checkpoint.
        want: Option<u64>,
    },
    /// The files cannot be read.
    #[error("the audit log cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Holds records, one after the other, against a checkpoint. [`verify`] does it for a directory; this is
/// for records that are kept elsewhere.
#[derive(Debug)]
pub struct Verification {
    checkpoint: Option<Checkpoint>,
    tree: Tree,
    root: Option<[u8; 32]>,
}

impl Verification {
    /// Begins with the newest checkpoint there is. It must be read before the records, so that what is
    /// written meanwhile comes after it.
    ///
    /// # Errors
    /// [`VerifyError::Tampered`] when the checkpoint is not signed by this key.
    pub fn new(note: Option<&str>, key: &VerifyingKey) -> Result<Self, VerifyError> {
        let checkpoint = note.map(|note| Checkpoint::open(note, key)).transpose();
        let checkpoint = checkpoint.map_err(|InvalidCheckpoint| VerifyError::Tampered { at: 0 })?;
        let mut verification = Self { checkpoint, tree: Tree::new(), root: None };
        verification.compare();
        Ok(verification)
    }

    /// Takes the next record, as it is stored, with the index it is stored under.
    ///
    /// # Errors
    /// [`VerifyError`] when it is not the next or no JSON.
    pub fn take(&mut self, index: u64, record: &[u8]) -> Result<(), VerifyError> {
        self.expect(index)?;
        let read = serde_json::from_slice::<IgnoredAny>(record);
        read.map_err(|_| VerifyError::Tampered { at: self.tree.size() })?;
        self.tree.push(record);
        self.compare();
        Ok(())
    }

    fn compare(&mut self) {
        if self.want() == Some(self.tree.size()) {
            self.root = Some(self.tree.root());
        }
    }

    /// Says what the records are, after the last one.
    ///
    /// # Errors
    /// [`VerifyError`]: `Tampered` for a change, `Incomplete` for what is missing.
    pub fn end(self) -> Result<Verified, VerifyError> {
        let have = self.tree.size();
        match (self.checkpoint, self.root) {
            (Some(checkpoint), Some(root)) if root == *checkpoint.root() => {
                let records = checkpoint.size();
                Ok(Verified { records, root, unsigned: have.saturating_sub(records), checkpoint })
            }
            (Some(checkpoint), Some(_)) => Err(VerifyError::Tampered { at: checkpoint.size().saturating_sub(1) }),
            (checkpoint, _) => Err(VerifyError::Incomplete { have, want: checkpoint.map(|signed| signed.size()) }),
        }
    }

    fn want(&self) -> Option<u64> {
        self.checkpoint.as_ref().map(Checkpoint::size)
    }

    /// A gap is missing records; an overlap is a change.
    fn expect(&self, index: u64) -> Result<(), VerifyError> {
        let have = self.tree.size();
        match index.cmp(&have) {
            Ordering::Equal => Ok(()),
            Ordering::Greater => Err(VerifyError::Incomplete { have, want: self.want() }),
            Ordering::Less => Err(VerifyError::Tampered { at: have }),
        }
    }
}

/// Reads the segments of a directory from the first record and compares them with the checkpoint. A
/// log may be verified while it is written. Holds one record in memory.
///
/// # Errors
/// [`VerifyError`]: `Tampered` for a change, `Incomplete` for what is missing.
pub fn verify(dir: &Path, key: &VerifyingKey) -> Result<Verified, VerifyError> {
    let note = match read_checkpoint(dir) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(VerifyError::Tampered { at: 0 }),
        read => read?,
    };
    let mut verification = Verification::new(note.as_deref(), key)?;
    let mut segments = segments(dir)?.into_iter().peekable();
    while let Some((first, path)) = segments.next() {
        verification.expect(first)?;
        let read = read_lines(&path, &mut |record| {
            let index = verification.tree.size();
            verification.take(index, record).map_err(|_| invalid("a line is no JSON"))
        });
        let is_newest = segments.peek().is_none();
        match read.and_then(|good| if is_newest { Ok(()) } else { refuse_torn(&path, good) }) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(VerifyError::Tampered { at: verification.tree.size() });
            }
            other => other?,
        }
    }
    verification.end()
}
