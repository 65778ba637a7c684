//! Whether a log is what was signed.

use std::io;
use std::path::Path;

use serde::de::IgnoredAny;

use crate::key::VerifyingKey;
use crate::note::Checkpoint;
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

/// Reads the segments of a directory from the first record and compares them with the checkpoint. A
/// log may be verified while it is written. Holds one record in memory.
///
/// # Errors
/// [`VerifyError`]: `Tampered` for a change, `Incomplete` for what is missing.
pub fn verify(dir: &Path, key: &VerifyingKey) -> Result<Verified, VerifyError> {
    // First, so that what is written meanwhile comes after it.
    let note = read_checkpoint(dir);
    let checkpoint = match note {
        Ok(Some(note)) => Some(Checkpoint::open(&note, key).map_err(|_| VerifyError::Tampered { at: 0 })?),
        Ok(None) => None,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(VerifyError::Tampered { at: 0 }),
        Err(error) => return Err(error.into()),
    };
    let mut tree = Tree::new();
    let mut root = checkpoint.as_ref().filter(|signed| signed.size() == 0).map(|_| tree.root());
    let want = checkpoint.as_ref().map(Checkpoint::size);
    let mut segments = segments(dir)?.into_iter().peekable();
    while let Some((first, path)) = segments.next() {
        if first != tree.size() {
            return Err(misplaced(first, tree.size(), want));
        }
        let read = read_lines(&path, &mut |record| {
            serde_json::from_slice::<IgnoredAny>(record).map_err(|_| invalid("a line is no JSON"))?;
            tree.push(record);
            if Some(tree.size()) == want {
                root = Some(tree.root());
            }
            Ok(())
        });
        let is_newest = segments.peek().is_none();
        match read.and_then(|good| if is_newest { Ok(()) } else { refuse_torn(&path, good) }) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(VerifyError::Tampered { at: tree.size() });
            }
            other => other?,
        }
    }
    let have = tree.size();
    match (checkpoint, root) {
        (Some(checkpoint), Some(root)) if root == *checkpoint.root() => {
            let records = checkpoint.size();
            Ok(Verified { records, root, unsigned: have.saturating_sub(records), checkpoint })
        }
        (Some(checkpoint), Some(_)) => Err(VerifyError::Tampered { at: checkpoint.size().saturating_sub(1) }),
        (checkpoint, _) => Err(VerifyError::Incomplete { have, want: checkpoint.map(|signed| signed.size()) }),
    }
}

/// A gap is missing records; an overlap is a change.
fn misplaced(first: u64, have: u64, want: Option<u64>) -> VerifyError {
    if first > have { VerifyError::Incomplete { have, want } } else { VerifyError::Tampered { at: have } }
}
