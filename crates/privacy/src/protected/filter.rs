//! A set that may say "known" of what it was not given, but never "unknown" of what it was.
//!
//! A Bloom filter in blocks of one cache line with one bit in each word of it (Putze, Sanders, Singler, "Cache-, hash-
//! and space-efficient Bloom filters", 2007; Apache Parquet calls it a split block Bloom filter).

use super::error::ProtectedError;

/// How many bits there are for each fingerprint: about 1 of 200 others is then taken for known.
const BITS: u64 = 12;
const WORDS: usize = 8;
/// How many bytes a block has.
pub(super) const BLOCK: usize = 8 * WORDS;
const BLOCK_BITS: u64 = 8 * BLOCK as u64;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Block([u64; WORDS]);

#[derive(Clone)]
pub(super) struct Filter {
    blocks: Vec<Block>,
}

impl Filter {
    /// Room for so many fingerprints.
    pub(super) fn new(prints: u64) -> Result<Self, ProtectedError> {
        let blocks = (prints.saturating_mul(BITS) / BLOCK_BITS).max(1);
        // No more than 6 bits that count, so that it can be halved often.
        let shift = (u64::BITS - blocks.leading_zeros()).saturating_sub(6);
        let blocks = ((blocks >> shift) + 1) << shift;
        let count = usize::try_from(blocks).map_err(|_| ProtectedError::Memory)?;
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(count).map_err(|_| ProtectedError::Memory)?;
        blocks.resize(count, Block([0; WORDS]));
        Ok(Self { blocks })
    }

    pub(super) fn empty() -> Self {
        Self { blocks: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// In bytes.
    pub(super) fn size(&self) -> usize {
        self.blocks.len() * BLOCK
    }

    /// Adds them all and says how many were unknown.
    pub(super) fn insert(&mut self, prints: impl Iterator<Item = u64> + Clone) -> u64 {
        self.fetch(prints.clone());
        prints.map(|print| u64::from(self.insert_one(print))).sum()
    }

    #[inline]
    fn insert_one(&mut self, print: u64) -> bool {
        let (at, masks) = place(print, self.blocks.len());
        let Some(Block(words)) = self.blocks.get_mut(at) else { return false };
        let mut is_known = true;
        for (word, mask) in words.iter_mut().zip(masks) {
            is_known &= *word & mask != 0;
            *word |= mask;
        }
        !is_known
    }

    /// Brings the blocks of fingerprints into the cache, many at a time: one after the other, each would be waited for.
    #[inline]
    pub(super) fn fetch(&self, prints: impl Iterator<Item = u64>) {
        let first =
            |print| self.blocks.get(block_of(spread(print), self.blocks.len())).map_or(0, |Block([word, ..])| *word);
        std::hint::black_box(prints.fold(0, |all, print| all ^ first(print)));
    }

    #[inline]
    pub(super) fn contains(&self, print: u64) -> bool {
        let (at, masks) = place(print, self.blocks.len());
        let Some(Block(words)) = self.blocks.get(at) else { return false };
        words.iter().zip(masks).fold(true, |is_known, (word, mask)| is_known & (word & mask != 0))
    }

    /// Gives back the room that so many fingerprints do not need.
    pub(super) fn shrink(&mut self, prints: u64) {
        while self.blocks.len().is_multiple_of(2) && prints * BITS <= self.blocks.len() as u64 / 2 * BLOCK_BITS {
            for at in 0..self.blocks.len() / 2 {
                let Some([Block(one), Block(other)]) = self.blocks.get(2 * at..2 * at + 2) else { return };
                let both = std::array::from_fn(|word| one.get(word).unwrap_or(&0) | other.get(word).unwrap_or(&0));
                if let Some(block) = self.blocks.get_mut(at) {
                    *block = Block(both);
                }
            }
            self.blocks.truncate(self.blocks.len() / 2);
        }
        self.blocks.shrink_to_fit();
    }

    /// The bytes of each block.
    pub(super) fn bytes(&self) -> impl Iterator<Item = [u8; BLOCK]> {
        self.blocks.iter().map(|Block(words)| {
            let mut bytes = [0; BLOCK];
            bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(chunk, word)| *chunk = word.to_le_bytes());
            bytes
        })
    }

    /// Adds blocks that were written, and makes room for no more than them.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        let (blocks, _) = bytes.as_chunks::<BLOCK>();
        self.blocks.reserve_exact(blocks.len());
        for block in blocks {
            let (words, _) = block.as_chunks();
            let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
            self.blocks.push(Block(std::array::from_fn(|_| words.next().unwrap_or(0))));
        }
    }
}

/// The block of a fingerprint, and its bit in each word.
#[inline]
fn place(print: u64, blocks: usize) -> (usize, [u64; WORDS]) {
    let hash = spread(print);
    let bits = hash.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    (block_of(hash, blocks), std::array::from_fn(|word| 1 << (bits >> (16 + 6 * word) & 63)))
}

/// Multiplicative hashing: Knuth, "The Art of Computer Programming", volume 3, 6.4.
#[inline]
fn spread(print: u64) -> u64 {
    let hash = (print ^ print >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 32
}

/// With half as many blocks it is half as far, so that neighbours can be joined.
#[inline]
fn block_of(hash: u64, blocks: usize) -> usize {
    ((u128::from(hash.wrapping_mul(0xd6e8_feb8_6659_fd93)) * blocks as u128) >> 64) as usize
}
