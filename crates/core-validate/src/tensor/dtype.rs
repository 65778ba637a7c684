//! The data types of tensors, and what a number must be to have one.

use std::fmt;
use std::str::FromStr;

/// Data types of the Open Inference Protocol, version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each name is the protocol's own")]
#[non_exhaustive]
pub enum Dtype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    Bytes,
}

impl Dtype {
    /// All data types.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// The protocol's word, such as `FP32`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Bytes per element in the binary form; `None` for `BYTES`, whose elements carry their length.
    pub const fn width(self) -> Option<u64> {
        match self {
            Self::Bool | Self::Uint8 | Self::Int8 => Some(1),
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Uint32 | Self::Int32 | Self::Fp32 => Some(4),
            Self::Uint64 | Self::Int64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }

    /// The smallest and largest integer of the type; `None` for other types.
    pub(crate) const fn integers(self) -> Option<(i128, i128)> {
        match self {
            Self::Uint8 => Some((0, u8::MAX as i128)),
            Self::Uint16 => Some((0, u16::MAX as i128)),
            Self::Uint32 => Some((0, u32::MAX as i128)),
            Self::Uint64 => Some((0, u64::MAX as i128)),
            Self::Int8 => Some((i8::MIN as i128, i8::MAX as i128)),
            Self::Int16 => Some((i16::MIN as i128, i16::MAX as i128)),
            Self::Int32 => Some((i32::MIN as i128, i32::MAX as i128)),
            Self::Int64 => Some((i64::MIN as i128, i64::MAX as i128)),
            _ => None,
        }
    }

    /// Where values begin that a floating point type rounds to infinity; `None` for other types. Half a unit in
    /// the last place beyond the largest finite value, by round-half-even (IEEE 754).
    pub(crate) const fn overflow(self) -> Option<f64> {
        match self {
            Self::Fp16 => Some(65_520.0),
            Self::Bf16 => Some((2.0 - 1.0 / 256.0) * TWO_TO_127),
            Self::Fp32 => Some((2.0 - 1.0 / 16_777_216.0) * TWO_TO_127),
            Self::Fp64 => Some(f64::INFINITY),
            _ => None,
        }
    }
}

impl Dtype {
    /// The value that the type holds when it is given this one: the nearest, ties to even (IEEE 754). Of types that are
    /// no floating point, the same.
    #[inline]
    pub(crate) fn narrow(self, value: f64) -> f64 {
        match self {
            Self::Fp32 => f64::from(value as f32),
            Self::Fp16 => round_to(value, 10, -14),
            Self::Bf16 => round_to(value, 7, -126),
            _ => value,
        }
    }

    /// As [`narrow`](Self::narrow), but the largest finite value in the place of an infinite one.
    pub(crate) fn nearest(self, value: f64) -> f64 {
        let largest = match self {
            Self::Fp16 => 65_504.0,
            Self::Bf16 => (2.0 - 1.0 / 128.0) * TWO_TO_127,
            Self::Fp32 => f64::from(f32::MAX),
            _ => f64::MAX,
        };
        self.narrow(value).clamp(-largest, largest)
    }
}

/// Rounds to so many bits behind the point, of numbers no smaller than two to the power of `least`.
fn round_to(value: f64, bits: i32, least: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let exponent = i32::try_from(value.to_bits() >> 52 & 0x7ff).unwrap_or_default() - 1_023;
    let step = 2_f64.powi(exponent.max(least) - bits);
    (value / step).round_ties_even() * step
}

const TWO_TO_127: f64 = (1_u128 << 127) as f64;

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no [`Dtype`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a data type of the Open Inference Protocol")]
pub struct NotADtype;

impl FromStr for Dtype {
    type Err = NotADtype;

    fn from_str(text: &str) -> Result<Self, NotADtype> {
        Self::ALL.into_iter().find(|dtype| dtype.as_str() == text).ok_or(NotADtype)
    }
}
