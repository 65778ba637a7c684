//! npy: one array as `numpy.save` writes it. Arrays of objects are pickles, which run whatever they say: refused, as
//! everything else that is no number or truth.

use crate::formats::{FileLimits, StoredTensor, bad_header, check_shape, literal};
use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::refuse::unsupported;
use crate::tensor::{Dtype, TensorSpec};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The longest header that NumPy itself reads from a file of a stranger.
const HEADER_BYTES: u64 = 10_000;

/// Types by their names: little-endian, or of one byte.
const TYPES: [(&str, Dtype); 12] = [
    ("|b1", Dtype::Bool),
    ("|u1", Dtype::Uint8),
    ("|i1", Dtype::Int8),
    ("<u2", Dtype::Uint16),
    ("<i2", Dtype::Int16),
    ("<u4", Dtype::Uint32),
    ("<i4", Dtype::Int32),
    ("<u8", Dtype::Uint64),
    ("<i8", Dtype::Int64),
    ("<f2", Dtype::Fp16),
    ("<f4", Dtype::Fp32),
    ("<f8", Dtype::Fp64),
];

/// The array of an npy file.
///
/// ```
/// use core_validate::{Dtype, FileLimits, Npy};
///
/// let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
/// let mut file = b"\x93NUMPY\x01\x00".to_vec();
/// file.extend((header.len() as u16).to_le_bytes());
/// file.extend(header.as_bytes());
/// file.extend([1.5_f32, f32::NAN].iter().flat_map(|value| value.to_le_bytes()));
/// let error = Npy::read(&FileLimits::default(), &file).unwrap_err();
/// assert_eq!(error.to_string(), "non-finite value at index 1");
/// ```
#[derive(Debug, Clone)]
pub struct Npy {
    tensor: StoredTensor,
}

impl Npy {
    /// Reads a whole file: its header, and every value by its type. Linear in the file.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn read(limits: &FileLimits, file: &[u8]) -> Result<Self, Invalid> {
        let (header, data_at) = split(limits, file)?;
        let header = literal::read(header)?;
        let dtype = dtype(&header.descr)?;
        // Of one row, or one column, both orders are the same.
        let has_order = header.shape.iter().filter(|size| **size > 1).count() > 1;
        if header.is_fortran && has_order {
            return Err(unsupported(Pointer::root().key("fortran_order"), "expected values in C order"));
        }
        let data = file.len() as u64 - data_at;
        check_shape(limits, dtype, &header.shape, data, || Pointer::root().key("shape"))?;
        let range = data_at..file.len() as u64;
        let tensor = StoredTensor { name: String::new(), dtype, shape: header.shape, range };
        tensor.check_values(file)?;
        Ok(Self { tensor })
    }

    /// The array.
    pub fn tensor(&self) -> &StoredTensor {
        &self.tensor
    }

    /// Checks data type, shape and values, which are those of `file`, against what a model says.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn check(&self, file: &[u8], spec: &TensorSpec) -> Result<(), Invalid> {
        self.tensor.check(file, spec)
    }
}

/// The header, and where the data starts.
fn split<'f>(limits: &FileLimits, file: &'f [u8]) -> Result<(&'f str, u64), Invalid> {
    let rest = file.strip_prefix(MAGIC).ok_or_else(|| bad_header("expected an npy file"))?;
    let short = || bad_header("the file is shorter than its header");
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(short)?;
    let (length, rest) = match version {
        [1, 0] => rest.split_first_chunk().map(|(length, rest)| (u64::from(u16::from_le_bytes(*length)), rest)),
        [2 | 3, 0] => rest.split_first_chunk().map(|(length, rest)| (u64::from(u32::from_le_bytes(*length)), rest)),
        [major, minor] => {
            return Err(bad_header(format!("expected version 1.0, 2.0 or 3.0 of npy, got {major}.{minor}")));
        }
    }
    .ok_or_else(short)?;
    let most = limits.header_bytes.min(HEADER_BYTES);
    if length > most {
        return Err(bad_header(format!("expected a header of at most {most} bytes, got {length}")));
    }
    let header = usize::try_from(length).ok().and_then(|length| rest.get(..length)).ok_or_else(short)?;
    let data_at = (file.len() - rest.len()) as u64 + length;
    // Latin-1 in the first two versions, but what a number needs is ASCII.
    let header = std::str::from_utf8(header).ok().filter(|header| header.is_ascii());
    Ok((header.ok_or_else(|| bad_header("expected a header of ASCII"))?, data_at))
}

fn dtype(descr: &str) -> Result<Dtype, Invalid> {
    if let Some((_, dtype)) = TYPES.iter().find(|(name, _)| *name == descr) {
        return Ok(*dtype);
    }
    let message = match descr.get(..1) {
        Some(">") => "expected a little-endian data type, got a big-endian one",
        Some("|") if descr == "|O" => "expected numbers, got objects, which are never unpickled",
        _ => "expected a data type of numbers or truths",
    };
    Err(Invalid::new(InvalidCode::WrongDtype, Pointer::root().key("descr"), message))
}
