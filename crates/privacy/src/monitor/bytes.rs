//! States as bytes: little-endian, a version and a tag first, nothing behind.

use super::error::StateError;
use super::projection::Point;

const VERSION: u8 = 1;

pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(tag: u64) -> Self {
        let mut writer = Self(vec![VERSION]);
        writer.u64(tag);
        writer
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn f32s(&mut self, values: &[f32]) {
        self.0.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    pub(super) fn f64(&mut self, value: f64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn end(self) -> Vec<u8> {
        self.0
    }
}

pub(super) struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn new(bytes: &'b [u8], tag: u64) -> Result<Self, StateError> {
        let [VERSION, rest @ ..] = bytes else { return Err(StateError::Version) };
        let mut reader = Self(rest);
        if reader.u64()? == tag { Ok(reader) } else { Err(StateError::Foreign) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(StateError::Damaged)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u64(&mut self) -> Result<u64, StateError> {
        self.take().map(u64::from_le_bytes)
    }

    /// A number up to `most`.
    pub(super) fn u32(&mut self, most: u32) -> Result<u32, StateError> {
        let value = self.take().map(u32::from_le_bytes)?;
        if value <= most { Ok(value) } else { Err(StateError::Damaged) }
    }

    /// A finite number.
    pub(super) fn f32(&mut self) -> Result<f32, StateError> {
        let value = self.take().map(f32::from_le_bytes)?;
        if value.is_finite() { Ok(value) } else { Err(StateError::Damaged) }
    }

    /// A finite number.
    pub(super) fn f64(&mut self) -> Result<f64, StateError> {
        let value = self.take().map(f64::from_le_bytes)?;
        if value.is_finite() { Ok(value) } else { Err(StateError::Damaged) }
    }

    pub(super) fn point(&mut self) -> Result<Point, StateError> {
        let mut point = Point::default();
        for value in &mut point {
            *value = self.f32()?;
        }
        Ok(point)
    }

    /// There must be nothing left.
    pub(super) fn end(self) -> Result<(), StateError> {
        if self.0.is_empty() { Ok(()) } else { Err(StateError::Damaged) }
    }
}
