//! The Merkle tree of RFC 6962, grown leaf by leaf.

use sha2::{Digest, Sha256};

/// A SHA-256 hash.
pub(crate) type Hash = [u8; 32];

/// A Merkle tree hash over a growing list (RFC 6962, section 2.1, SHA-256). Keeps one hash per bit
/// of its size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// By height: the root of the full subtree that the size has at that bit.
    full: Vec<Option<Hash>>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a leaf; gives its hash.
    pub fn push(&mut self, leaf: &[u8]) -> [u8; 32] {
        let hash = leaf_hash(leaf);
        self.push_subtree(0, hash);
        hash
    }

    /// Adds two to the power of `height` leaves by the root over them. The size must be a multiple of that.
    pub(crate) fn push_subtree(&mut self, height: usize, root: Hash) {
        self.size = self.size.saturating_add(1 << height);
        if self.full.len() < height {
            self.full.resize(height, None);
        }
        let mut carry = root;
        for place in self.full.iter_mut().skip(height) {
            match place.take() {
                Some(left) => carry = node(&left, &carry),
                None => {
                    *place = Some(carry);
                    return;
                }
            }
        }
        self.full.push(Some(carry));
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

    /// Its full subtrees from the first leaf on, as height and root. They are all that is needed to go on.
    pub(crate) fn frontier(&self) -> impl Iterator<Item = (usize, Hash)> {
        self.full.iter().enumerate().rev().filter_map(|(height, root)| root.map(|root| (height, root)))
    }

    /// The tree of this size with these roots of full subtrees; none if their count is wrong.
    pub(crate) fn from_frontier(size: u64, roots: &[Hash]) -> Option<Self> {
        let heights = (0..64_usize).rev().filter(|height| size >> height & 1 == 1);
        let mut tree = Self::new();
        if roots.len() != size.count_ones() as usize {
            return None;
        }
        for (height, root) in heights.zip(roots) {
            tree.push_subtree(height, *root);
        }
        Some(tree)
    }
}

pub(crate) fn leaf_hash(leaf: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

pub(crate) fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}
