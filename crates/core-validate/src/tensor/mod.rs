//! Tensors by themselves: data types, shapes, values and the specification that all of them must meet.
//!
//! Useful for a plain vector of numbers as well as for the requests of this crate.

pub(crate) mod bits;
mod dtype;
mod scalar;
pub(crate) mod spec;

pub use dtype::{Dtype, NotADtype};
pub use scalar::Scalar;
pub use spec::TensorSpec;

use crate::invalid::{Invalid, InvalidCode, Pointer};

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

pub(crate) fn out_of_type(index: u64, dtype: Dtype, at: Pointer) -> Invalid {
    Invalid::new(InvalidCode::OutOfRange, at, format!("value at index {index} is outside {dtype}"))
}
