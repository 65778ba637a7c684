//! safetensors: eight bytes for the length of the header, JSON that says which tensor stands where, and the values
//! behind it without a gap.
//!
//! After the format as its own library of version 0.8 reads it, which takes a name that is there twice, and is
//! stricter: names once and of visible ASCII, one tensor at least, sizes of at least 1, values that are finite and that
//! begin at a multiple of eight bytes, metadata of 256 pairs of 64 KiB.

use bytes::Bytes;

use crate::formats::{FileLimits, StoredTensor, TYPE, bad_header, check_shape};
use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::{Document, Kind, Number, Value};
use crate::limits::Limits;
use crate::refuse::{empty, list_length, missing, text_length, unknown, wrong_type};
use crate::tensor::{Dtype, TensorSpec};

/// Data types by their names here. Those of less than a byte, of eight bits with a fraction, and complex ones have no
/// counterpart.
const TYPES: [(&str, Dtype); 13] = [
    ("BOOL", Dtype::Bool),
    ("U8", Dtype::Uint8),
    ("I8", Dtype::Int8),
    ("U16", Dtype::Uint16),
    ("I16", Dtype::Int16),
    ("F16", Dtype::Fp16),
    ("BF16", Dtype::Bf16),
    ("U32", Dtype::Uint32),
    ("I32", Dtype::Int32),
    ("F32", Dtype::Fp32),
    ("U64", Dtype::Uint64),
    ("I64", Dtype::Int64),
    ("F64", Dtype::Fp64),
];

const METADATA: &str = "__metadata__";
/// Most pairs of metadata, and the longest value.
const PAIRS: usize = 256;
const PAIR_BYTES: usize = 64 << 10;
/// Bytes of the length in front of the header.
const LENGTH: u64 = 8;

/// The tensors of a safetensors file.
///
/// ```
/// use core_validate::{Dtype, FileLimits, SafeTensors};
///
/// let header = r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  "#;
/// let mut file = (header.len() as u64).to_le_bytes().to_vec();
/// file.extend(header.as_bytes());
/// file.extend(1.5_f32.to_le_bytes());
/// let tensors = SafeTensors::read(&FileLimits::default(), &file)?;
/// assert_eq!(tensors.tensors()[0].dtype(), Dtype::Fp32);
///
/// file.pop();
/// let error = SafeTensors::read(&FileLimits::default(), &file).unwrap_err();
/// assert_eq!(error.to_string(), "expected 4 bytes of tensor data, got 3");
/// # Ok::<(), core_validate::Invalid>(())
/// ```
#[derive(Debug, Clone)]
pub struct SafeTensors {
    tensors: Vec<StoredTensor>,
    metadata: Vec<(String, String)>,
}

impl SafeTensors {
    /// Reads a whole file: its header, and every value by its type. Linear in the file; memory is proportional to the
    /// header.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn read(limits: &FileLimits, file: &[u8]) -> Result<Self, Invalid> {
        let read = Self::read_header(limits, file, file.len() as u64)?;
        read.tensors.iter().try_for_each(|tensor| tensor.check_values(file))?;
        Ok(read)
    }

    /// Reads the header of a file of `length` bytes, of which `start` are the first, up to the end of the header at
    /// least. No value is looked at.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn read_header(limits: &FileLimits, start: &[u8], length: u64) -> Result<Self, Invalid> {
        let (header, data_at) = split(limits, start)?;
        let data = length.checked_sub(data_at).ok_or_else(|| bad_header("the file is shorter than its header"))?;
        let mut read = Self { tensors: Vec::new(), metadata: Vec::new() };
        let document = Document::read(&Bytes::copy_from_slice(header), &bounds(limits), None)?;
        let root = document.root();
        for field in root.fields() {
            if field.key() == METADATA {
                read.metadata = metadata(field)?;
                continue;
            }
            if read.tensors.len() == limits.tensors {
                let message = format!("expected at most {} tensors, got more", limits.tensors);
                return Err(Invalid::new(InvalidCode::OutOfRange, Pointer::root(), message));
            }
            read.tensors.push(tensor(limits, field, data_at)?);
        }
        read.tensors.sort_by_key(|tensor| tensor.range.start);
        read.check_order(data_at, data)?;
        Ok(read)
    }

    /// The tensors, in the order of their values.
    pub fn tensors(&self) -> &[StoredTensor] {
        &self.tensors
    }

    /// What else the file says of itself.
    pub fn metadata(&self) -> &[(String, String)] {
        &self.metadata
    }

    /// Checks that the file has exactly these tensors, each as it is specified; `ModelSpec::inputs` gives a model's.
    /// `file` is what was read.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn check(&self, file: &[u8], specs: &[(String, TensorSpec)]) -> Result<(), Invalid> {
        for tensor in &self.tensors {
            let Some((_, spec)) = specs.iter().find(|(name, _)| *name == tensor.name) else {
                return Err(Invalid::new(InvalidCode::UnknownField, tensor.at(), "the model has no such tensor"));
            };
            tensor.check(file, spec)?;
        }
        let is_there = |name: &String| self.tensors.iter().any(|tensor| tensor.name == *name);
        match specs.iter().find(|(name, _)| !is_there(name)) {
            Some((name, _)) => {
                Err(Invalid::new(InvalidCode::MissingField, Pointer::root(), format!("tensor {name} is required")))
            }
            None => Ok(()),
        }
    }

    /// Whether the tensors follow each other from the first to the last byte of the data.
    fn check_order(&self, data_at: u64, data: u64) -> Result<(), Invalid> {
        if self.tensors.is_empty() {
            return Err(empty(Pointer::root()));
        }
        let mut expected = 0;
        for tensor in &self.tensors {
            // Offsets are told as the header has them.
            let start = tensor.range.start - data_at;
            if start != expected {
                let message = format!("expected data from {expected}, got {start}");
                return Err(Invalid::new(InvalidCode::WrongShape, tensor.at().key("data_offsets"), message));
            }
            expected = tensor.range.end - data_at;
        }
        if expected != data {
            let message = format!("expected {expected} bytes of tensor data, got {data}");
            return Err(Invalid::new(InvalidCode::WrongShape, Pointer::root(), message));
        }
        Ok(())
    }
}

/// The header, and where the data starts.
fn split<'f>(limits: &FileLimits, file: &'f [u8]) -> Result<(&'f [u8], u64), Invalid> {
    let length = file.first_chunk().ok_or_else(|| bad_header("the file is shorter than the length of its header"))?;
    let length = u64::from_le_bytes(*length);
    if length > limits.header_bytes {
        return Err(bad_header(format!("expected a header of at most {} bytes, got {length}", limits.header_bytes)));
    }
    let end = length.checked_add(LENGTH).filter(|end| *end <= file.len() as u64);
    let header = end.and_then(|end| file.get(LENGTH as usize..usize::try_from(end).ok()?));
    let (Some(header), Some(end)) = (header, end) else {
        let got = file.len() as u64 - LENGTH;
        return Err(bad_header(format!("expected a header of {length} bytes, got {got}")));
    };
    if header.first() != Some(&b'{') {
        return Err(bad_header("expected a header that starts with an object"));
    }
    if !limits.unaligned && !end.is_multiple_of(LENGTH) {
        return Err(bad_header(format!("expected data from a multiple of {LENGTH}, got {end}")));
    }
    Ok((header, end))
}

/// What holds for the JSON of the header.
fn bounds(limits: &FileLimits) -> Limits {
    // The root, metadata with its pairs, and a tensor with its three fields, whose lists of numbers count as one.
    let values = limits.tensors.saturating_mul(4).saturating_add(2 + PAIRS);
    Limits::default().depth(3).values(values).string_bytes(PAIR_BYTES)
}

fn metadata(value: Value<'_>) -> Result<Vec<(String, String)>, Invalid> {
    if value.kind() != Kind::Object {
        return Err(wrong_type(value.pointer(), "an object"));
    }
    list_length(value.size(), PAIRS, || value.pointer())?;
    let pair = |field: Value<'_>| {
        let text = field.as_str().ok_or_else(|| wrong_type(field.pointer(), "a string"))?;
        Ok((field.key().into_owned(), text.into_owned()))
    };
    value.fields().map(pair).collect()
}

fn tensor(limits: &FileLimits, value: Value<'_>, data_at: u64) -> Result<StoredTensor, Invalid> {
    let name = value.key().into_owned();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = "a tensor name is 1 to 256 visible ASCII characters";
        return Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message));
    }
    if value.kind() != Kind::Object {
        return Err(wrong_type(value.pointer(), "an object"));
    }
    for field in value.fields() {
        let key = field.key();
        if !matches!(&*key, TYPE | "shape" | "data_offsets") {
            return Err(unknown(&key, field.pointer()));
        }
    }
    let field = |key: &str| value.get(key).ok_or_else(|| missing(value.pointer().key(key)));
    let (dtype, shape, offsets) = (dtype(field(TYPE)?)?, sizes(field("shape")?)?, field("data_offsets")?);
    let [start, end] = *sizes(offsets)? else {
        return Err(wrong_type(offsets.pointer(), "a start and an end"));
    };
    let length = end.checked_sub(start);
    let range = length.and_then(|_| Some(start.checked_add(data_at)?..end.checked_add(data_at)?));
    let (Some(length), Some(range)) = (length, range) else {
        let message = format!("expected a start and an end of data, got {start} and {end}");
        return Err(Invalid::new(InvalidCode::OutOfRange, offsets.pointer(), message));
    };
    check_shape(limits, dtype, &shape, length, || value.pointer().key("shape"))?;
    Ok(StoredTensor { name, dtype, shape, range })
}

fn dtype(value: Value<'_>) -> Result<Dtype, Invalid> {
    let word = value.as_word().ok_or_else(|| wrong_type(value.pointer(), "a string"))?;
    text_length(word.len(), 32, || value.pointer())?;
    let known = TYPES.iter().find(|(name, _)| *name == word).map(|(_, dtype)| *dtype);
    known.ok_or_else(|| {
        let names = TYPES.map(|(name, _)| name).join(", ");
        Invalid::new(InvalidCode::WrongDtype, value.pointer(), format!("expected a data type of {names}"))
    })
}

/// A list of whole numbers of 0 or more.
fn sizes(value: Value<'_>) -> Result<Vec<u64>, Invalid> {
    const WHOLE: &str = "whole numbers of 0 or more";
    let is_empty = value.kind() == Kind::Array && value.size() == 0;
    if value.kind() != Kind::Numbers && !is_empty {
        return Err(wrong_type(value.pointer(), WHOLE));
    }
    let size = |(i, (number, _)): (usize, (Number, &str))| {
        let size = number.integer().filter(|_| !number.negative).and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| wrong_type(value.pointer().index(i), WHOLE))
    };
    value.numbers().enumerate().map(size).collect()
}
