//! Tensor data, value by value: type, range, finiteness, nesting and count, in one pass.

use bytes::Bytes;

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::limits::Limits;
use crate::oip::data::{Data, Element};
use crate::openai::wrong_type;
use crate::tensor::{Dtype, elements, non_finite, too_long};

type Scanned = (Data, Option<(f64, f64)>);

/// Scans JSON data: flat, or nested exactly as the shape says.
pub(super) fn json(
    limits: &Limits,
    dtype: Dtype,
    shape: &[u64],
    raw: &Bytes,
    at: &Pointer,
) -> Result<Scanned, Invalid> {
    let count = elements(shape).unwrap_or(u64::MAX);
    let text = std::str::from_utf8(raw).unwrap_or_default();
    let mut scan = Scan { dtype, at, seen: 0, count, limits, bounds: Bounds::default(), texts: Vec::new() };
    if !text.starts_with('[') {
        return Err(wrong_type(at.clone(), "a list"));
    }
    let nested = text.bytes().skip(1).find(|b| !b.is_ascii_whitespace()) == Some(b'[');
    let expected: &[u64] = if nested { shape } else { &[count] };
    scan.list(text, expected)?;
    match dtype {
        Dtype::Bytes => Ok((Data::Elements(scan.texts, false), None)),
        _ => Ok((Data::Json(raw.clone()), scan.bounds.pair())),
    }
}

struct Scan<'a> {
    dtype: Dtype,
    at: &'a Pointer,
    seen: u64,
    count: u64,
    limits: &'a Limits,
    bounds: Bounds,
    texts: Vec<Element>,
}

impl Scan<'_> {
    /// Reads the lists level by level. The text is valid JSON already, so that splitting it at
    /// brackets, commas and quotes is enough.
    fn list(&mut self, text: &str, shape: &[u64]) -> Result<(), Invalid> {
        let mut open: Vec<u64> = Vec::with_capacity(shape.len());
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\n', '\r', ',']);
            let Some(first) = rest.bytes().next() else { return self.finish() };
            match first {
                b'[' => {
                    self.count_child(&mut open);
                    if open.len() >= shape.len() {
                        return Err(self.ragged());
                    }
                    open.push(0);
                    rest = rest.get(1..).unwrap_or_default();
                }
                b']' => {
                    let is = open.pop().unwrap_or_default();
                    if shape.get(open.len()) != Some(&is) {
                        return Err(self.ragged());
                    }
                    rest = rest.get(1..).unwrap_or_default();
                }
                _ => {
                    self.count_child(&mut open);
                    if open.len() != shape.len() {
                        return Err(self.ragged());
                    }
                    let end = leaf_end(rest);
                    let (leaf, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                    self.leaf(leaf)?;
                    rest = after;
                }
            }
        }
    }

    fn count_child(&self, open: &mut [u64]) {
        if let Some(last) = open.last_mut() {
            *last += 1;
        }
    }

    fn ragged(&self) -> Invalid {
        let message = match self.seen.cmp(&self.count) {
            std::cmp::Ordering::Equal => "data is not nested as the shape says".to_owned(),
            _ => format!("data does not fit the shape of {} elements", self.count),
        };
        Invalid::new(InvalidCode::WrongShape, self.at.clone(), message)
    }

    fn finish(&self) -> Result<(), Invalid> {
        if self.seen == self.count { Ok(()) } else { Err(self.ragged()) }
    }

    fn leaf(&mut self, leaf: &str) -> Result<(), Invalid> {
        let index = self.seen;
        self.seen += 1;
        if self.seen > self.count {
            return Err(self.ragged());
        }
        let wrong = |wanted: &str| wrong_type(self.at.index(usize::try_from(index).unwrap_or(usize::MAX)), wanted);
        if let Some((min, max)) = self.dtype.integers() {
            let value: i128 = leaf.parse().map_err(|_| wrong("an integer"))?;
            if !(min..=max).contains(&value) {
                let message = format!("value at index {index} is outside {}", self.dtype);
                return Err(Invalid::new(InvalidCode::OutOfRange, self.at.clone(), message));
            }
            self.bounds.add(value as f64);
            return Ok(());
        }
        if let Some(largest) = self.dtype.largest_float() {
            let is_number = leaf.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            let value: f64 = leaf.parse().ok().filter(|_| is_number).ok_or_else(|| wrong("a number"))?;
            if !value.is_finite() || value.abs() > largest {
                return Err(non_finite(index, self.at.clone()));
            }
            self.bounds.add(value);
            return Ok(());
        }
        match (self.dtype, leaf) {
            (Dtype::Bool, "true" | "false" | "0" | "1") => Ok(()),
            (Dtype::Bool, _) => Err(wrong("true or false")),
            _ => {
                let text: String = serde_json::from_str(leaf).map_err(|_| wrong("a string"))?;
                if text.len() > self.limits.string_bytes {
                    let place = self.at.index(usize::try_from(index).unwrap_or(usize::MAX));
                    let message = format!("text of {} bytes exceeds maximum {}", text.len(), self.limits.string_bytes);
                    return Err(Invalid::new(InvalidCode::StringTooLong, place, message));
                }
                self.texts.push(Element::Text(text));
                Ok(())
            }
        }
    }
}

/// Where a string, number or word at the start of `text` ends.
fn leaf_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    if bytes.first() != Some(&b'"') {
        let ends = |b: &u8| matches!(b, b',' | b']' | b' ' | b'\t' | b'\n' | b'\r');
        return bytes.iter().position(ends).unwrap_or(bytes.len());
    }
    let mut escaped = false;
    for (i, &byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    bytes.len()
}

/// Scans binary data: little-endian values, or length-framed elements.
pub(super) fn binary(
    limits: &Limits,
    dtype: Dtype,
    count: u64,
    data: &Bytes,
    at: &Pointer,
) -> Result<Scanned, Invalid> {
    let Some(width) = dtype.width() else { return framed(limits, count, data, at) };
    let expected = count.checked_mul(width);
    if expected != Some(data.len() as u64) {
        let message = format!("shape and data type need {} bytes, got {}", count.saturating_mul(width), data.len());
        return Err(Invalid::new(InvalidCode::WrongShape, at.clone(), message));
    }
    let mut bounds = Bounds::default();
    let step = usize::try_from(width).unwrap_or(1);
    for (index, bytes) in data.chunks_exact(step).enumerate() {
        let value = number(dtype, bytes);
        if !value.is_finite() {
            return Err(non_finite(index as u64, at.clone()));
        }
        if dtype == Dtype::Bool && value > 1.0 {
            let message = format!("value at index {index} is outside BOOL");
            return Err(Invalid::new(InvalidCode::OutOfRange, at.clone(), message));
        }
        bounds.add(value);
    }
    Ok((Data::Binary(data.clone()), bounds.pair()))
}

/// One little-endian value. FP16 and BF16 by IEEE 754 bit layout.
fn number(dtype: Dtype, bytes: &[u8]) -> f64 {
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

fn framed(limits: &Limits, count: u64, data: &Bytes, at: &Pointer) -> Result<Scanned, Invalid> {
    let broken = || Invalid::new(InvalidCode::WrongShape, at.clone(), "elements do not fill the data");
    let mut elements = Vec::new();
    let mut rest = data.clone();
    while !rest.is_empty() {
        if elements.len() as u64 == count {
            return Err(too_long(count + 1, count, at.clone()));
        }
        let Some(frame) = rest.first_chunk::<4>().copied() else { return Err(broken()) };
        let length = u32::from_le_bytes(frame) as usize;
        let _ = rest.split_to(4);
        if length > rest.len() || length > limits.string_bytes {
            return Err(broken());
        }
        let element = rest.split_to(length);
        elements.push(Element::read(element));
    }
    if elements.len() as u64 != count {
        return Err(broken());
    }
    Ok((Data::Elements(elements, true), None))
}

#[derive(Default)]
struct Bounds(Option<(f64, f64)>);

impl Bounds {
    fn add(&mut self, value: f64) {
        let (min, max) = self.0.unwrap_or((value, value));
        self.0 = Some((min.min(value), max.max(value)));
    }

    fn pair(&self) -> Option<(f64, f64)> {
        self.0
    }
}
