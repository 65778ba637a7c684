//! 64 bits that are alike for queries that are alike.

/// Bits of a band that choose a slot.
const SLOT_BITS: u32 = 10;

/// What a query is like: the signs of 64 random projections, of its features if it is a text (SimHash: Charikar,
/// "Similarity Estimation Techniques from Rounding Algorithms", 2002). Each bit differs with a probability of the
/// angle between two queries over pi.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sketch(u64);

impl Sketch {
    /// Queries are near if at most so many bits differ. Two random sketches do with a probability of 3e-10.
    pub const NEAR: u32 = 8;
    /// Rows of fewer numbers have no sketch: so few have too few directions to differ in.
    pub const LEAST_NUMBERS: usize = 16;

    pub(super) const fn of_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether two queries are near.
    pub const fn is_near(self, other: Self) -> bool {
        (self.0 ^ other.0).count_ones() <= Self::NEAR
    }

    /// Where a ledger that remembers sketches looks and writes: a slot of a table for each of the four bands of 16
    /// bits, of [`NEAR_SLOTS`](super::NEAR_SLOTS) slots in all. Sketches that are near share a slot most often,
    /// and always if at most three bits differ.
    pub fn slots(self) -> [usize; 4] {
        [0, 1, 2, 3].map(|band: u32| {
            let value = self.0 >> (16 * band) & ((1 << SLOT_BITS) - 1);
            (value | u64::from(band) << SLOT_BITS) as usize
        })
    }
}
