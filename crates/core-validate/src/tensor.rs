//! Tensors by themselves: data types, shapes and the specification a tensor must meet.
//!
//! Useful for a plain vector of numbers as well as for the requests of this crate.

use std::fmt;
use std::str::FromStr;

use crate::invalid::{Invalid, InvalidCode, Pointer};

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

    /// The largest finite value of a floating point type.
    pub(crate) const fn largest_float(self) -> Option<f64> {
        match self {
            Self::Fp16 => Some(65_504.0),
            Self::Bf16 => Some(3.389_531_389_251_535_5e38),
            Self::Fp32 => Some(f32::MAX as f64),
            Self::Fp64 => Some(f64::MAX),
            _ => None,
        }
    }
}

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

/// What one tensor must look like.
///
/// ```
/// use core_validate::{Dtype, TensorSpec};
///
/// let spec = TensorSpec::new(Dtype::Fp32, [-1]).max_elements(512);
/// assert!(spec.check(&[0.5; 16]).is_ok());
/// let error = spec.check(&[0.5; 600]).unwrap_err();
/// assert_eq!(error.to_string(), "input length 600 exceeds maximum 512");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    dtype: Dtype,
    shape: Vec<i64>,
    max_elements: Option<u64>,
    range: Option<(f64, f64)>,
}

impl TensorSpec {
    /// A tensor of this type and shape; a dimension of -1 may have any size of at least 1.
    pub fn new(dtype: Dtype, shape: impl Into<Vec<i64>>) -> Self {
        Self { dtype, shape: shape.into(), max_elements: None, range: None }
    }

    /// At most so many elements.
    #[must_use]
    pub fn max_elements(mut self, count: u64) -> Self {
        self.max_elements = Some(count);
        self
    }

    /// Every value lies in `min..=max`.
    #[must_use]
    pub fn range(mut self, min: f64, max: f64) -> Self {
        self.range = Some((min, max));
        self
    }

    /// The data type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The shape, -1 for any size.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// Checks a plain vector of numbers: not empty, not too long, every value finite and in range.
    /// Linear in the length, without allocation unless it fails.
    pub fn check(&self, values: &[f32]) -> Result<(), Invalid> {
        let at = Pointer::root();
        self.check_length(values.len() as u64, &at)?;
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return Err(non_finite(index as u64, at));
        }
        let (min, max) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), &value| {
            (min.min(f64::from(value)), max.max(f64::from(value)))
        });
        self.check_bounds(min, max, &at)
    }

    /// Checks a shape: number of dimensions, every fixed dimension, the number of elements.
    pub fn check_shape(&self, shape: &[u64]) -> Result<(), Invalid> {
        self.check_shape_at(shape, &Pointer::root())
    }

    pub(crate) fn check_shape_at(&self, shape: &[u64], at: &Pointer) -> Result<(), Invalid> {
        if shape.len() != self.shape.len() {
            let message = format!("expected {} dimensions, got {}", self.shape.len(), shape.len());
            return Err(Invalid::new(InvalidCode::WrongRank, at.clone(), message));
        }
        for (i, (&is, &should)) in shape.iter().zip(&self.shape).enumerate() {
            if should >= 0 && i64::try_from(is) != Ok(should) {
                let message = format!("expected size {should} in dimension {i}, got {is}");
                return Err(Invalid::new(InvalidCode::WrongShape, at.clone(), message));
            }
        }
        let count = elements(shape).unwrap_or(u64::MAX);
        self.check_length(count, at)
    }

    fn check_length(&self, count: u64, at: &Pointer) -> Result<(), Invalid> {
        if count == 0 {
            return Err(Invalid::new(InvalidCode::EmptyInput, at.clone(), "input is empty"));
        }
        match self.max_elements {
            Some(limit) if count > limit => Err(too_long(count, limit, at.clone())),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_bounds(&self, min: f64, max: f64, at: &Pointer) -> Result<(), Invalid> {
        match self.range {
            Some((low, high)) if min < low || max > high => {
                let message = format!("value is outside {low} to {high}");
                Err(Invalid::new(InvalidCode::OutOfRange, at.clone(), message))
            }
            _ => Ok(()),
        }
    }
}

/// Product of the dimensions; `None` when it overflows.
pub(crate) fn elements(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1_u64, |product, &size| product.checked_mul(size))
}

pub(crate) fn too_long(count: u64, limit: u64, at: Pointer) -> Invalid {
    Invalid::new(InvalidCode::InputTooLong, at, format!("input length {count} exceeds maximum {limit}"))
}

pub(crate) fn non_finite(index: u64, at: Pointer) -> Invalid {
    Invalid::new(InvalidCode::NonFinite, at, format!("non-finite value at index {index}"))
}
