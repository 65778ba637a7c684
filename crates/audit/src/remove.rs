//! The oldest records of a log, once they were verified, to be removed.

use crate::keys::Change;
use crate::tree::Tree;
use crate::verification::Verification;

/// Records that were verified and may be removed, found by [`removable`](crate::removable) and removed by
/// [`Log::remove`](crate::Log::remove). In their place stays a stub: the tree over them, signed, from
/// which the records after them still verify.
#[derive(Debug)]
pub struct Removal {
    pub(crate) origin: String,
    pub(crate) tree: Tree,
    pub(crate) changes: Vec<Change>,
}

impl Removal {
    /// What was taken so far of the log of this name.
    pub(crate) fn new(origin: String, verification: &Verification) -> Self {
        Self { origin, tree: verification.tree().clone(), changes: verification.keys().changes().to_vec() }
    }

    /// The first record that stays.
    pub fn records(&self) -> u64 {
        self.tree.size()
    }
}
