//! Little-endian bytes as values of a data type. Elements that are not whole are not looked at.

use crate::tensor::Dtype;

/// Bytes that are looked at before it is asked whether anything was wrong among them.
const BLOCK: usize = 16 << 10;

/// Index of the first element that is no sound value: infinite, not a number, or a `BOOL` beyond 1.
///
/// Many elements at a time: the exponent of what is not finite is all ones, so adding one to it reaches the bit
/// of the sign, which was cleared. Cost, of what memcpy takes for the same bytes: 0.9 in cache, 0.4 outside.
pub(crate) fn first_unsound(dtype: Dtype, bytes: &[u8]) -> Option<u64> {
    let has_unsound: fn(&[u8]) -> bool = match dtype {
        Dtype::Fp32 => |block| {
            let bits = block.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
            bits.fold(0, |seen, bits| seen | (bits & 0x7fff_ffff).wrapping_add(0x0080_0000)) >> 31 != 0
        },
        Dtype::Fp64 => |block| {
            let bits = block.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
            bits.fold(0, |seen, bits| seen | (bits & (u64::MAX >> 1)).wrapping_add(1 << 52)) >> 63 != 0
        },
        Dtype::Fp16 => |block| has_unsound_half(block, 0x0400),
        Dtype::Bf16 => |block| has_unsound_half(block, 0x0080),
        Dtype::Bool => |block| block.iter().fold(0, |seen, byte| seen | byte) > 1,
        _ => return None,
    };
    let block = bytes.chunks(BLOCK).position(has_unsound)?;
    let before = block * BLOCK;
    let width = usize::try_from(dtype.width()?).ok()?;
    let within = bytes.get(before..)?.chunks_exact(width).position(|element| {
        let value = value(dtype, element);
        !value.is_finite() || (dtype == Dtype::Bool && value > 1.0)
    })?;
    Some((before / width + within) as u64)
}

fn has_unsound_half(block: &[u8], one: u16) -> bool {
    let bits = block.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes));
    bits.fold(0, |seen, bits| seen | (bits & 0x7fff).wrapping_add(one)) >> 15 != 0
}

/// Smallest and largest of sound values; `None` when there are none.
pub(crate) fn bounds(dtype: Dtype, bytes: &[u8]) -> Option<(f64, f64)> {
    if dtype == Dtype::Fp32 {
        let values = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
        // Without the care for NaN of `f32::min`, so that it is done many at a time.
        let pick = |(min, max): (f32, f32), value: f32| {
            (if value < min { value } else { min }, if value > max { value } else { max })
        };
        let (min, max) = values.fold((f32::INFINITY, f32::NEG_INFINITY), pick);
        return (min <= max).then(|| (f64::from(min), f64::from(max)));
    }
    let pick = |(min, max): (f64, f64), value: f64| (min.min(value), max.max(value));
    let (min, max) = values(dtype, bytes).fold((f64::INFINITY, f64::NEG_INFINITY), pick);
    (min <= max).then_some((min, max))
}

/// All values, in order; none of `BYTES`.
pub(crate) fn values(dtype: Dtype, bytes: &[u8]) -> impl Iterator<Item = f64> {
    let width = dtype.width().and_then(|width| usize::try_from(width).ok());
    let bytes = if width.is_some() { bytes } else { &[] };
    bytes.chunks_exact(width.unwrap_or(1)).map(move |element| value(dtype, element))
}

/// One value. FP16 and BF16 by the bit layout of IEEE 754.
fn value(dtype: Dtype, bytes: &[u8]) -> f64 {
    fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.try_into().unwrap_or([0; N])
    }
    match dtype {
        Dtype::Bool | Dtype::Uint8 | Dtype::Bytes => f64::from(u8::from_le_bytes(array(bytes))),
        Dtype::Int8 => f64::from(i8::from_le_bytes(array(bytes))),
        Dtype::Uint16 => f64::from(u16::from_le_bytes(array(bytes))),
        Dtype::Int16 => f64::from(i16::from_le_bytes(array(bytes))),
        Dtype::Uint32 => f64::from(u32::from_le_bytes(array(bytes))),
        Dtype::Int32 => f64::from(i32::from_le_bytes(array(bytes))),
        Dtype::Uint64 => u64::from_le_bytes(array(bytes)) as f64,
        Dtype::Int64 => i64::from_le_bytes(array(bytes)) as f64,
        Dtype::Fp32 => f64::from(f32::from_le_bytes(array(bytes))),
        Dtype::Fp64 => f64::from_le_bytes(array(bytes)),
        Dtype::Bf16 => f64::from(f32::from_bits(u32::from(u16::from_le_bytes(array(bytes))) << 16)),
        Dtype::Fp16 => half(u16::from_le_bytes(array(bytes))),
    }
}

/// Writes a value that its floating point type holds exactly, see [`Dtype::nearest`]; nothing of other types.
pub(crate) fn write(dtype: Dtype, value: f64, element: &mut [u8]) {
    fn put<const N: usize>(element: &mut [u8], bytes: [u8; N]) {
        if let Some(place) = element.first_chunk_mut() {
            *place = bytes;
        }
    }
    match dtype {
        Dtype::Fp64 => put(element, value.to_le_bytes()),
        Dtype::Fp32 => put(element, (value as f32).to_le_bytes()),
        Dtype::Bf16 => put(element, (((value as f32).to_bits() >> 16) as u16).to_le_bytes()),
        Dtype::Fp16 => put(element, half_bits(value).to_le_bytes()),
        _ => {}
    }
}

/// The bits of a value that FP16 holds.
fn half_bits(value: f64) -> u16 {
    let sign = if value.is_sign_negative() { 1 << 15 } else { 0 };
    // Below its normal numbers FP16 counts in units of 2^-24.
    let units = value.abs() * 2_f64.powi(24);
    if units < 1_024.0 {
        return sign | units as u16;
    }
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as u16 - (1_023 - 15);
    sign | exponent << 10 | (bits >> 42 & 0x3ff) as u16
}

fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from((bits >> 10) & 0x1f);
    let fraction = f64::from(bits & 0x3ff) / 1024.0;
    match (exponent, fraction == 0.0) {
        (0x1f, true) => sign * f64::INFINITY,
        (0x1f, false) => f64::NAN,
        (0, _) => sign * fraction * 2_f64.powi(-14),
        _ => sign * (1.0 + fraction) * 2_f64.powi(exponent - 15),
    }
}
