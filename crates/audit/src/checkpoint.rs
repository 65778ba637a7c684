//! Checkpoints: a tree's size and root, signed.

use std::fmt;

use crate::key::{SigningKey, VerifyingKey};
use crate::note::{Note, Origin};
use crate::tree::Tree;

/// The signed size and root of a log. Kept elsewhere, it proves later that nothing before it was
/// changed or removed. Displayed as the signed note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint(Note);

/// A text that is no checkpoint signed by this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint signed by this key")]
pub struct InvalidCheckpoint;

impl Checkpoint {
    /// Reads a signed note and checks its signature. Other signatures in it are passed over.
    ///
    /// # Errors
    /// [`InvalidCheckpoint`].
    pub fn open(note: &str, key: &VerifyingKey) -> Result<Self, InvalidCheckpoint> {
        Self::parse(note).filter(|checkpoint| checkpoint.0.is_signed_by(key)).ok_or(InvalidCheckpoint)
    }

    /// Reads a signed note without a look at its signatures, to see which log it says to be of, and how far.
    ///
    /// # Errors
    /// [`InvalidCheckpoint`].
    pub fn danger_unverified(note: &str) -> Result<Self, InvalidCheckpoint> {
        Self::parse(note).ok_or(InvalidCheckpoint)
    }

    /// As [`Checkpoint::open`], before it is known who must have signed it.
    pub(crate) fn parse(note: &str) -> Option<Self> {
        Note::parse(note).filter(|note| note.more.is_empty()).map(Self)
    }

    pub(crate) fn sign(origin: &Origin, tree: &Tree, key: &SigningKey) -> Self {
        Self(Note::sign(origin, tree, String::new(), &[key]))
    }

    pub(crate) fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        self.0.is_signed_by(key)
    }

    pub(crate) fn as_note(&self) -> &Note {
        &self.0
    }

    /// The name of the log.
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// How many records it covers.
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The root of the tree over them.
    pub fn root(&self) -> &[u8; 32] {
        &self.0.root
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}
