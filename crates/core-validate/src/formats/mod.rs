//! Tensors in files: safetensors, and NumPy's npy. The header is held against the length of the file before any value
//! is looked at, and nothing is ever run: no pickle, no objects.

mod literal;
mod npy;
mod safetensors;

pub use npy::Npy;
pub use safetensors::SafeTensors;

use std::ops::Range;

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::refuse::empty;
use crate::tensor::spec::{check_bits, check_width};
use crate::tensor::{Dtype, TensorSpec};

/// Bounds on a file. `Default` is safe for files of strangers.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub struct FileLimits {
    header_bytes: u64,
    tensors: usize,
    rank: usize,
    unaligned: bool,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self { header_bytes: 1 << 20, tensors: 1_024, rank: 8, unaligned: false }
    }
}

impl FileLimits {
    /// Longest header in bytes. Default 1 MiB; that of an npy file is 10,000 bytes at most whatever this says, as NumPy
    /// itself has it.
    #[must_use]
    pub fn header_bytes(mut self, bytes: u64) -> Self {
        self.header_bytes = bytes;
        self
    }

    /// Takes safetensors files whose values do not begin at a multiple of eight bytes, as older writers made them. Who
    /// maps such a file into memory and takes its bytes for numbers reads beside them. Default off.
    #[must_use]
    pub fn danger_unaligned(mut self, allowed: bool) -> Self {
        self.unaligned = allowed;
        self
    }

    /// Most tensors in one file. Default 1024.
    #[must_use]
    pub fn tensors(mut self, count: usize) -> Self {
        self.tensors = count;
        self
    }

    /// Most dimensions of one tensor. Default 8.
    #[must_use]
    pub fn rank(mut self, dimensions: usize) -> Self {
        self.rank = dimensions;
        self
    }
}

/// A tensor of a file: what it is, and where its little-endian values stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredTensor {
    name: String,
    dtype: Dtype,
    shape: Vec<u64>,
    range: Range<u64>,
}

impl StoredTensor {
    /// Its name; empty in a file of one tensor.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its data type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Its shape, each size at least 1.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Where its values stand in the file.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Its values, of the file that it was read from.
    pub fn bytes<'f>(&self, file: &'f [u8]) -> &'f [u8] {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        file.get(place(self.range.start)..place(self.range.end)).unwrap_or_default()
    }

    /// Checks data type, shape and values, which are those of `file`, against what a model says.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn check(&self, file: &[u8], spec: &TensorSpec) -> Result<(), Invalid> {
        spec.check_dtype(self.dtype, || self.at().key(TYPE))?;
        spec.check_bytes_at(&self.shape, self.bytes(file), || self.at())
    }

    fn at(&self) -> Pointer {
        if self.name.is_empty() { Pointer::root() } else { Pointer::root().key(&self.name) }
    }

    /// Whether all values are finite, and truths are 0 or 1.
    fn check_values(&self, file: &[u8]) -> Result<(), Invalid> {
        check_bits(self.dtype, self.bytes(file), || self.at())
    }
}

/// Where a fault of a data type is said to be.
const TYPE: &str = "dtype";

fn bad_header(message: impl Into<std::borrow::Cow<'static, str>>) -> Invalid {
    Invalid::new(InvalidCode::BadHeader, Pointer::root(), message)
}

/// Whether a shape has values, not too many dimensions, and needs exactly these bytes.
fn check_shape(
    limits: &FileLimits,
    dtype: Dtype,
    shape: &[u64],
    bytes: u64,
    at: impl Fn() -> Pointer,
) -> Result<(), Invalid> {
    if shape.len() > limits.rank {
        let message = format!("expected at most {} dimensions, got {}", limits.rank, shape.len());
        return Err(Invalid::new(InvalidCode::WrongRank, at(), message));
    }
    if shape.contains(&0) {
        return Err(empty(at()));
    }
    check_width(shape, dtype.width().unwrap_or_default(), usize::try_from(bytes).unwrap_or(usize::MAX), at)
}
