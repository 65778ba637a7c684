//! The Merkle tree of RFC 6962, grown leaf by leaf.

use sha2::{Digest, Sha256};

/// A Merkle tree hash over a growing list (RFC 6962, section 2.1, SHA-256). Keeps one hash per bit
/// of its size.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    size: u64,
    /// By height: the root of the full subtree that the size has at that bit.
    full: Vec<Option<[u8; 32]>>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a leaf; gives its hash.
    pub fn push(&mut self, leaf: &[u8]) -> [u8; 32] {
        let hash: [u8; 32] = Sha256::new().chain_update([0]).chain_update(leaf).finalize().into();
        let mut carry = hash;
        for place in &mut self.full {
            match place.take() {
                Some(left) => carry = node(&left, &carry),
                None => {
                    *place = Some(carry);
                    self.size += 1;
                    return hash;
                }
            }
        }
        self.full.push(Some(carry));
        self.size += 1;
        hash
    }

    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The hash over all leaves.
    pub fn root(&self) -> [u8; 32] {
        let mut subtrees = self.full.iter().flatten();
        match subtrees.next() {
            Some(lowest) => subtrees.fold(*lowest, |right, left| node(left, &right)),
            None => Sha256::digest([]).into(),
        }
    }
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}
