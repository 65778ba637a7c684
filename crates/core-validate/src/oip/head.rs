//! What a tensor says about itself: name, data type, shape. Read before its data is.

use crate::invalid::{Invalid, InvalidCode};
use crate::json::{Kind, Value};
use crate::limits::Limits;
use crate::refuse::{missing, wrong_type};
use crate::tensor::{Dtype, elements, too_long};

#[derive(Debug, Clone)]
pub(super) struct TensorHead {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<u64>,
    /// Product of the shape, within the limits.
    pub(super) count: u64,
}

impl TensorHead {
    /// Whether the object has said enough, as far as it was read.
    pub(super) fn is_complete(object: Value<'_>) -> bool {
        object.get("datatype").is_some() && object.get("shape").is_some() && object.get("name").is_some()
    }

    pub(super) fn read(limits: &Limits, object: Value<'_>) -> Result<Self, Invalid> {
        let name = name(object)?;
        let dtype = dtype(object)?;
        let shape = shape(limits, object)?;
        let at = || object.pointer().key("shape");
        let count = elements(&shape).unwrap_or(u64::MAX);
        if count == 0 && !limits.empty_tensors {
            return Err(Invalid::new(InvalidCode::EmptyInput, at(), "input is empty"));
        }
        let most = if dtype == Dtype::Bytes { limits.values as u64 } else { limits.elements };
        if count > most {
            return Err(too_long(count, most, at()));
        }
        Ok(Self { name, dtype, shape, count })
    }
}

fn name(object: Value<'_>) -> Result<String, Invalid> {
    let at = || object.pointer().key("name");
    let name = object.get("name").ok_or_else(|| missing(at()))?;
    let name = name.as_word().ok_or_else(|| wrong_type(at(), "a string"))?;
    if !is_tensor_name(&name) {
        let message = "a tensor name is 1 to 128 characters of letters, digits and . _ : / - [ ]";
        return Err(Invalid::new(InvalidCode::OutOfRange, at(), message));
    }
    Ok(name.into_owned())
}

/// Whether a name is one that models give their tensors: no room for a sentence.
pub(super) fn is_tensor_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'-' | b'[' | b']');
    (1..=128).contains(&name.len()) && name.bytes().all(is_plain)
}

fn dtype(object: Value<'_>) -> Result<Dtype, Invalid> {
    let at = || object.pointer().key("datatype");
    let text = object.get("datatype").ok_or_else(|| missing(at()))?;
    let text = text.as_word().ok_or_else(|| wrong_type(at(), "a string"))?;
    text.parse().map_err(|_| Invalid::new(InvalidCode::WrongDtype, at(), "not a data type of the protocol"))
}

fn shape(limits: &Limits, object: Value<'_>) -> Result<Vec<u64>, Invalid> {
    let at = || object.pointer().key("shape");
    let sizes = object.get("shape").ok_or_else(|| missing(at()))?;
    if !matches!(sizes.kind(), Kind::Array | Kind::Numbers) {
        return Err(wrong_type(at(), "a list"));
    }
    if sizes.size() > limits.rank {
        let message = format!("expected at most {} dimensions, got {}", limits.rank, sizes.size());
        return Err(Invalid::new(InvalidCode::WrongRank, at(), message));
    }
    let wrong =
        |i: usize| Invalid::new(InvalidCode::WrongShape, at().index(i), "a size is a whole number of 0 or more");
    // A list of other things than numbers has at least one that is no size.
    if let Some(i) = sizes.items().position(|size| size.as_u64().is_none()) {
        return Err(wrong(i));
    }
    let size = |(i, (number, _)): (usize, (crate::json::Number, &str))| {
        let size = number.integer().filter(|_| !number.negative).and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| wrong(i))
    };
    sizes.numbers().enumerate().map(size).collect()
}
