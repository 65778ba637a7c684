//! The weight file: a header, one signed byte per slot, and a checksum over both.

use crate::error::BuildError;
use crate::score::features::{BITS, BLOCK, WINDOW};

const MAGIC: [u8; 4] = *b"PSCW";
const VERSION: u8 = 1;
/// Magic, version, bits, block and window, the lexicon's checksum, scale, bias, threshold.
const HEADER: usize = 4 + 4 + 4 + 3 * 4;
const SLOTS: usize = 1 << BITS;
/// With the checksum.
const LEN: usize = HEADER + SLOTS + 4;

/// What a weight file holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weights {
    pub(crate) slots: Box<[i8]>,
    /// What one unit of a weight is worth.
    pub(crate) scale: f32,
    /// Added to the sum; both carry the calibration.
    pub(crate) bias: f32,
    /// The shipped threshold of the value.
    pub(crate) threshold: f32,
    /// Of the lexicon it was trained with.
    pub(crate) lexicon: u32,
}

impl Weights {
    /// Reads a weight file. All numbers are little-endian.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, BuildError> {
        let bad = BuildError::Weights;
        let body = file.get(..LEN - 4).filter(|_| file.len() == LEN).ok_or(bad("wrong length"))?;
        if file.get(LEN - 4..) != Some(crc32fast::hash(body).to_le_bytes().as_slice()) {
            return Err(bad("wrong checksum"));
        }
        let (header, slots) = body.split_at(HEADER);
        if header.get(..8) != Some(shape().as_slice()) {
            return Err(bad("another version or shape"));
        }
        let word = |at: usize| {
            let bytes = header.get(at..).and_then(|rest| rest.first_chunk()).copied();
            bytes.map(u32::from_le_bytes).ok_or(bad("wrong length"))
        };
        let number = |at: usize| Ok(f32::from_bits(word(at)?));
        let slots = slots.iter().map(|byte| byte.cast_signed()).collect();
        let (scale, bias, threshold) = (number(12)?, number(16)?, number(20)?);
        if !scale.is_finite() || !bias.is_finite() || !(0.0..=1.0).contains(&threshold) {
            return Err(bad("a number out of range"));
        }
        Ok(Self { slots, scale, bias, threshold, lexicon: word(8)? })
    }

    /// The file that [`Self::parse`] reads.
    #[cfg(feature = "training")]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut file = Vec::with_capacity(LEN);
        file.extend(shape());
        file.extend(self.lexicon.to_le_bytes());
        for number in [self.scale, self.bias, self.threshold] {
            file.extend(number.to_le_bytes());
        }
        file.extend(self.slots.iter().map(|slot| slot.cast_unsigned()));
        file.extend(crc32fast::hash(&file).to_le_bytes());
        file
    }
}

/// The first bytes of a file for this code.
const fn shape() -> [u8; 8] {
    let [m0, m1, m2, m3] = MAGIC;
    [m0, m1, m2, m3, VERSION, BITS as u8, BLOCK as u8, WINDOW as u8]
}
