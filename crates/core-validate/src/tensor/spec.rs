//! What one tensor must look like.

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::tensor::{Dtype, Scalar, bits, elements, non_finite, out_of_type, too_long};

/// What one tensor must look like.
///
/// ```
/// use core_validate::{Dtype, TensorSpec};
///
/// let spec = TensorSpec::new(Dtype::Fp32, [-1]).max_elements(512);
/// assert!(spec.check(&[0.5_f32; 16]).is_ok());
/// let error = spec.check(&[0.5_f32; 600]).unwrap_err();
/// assert_eq!(error.to_string(), "input length 600 exceeds maximum 512");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    dtype: Dtype,
    shape: Vec<i64>,
    max_elements: Option<u64>,
    range: Option<(f64, f64)>,
    allowed: Option<Vec<f64>>,
    unit_rows: Option<f64>,
    max_text_bytes: Option<usize>,
    texts: Option<Vec<String>>,
}

impl TensorSpec {
    /// A tensor of this type and shape; a dimension of -1 may have any size of at least 1.
    pub fn new(dtype: Dtype, shape: impl Into<Vec<i64>>) -> Self {
        Self {
            dtype,
            shape: shape.into(),
            max_elements: None,
            range: None,
            allowed: None,
            unit_rows: None,
            max_text_bytes: None,
            texts: None,
        }
    }

    /// At most so many elements.
    #[must_use]
    pub fn max_elements(mut self, count: u64) -> Self {
        self.max_elements = Some(count);
        self
    }

    /// Every value lies in `min..=max`, both as values of the data type: of `FP32`, 0.1 is within 0 to 0.1.
    #[must_use]
    pub fn range(mut self, min: f64, max: f64) -> Self {
        self.range = Some((self.dtype.narrow(min), self.dtype.narrow(max)));
        self
    }

    /// Every value is one of these as values of the data type: classes, say, or levels.
    #[must_use]
    pub fn allowed(mut self, values: impl Into<Vec<f64>>) -> Self {
        let values: Vec<f64> = values.into();
        self.allowed = Some(values.into_iter().map(|value| self.dtype.narrow(value)).collect());
        self
    }

    /// Every row, that is run of values along the last dimension, is normalised: its Euclidean length is 1, give or
    /// take `tolerance`.
    #[must_use]
    pub fn normalised(mut self, tolerance: f64) -> Self {
        self.unit_rows = Some(tolerance);
        self
    }

    /// Every element of a `BYTES` tensor is at most so long.
    #[must_use]
    pub fn max_text_bytes(mut self, bytes: usize) -> Self {
        self.max_text_bytes = Some(bytes);
        self
    }

    /// Every element of a `BYTES` tensor is one of these texts.
    #[must_use]
    pub fn texts(mut self, texts: impl Into<Vec<String>>) -> Self {
        self.texts = Some(texts.into());
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

    /// Checks a plain vector of numbers, whatever its shape: data type, not empty, not too long, every value
    /// finite and as specified. Linear in the length, without allocation unless it fails.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn check<T: Scalar>(&self, values: &[T]) -> Result<(), Invalid> {
        self.check_dtype(T::DTYPE, Pointer::root)?;
        self.check_length(values.len() as u64, Pointer::root)?;
        // All at once, so that the compiler looks at many values at a time; which one it was is asked after.
        const BLOCK: usize = 4_096;
        let is_sound = |block: &[T]| block.iter().fold(true, |sound, value| sound & value.is_sound());
        if !values.chunks(BLOCK).all(is_sound) {
            let index = values.iter().position(|value| !value.is_sound()).unwrap_or_default();
            return Err(non_finite(index as u64, Pointer::root()));
        }
        let row = self.shape.last().and_then(|size| usize::try_from(*size).ok()).unwrap_or(values.len());
        self.check_values(row, values.iter().map(|value| value.to_f64()), Pointer::root)
    }

    /// Checks a shape and its values, row by row: as [`check_shape`](Self::check_shape), as
    /// [`check`](Self::check), and that one fits the other.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn check_shaped<T: Scalar>(&self, shape: &[u64], values: &[T]) -> Result<(), Invalid> {
        self.check_shape(shape)?;
        check_count(shape, values.len() as u64)?;
        self.check(values)
    }

    /// Checks a shape and its values as little-endian bytes, as they come from a file or a socket.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault; `BYTES` has no such form.
    pub fn check_bytes(&self, shape: &[u64], bytes: &[u8]) -> Result<(), Invalid> {
        self.check_length(elements(shape).unwrap_or(u64::MAX), Pointer::root)?;
        self.check_bytes_at(shape, bytes, Pointer::root)
    }

    pub(crate) fn check_bytes_at(&self, shape: &[u64], bytes: &[u8], at: impl Fn() -> Pointer) -> Result<(), Invalid> {
        self.check_shape_at(shape, &at)?;
        let Some(width) = self.dtype.width() else {
            let message = "elements of BYTES have no fixed width";
            return Err(Invalid::new(InvalidCode::WrongDtype, at(), message));
        };
        check_width(shape, width, bytes.len(), &at)?;
        check_bits(self.dtype, bytes, &at)?;
        self.check_values(row(shape), bits::values(self.dtype, bytes), at)
    }

    /// Checks a shape: number of dimensions, every fixed dimension, the number of elements.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn check_shape(&self, shape: &[u64]) -> Result<(), Invalid> {
        self.check_shape_at(shape, Pointer::root)?;
        self.check_length(elements(shape).unwrap_or(u64::MAX), Pointer::root)
    }

    /// The same, of a shape that may hold nothing.
    pub(crate) fn check_shape_at(&self, shape: &[u64], at: impl Fn() -> Pointer) -> Result<(), Invalid> {
        if shape.len() != self.shape.len() {
            let message = format!("expected {} dimensions, got {}", self.shape.len(), shape.len());
            return Err(Invalid::new(InvalidCode::WrongRank, at(), message));
        }
        for (i, (&is, &should)) in shape.iter().zip(&self.shape).enumerate() {
            if should >= 0 && i64::try_from(is) != Ok(should) {
                let message = format!("expected size {should} in dimension {i}, got {is}");
                return Err(Invalid::new(InvalidCode::WrongShape, at(), message));
            }
        }
        self.check_most(elements(shape).unwrap_or(u64::MAX), at)
    }

    pub(crate) fn check_dtype(&self, dtype: Dtype, at: impl Fn() -> Pointer) -> Result<(), Invalid> {
        if self.dtype == dtype {
            return Ok(());
        }
        let message = format!("expected data type {}, got {dtype}", self.dtype);
        Err(Invalid::new(InvalidCode::WrongDtype, at(), message))
    }

    fn check_length(&self, count: u64, at: impl Fn() -> Pointer) -> Result<(), Invalid> {
        if count == 0 {
            return Err(Invalid::new(InvalidCode::EmptyInput, at(), "input is empty"));
        }
        self.check_most(count, at)
    }

    fn check_most(&self, count: u64, at: impl Fn() -> Pointer) -> Result<(), Invalid> {
        match self.max_elements {
            Some(limit) if count > limit => Err(too_long(count, limit, at())),
            _ => Ok(()),
        }
    }

    /// Whether anything is said about values beyond their type.
    fn is_plain(&self) -> bool {
        self.range.is_none() && self.allowed.is_none() && self.unit_rows.is_none()
    }

    /// Checks finite values; `row` of them are one row.
    pub(crate) fn check_values(
        &self,
        row: usize,
        values: impl Iterator<Item = f64>,
        at: impl Fn() -> Pointer,
    ) -> Result<(), Invalid> {
        if self.is_plain() {
            return Ok(());
        }
        let refuse = |message| Err(Invalid::new(InvalidCode::OutOfRange, at(), message));
        let mut squares = 0.0;
        for (index, value) in values.enumerate() {
            if let Some((min, max)) = self.range
                && !(min..=max).contains(&value)
            {
                return refuse(format!("value at index {index} is outside {min} to {max}"));
            }
            if self.allowed.as_ref().is_some_and(|allowed| !allowed.contains(&value)) {
                return refuse(format!("value at index {index} is none of the model's"));
            }
            let Some(tolerance) = self.unit_rows else { continue };
            squares += value * value;
            if (index + 1) % row.max(1) == 0 {
                if (squares.sqrt() - 1.0).abs() > tolerance {
                    let row = index / row.max(1);
                    return refuse(format!("row {row} is not normalised: its length is not 1"));
                }
                squares = 0.0;
            }
        }
        Ok(())
    }

    /// Checks the elements of a `BYTES` tensor.
    pub(crate) fn check_texts(
        &self,
        elements: impl Iterator<Item = impl AsRef<[u8]>>,
        at: impl Fn() -> Pointer,
    ) -> Result<(), Invalid> {
        if self.max_text_bytes.is_none() && self.texts.is_none() {
            return Ok(());
        }
        for (index, element) in elements.enumerate() {
            let element = element.as_ref();
            if let Some(most) = self.max_text_bytes.filter(|most| element.len() > *most) {
                let message = format!("text of {} bytes exceeds maximum {most}", element.len());
                return Err(Invalid::new(InvalidCode::StringTooLong, at().index(index), message));
            }
            if self.texts.as_ref().is_some_and(|texts| !texts.iter().any(|text| text.as_bytes() == element)) {
                let message = format!("value at index {index} is none of the model's");
                return Err(Invalid::new(InvalidCode::OutOfRange, at(), message));
            }
        }
        Ok(())
    }
}

/// Values in one row.
pub(crate) fn row(shape: &[u64]) -> usize {
    shape.last().and_then(|size| usize::try_from(*size).ok()).unwrap_or(1)
}

fn check_count(shape: &[u64], count: u64) -> Result<(), Invalid> {
    if elements(shape) == Some(count) {
        return Ok(());
    }
    let message = format!("shape needs {} values, got {count}", elements(shape).unwrap_or(u64::MAX));
    Err(Invalid::new(InvalidCode::WrongShape, Pointer::root(), message))
}

/// Whether a shape needs exactly so many bytes.
pub(crate) fn check_width(shape: &[u64], width: u64, length: usize, at: impl Fn() -> Pointer) -> Result<(), Invalid> {
    let needed = elements(shape).and_then(|count| count.checked_mul(width));
    if needed == Some(length as u64) {
        return Ok(());
    }
    let message = format!("shape and data type need {} bytes, got {length}", needed.unwrap_or(u64::MAX));
    Err(Invalid::new(InvalidCode::WrongShape, at(), message))
}

/// Whether little-endian bytes hold nothing but values of the type.
pub(crate) fn check_bits(dtype: Dtype, bytes: &[u8], at: impl Fn() -> Pointer) -> Result<(), Invalid> {
    match bits::first_unsound(dtype, bytes) {
        None => Ok(()),
        Some(index) if dtype == Dtype::Bool => Err(out_of_type(index, dtype, at())),
        Some(index) => Err(non_finite(index, at())),
    }
}
