//! Units, as a bucket tells them apart: by 13 bits of a hash.

/// A number below 2^13 for a unit: 32-bit FNV-1a, folded.
pub(crate) fn tag(unit: &str) -> u16 {
    let hash = unit.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_le_bytes();
    u16::from_le_bytes([a ^ c, b ^ d]) & 0x1fff
}

/// Whether a bucket in Redis takes two units for one; their hashes do, once in 8,192 pairs. Two quotas of one
/// bucket need units that differ.
pub fn is_same_unit(one: &str, other: &str) -> bool {
    tag(one) == tag(other)
}
