//! The hashes that a proof consists of (RFC 6962, sections 2.1.1 and 2.1.2), gathered while leaves go by,
//! and what they prove (RFC 9162, sections 2.1.3.2 and 2.1.4.2).

use std::ops::Range;

use crate::tree::{Hash, Tree, node};

/// Gathers the hashes of a proof from leaves in their order, without keeping them.
#[derive(Debug)]
pub(crate) struct Path {
    /// In the order of the proof: which leaves a hash is over, and the tree over them so far.
    parts: Vec<(Range<u64>, Tree)>,
    /// The part that took the last leaf, or the first.
    last: usize,
}

impl Path {
    /// That a leaf is in the tree of this size, which is larger than its index.
    pub(crate) fn inclusion(index: u64, size: u64) -> Self {
        let mut parts = Vec::new();
        let (mut start, mut end) = (0, size);
        while end - start > 1 {
            let middle = split(start, end);
            if index < middle {
                parts.push(middle..end);
                end = middle;
            } else {
                parts.push(start..middle);
                start = middle;
            }
        }
        Self::over(parts)
    }

    /// That the tree of the size `new` begins with that of the size `old`, which is not larger.
    pub(crate) fn consistency(old: u64, new: u64) -> Self {
        let mut parts = Vec::new();
        let (mut start, mut end) = (0, new);
        while 0 < old && old < end {
            let middle = split(start, end);
            if old <= middle {
                parts.push(middle..end);
                end = middle;
            } else {
                parts.push(start..middle);
                start = middle;
            }
        }
        // The old root itself is known to whoever checks.
        if start > 0 {
            parts.push(start..end);
        }
        Self::over(parts)
    }

    fn over(parts: Vec<Range<u64>>) -> Self {
        Self { parts: parts.into_iter().rev().map(|leaves| (leaves, Tree::new())).collect(), last: 0 }
    }

    /// Takes the next leaf, or the root over the next two to the power of `height`.
    pub(crate) fn take(&mut self, first: u64, height: usize, root: Hash) {
        let is_in = |(leaves, _): &(Range<u64>, Tree)| leaves.contains(&first);
        if !self.parts.get(self.last).is_some_and(is_in) {
            let Some(at) = self.parts.iter().position(is_in) else { return };
            self.last = at;
        }
        if let Some((_, tree)) = self.parts.get_mut(self.last) {
            tree.push_subtree(height, root);
        }
    }

    pub(crate) fn hashes(&self) -> Vec<Hash> {
        self.parts.iter().map(|(_, tree)| tree.root()).collect()
    }
}

/// Where the tree over these leaves, two at least, has its left and its right half.
fn split(start: u64, end: u64) -> u64 {
    start + (1 << (end - start - 1).ilog2())
}

/// Climbs from a place in the lowest row of a tree to its root.
struct Climb {
    place: u64,
    last: u64,
}

enum Sibling {
    Left,
    Right,
}

impl Climb {
    /// On which side the next hash of the path stands; none above the root.
    fn step(&mut self) -> Option<Sibling> {
        if self.last == 0 {
            return None;
        }
        let sibling = if self.place & 1 == 1 || self.place == self.last {
            // Where the row ends without a right sibling, the node is its own parent.
            while self.place & 1 == 0 && self.place != 0 {
                self.up();
            }
            Sibling::Left
        } else {
            Sibling::Right
        };
        self.up();
        Some(sibling)
    }

    fn up(&mut self) {
        self.place >>= 1;
        self.last >>= 1;
    }
}

/// The root to which the path leads from a leaf; none if the path does not fit the tree.
pub(crate) fn root_of(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let mut climb = Climb { place: index, last: size - 1 };
    let mut root = leaf;
    for hash in path {
        root = match climb.step()? {
            Sibling::Left => node(hash, &root),
            Sibling::Right => node(&root, hash),
        };
    }
    (climb.last == 0).then_some(root)
}

/// Whether the path leads from the old root to the new one.
pub(crate) fn is_extension(old: (u64, Hash), new: (u64, Hash), path: &[Hash]) -> bool {
    let ((old_size, old_root), (new_size, new_root)) = (old, new);
    if old_size == new_size {
        return path.is_empty() && old_root == new_root;
    }
    if old_size == 0 {
        return path.is_empty() && old_root == Tree::new().root();
    }
    if old_size > new_size {
        return false;
    }
    let mut climb = Climb { place: old_size - 1, last: new_size - 1 };
    while climb.place & 1 == 1 {
        climb.up();
    }
    // A full tree is a node of the new one.
    let (first, path) = match path.split_first() {
        Some(_) if old_size.is_power_of_two() => (old_root, path),
        Some((first, rest)) => (*first, rest),
        None => return false,
    };
    let (mut old_seen, mut new_seen) = (first, first);
    for hash in path {
        match climb.step() {
            Some(Sibling::Left) => (old_seen, new_seen) = (node(hash, &old_seen), node(hash, &new_seen)),
            Some(Sibling::Right) => new_seen = node(&new_seen, hash),
            None => return false,
        }
    }
    climb.last == 0 && old_seen == old_root && new_seen == new_root
}
