//! One tensor and its data, in either wire form.

use bytes::{BufMut, Bytes, BytesMut};

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::Json;
use crate::limits::Limits;
use crate::oip::TensorSummary;
use crate::oip::scan;
use crate::openai::{missing, unsupported, wrong_type};
use crate::tensor::{Dtype, elements, too_long};

#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<u64>,
    pub(crate) bounds: Option<(f64, f64)>,
    pub(crate) data: Data,
    /// `parameters` that pass through, without the ones about the wire form.
    parameters: Vec<(String, Json)>,
}

#[derive(Debug, Clone)]
pub(crate) enum Data {
    /// Numbers as the JSON that was scanned.
    Json(Bytes),
    /// Numbers as the little-endian bytes that were scanned.
    Binary(Bytes),
    /// Elements of a `BYTES` tensor, and whether they came in the binary form.
    Elements(Vec<Element>, bool),
}

/// A `BYTES` element: a text when it is UTF-8, else opaque (an encoded image, say).
#[derive(Debug, Clone)]
pub(crate) enum Element {
    Text(String),
    /// The bytes, and what of them can be read as text. A changed view takes the bytes' place.
    Opaque(Bytes, String),
}

impl Element {
    /// An element of these bytes.
    pub(crate) fn read(bytes: Bytes) -> Self {
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => {
                let view = legible(&bytes);
                Self::Opaque(bytes, view)
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Opaque(bytes, view) if *view == legible(bytes) => bytes,
            Self::Opaque(_, view) => view.as_bytes(),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Opaque(_, text) => text,
        }
    }

    fn text_mut(&mut self) -> &mut String {
        match self {
            Self::Text(text) | Self::Opaque(_, text) => text,
        }
    }
}

impl Tensor {
    /// Reads one tensor object. `tail` holds the binary data that is left and is advanced.
    pub(crate) fn read(
        limits: &Limits,
        value: &Json,
        at: &Pointer,
        tail: &mut Option<Bytes>,
        allowed: &[&str],
    ) -> Result<Self, Invalid> {
        let Json::Object(fields) = value else { return Err(wrong_type(at.clone(), "an object")) };
        for (key, _) in fields {
            if !matches!(key.as_str(), "name" | "shape" | "datatype" | "parameters" | "data") {
                return Err(Invalid::new(InvalidCode::UnknownField, at.key(key), "a field is not accepted here"));
            }
        }
        let name = name(value, at)?;
        let dtype = dtype(value, at)?;
        let shape = shape(limits, value, at)?;
        let count = elements(&shape).unwrap_or(u64::MAX);
        if count == 0 {
            return Err(Invalid::new(InvalidCode::EmptyInput, at.key("shape"), "input is empty"));
        }
        let most = if dtype == Dtype::Bytes { limits.values as u64 } else { limits.elements };
        if count > most {
            return Err(too_long(count, most, at.key("shape")));
        }
        let (size, parameters) = parameters(value, at, allowed)?;
        let place = at.key("data");
        let (data, bounds) = match (value.get("data"), size) {
            (Some(Json::Raw(raw)), None) => scan::json(limits, dtype, &shape, raw, &place)?,
            (None, Some(size)) => {
                let data = take(tail, size, at)?;
                scan::binary(limits, dtype, count, &data, &place)?
            }
            (Some(_), Some(_)) => {
                let message = "a tensor has data or binary_data_size, not both";
                return Err(Invalid::new(InvalidCode::ConflictingFields, place, message));
            }
            _ => return Err(missing(place)),
        };
        Ok(Self { name, dtype, shape, bounds, data, parameters })
    }

    pub(crate) fn text(&self, element: usize) -> Option<&str> {
        match &self.data {
            Data::Elements(elements, _) => Some(elements.get(element)?.text()),
            _ => None,
        }
    }

    pub(crate) fn text_mut(&mut self, element: usize) -> Option<&mut String> {
        match &mut self.data {
            Data::Elements(elements, _) => Some(elements.get_mut(element)?.text_mut()),
            _ => None,
        }
    }

    /// How many elements may hold text.
    pub(crate) fn elements(&self) -> usize {
        match &self.data {
            Data::Elements(elements, _) => elements.len(),
            _ => 0,
        }
    }

    pub(crate) fn summary(&self) -> TensorSummary {
        let data = match &self.data {
            Data::Json(bytes) | Data::Binary(bytes) => bytes.clone(),
            Data::Elements(elements, _) => framed(elements),
        };
        let (min, max) = self.bounds.unzip();
        TensorSummary { name: self.name.clone(), shape: self.shape.clone(), dtype: self.dtype, min, max, data }
    }

    /// The tensor as JSON; binary data goes to `tail`.
    pub(crate) fn write(&self, tail: &mut BytesMut) -> Json {
        let mut parameters = self.parameters.clone();
        let mut fields = vec![
            ("name".to_owned(), Json::text(self.name.as_str())),
            ("shape".to_owned(), Json::Array(self.shape.iter().map(|&n| Json::Uint(n)).collect())),
            ("datatype".to_owned(), Json::text(self.dtype.as_str())),
        ];
        let mut binary = |bytes: &[u8], parameters: &mut Vec<(String, Json)>| {
            parameters.push(("binary_data_size".to_owned(), Json::Uint(bytes.len() as u64)));
            tail.put_slice(bytes);
        };
        match &self.data {
            Data::Json(bytes) => fields.push(("data".to_owned(), Json::Raw(bytes.clone()))),
            Data::Binary(bytes) => binary(bytes, &mut parameters),
            Data::Elements(elements, true) => binary(&framed(elements), &mut parameters),
            Data::Elements(elements, false) => {
                let texts = elements.iter().map(|element| Json::text(element.text()));
                fields.push(("data".to_owned(), Json::Array(texts.collect())));
            }
        }
        if !parameters.is_empty() {
            fields.push(("parameters".to_owned(), Json::Object(parameters)));
        }
        Json::Object(fields)
    }
}

/// What a reader could make out in bytes that are not UTF-8: the parts that are, without NUL, so
/// that text in UTF-16 or behind a stray byte is seen too.
fn legible(bytes: &[u8]) -> String {
    bytes.utf8_chunks().flat_map(|chunk| chunk.valid().chars()).filter(|char| *char != '\0').collect()
}

/// Each element behind its length, four bytes little-endian. Lengths fit: they came framed so.
fn framed(elements: &[Element]) -> Bytes {
    let mut out = BytesMut::new();
    for element in elements {
        out.put_u32_le(u32::try_from(element.bytes().len()).unwrap_or(u32::MAX));
        out.put_slice(element.bytes());
    }
    out.freeze()
}

fn take(tail: &mut Option<Bytes>, size: u64, at: &Pointer) -> Result<Bytes, Invalid> {
    let wrong = |message| Invalid::new(InvalidCode::WrongShape, at.key("parameters"), message);
    let Some(tail) = tail else { return Err(wrong("binary data needs the tensor header length")) };
    match usize::try_from(size) {
        Ok(size) if size <= tail.len() => Ok(tail.split_to(size)),
        _ => Err(wrong("binary data is shorter than announced")),
    }
}

fn name(value: &Json, at: &Pointer) -> Result<String, Invalid> {
    let at = at.key("name");
    match value.get("name") {
        None => Err(missing(at)),
        Some(Json::Text(name)) if is_tensor_name(name) => Ok(name.clone()),
        Some(Json::Text(_)) => {
            let message = "a tensor name is 1 to 128 characters of letters, digits and . _ : / - [ ]";
            Err(Invalid::new(InvalidCode::OutOfRange, at, message))
        }
        Some(_) => Err(wrong_type(at, "a string")),
    }
}

/// Whether a name is one that models give their tensors: no room for a sentence.
pub(super) fn is_tensor_name(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'-' | b'[' | b']');
    (1..=128).contains(&name.len()) && name.bytes().all(is_plain)
}

fn dtype(value: &Json, at: &Pointer) -> Result<Dtype, Invalid> {
    let at = at.key("datatype");
    let text = value.get("datatype").ok_or_else(|| missing(at.clone()))?;
    let text = text.as_str().ok_or_else(|| wrong_type(at.clone(), "a string"))?;
    text.parse().map_err(|_| Invalid::new(InvalidCode::WrongDtype, at, "not a data type of the protocol"))
}

fn shape(limits: &Limits, value: &Json, at: &Pointer) -> Result<Vec<u64>, Invalid> {
    let at = at.key("shape");
    let sizes = value.get("shape").ok_or_else(|| missing(at.clone()))?;
    let sizes = sizes.as_array().ok_or_else(|| wrong_type(at.clone(), "a list"))?;
    if sizes.len() > limits.rank {
        let message = format!("expected at most {} dimensions, got {}", limits.rank, sizes.len());
        return Err(Invalid::new(InvalidCode::WrongRank, at, message));
    }
    sizes
        .iter()
        .enumerate()
        .map(|(i, size)| {
            size.as_u64().ok_or_else(|| {
                Invalid::new(InvalidCode::WrongShape, at.index(i), "a size is a whole number of 0 or more")
            })
        })
        .collect()
}

/// The allowed `parameters` of a tensor, with the binary size apart.
#[expect(clippy::type_complexity, reason = "a size and the rest, read in one place")]
fn parameters(value: &Json, at: &Pointer, allowed: &[&str]) -> Result<(Option<u64>, Vec<(String, Json)>), Invalid> {
    let at = at.key("parameters");
    let fields = match value.get("parameters") {
        None => return Ok((None, Vec::new())),
        Some(Json::Object(fields)) => fields,
        Some(_) => return Err(wrong_type(at, "an object")),
    };
    let mut size = None;
    let mut rest = Vec::new();
    for (key, field) in fields {
        match (key.as_str(), field) {
            ("binary_data_size", _) => {
                size = Some(field.as_u64().ok_or_else(|| wrong_type(at.key(key), "a size in bytes"))?);
            }
            (name, Json::Bool(_) | Json::Uint(_) | Json::Text(_)) if allowed.contains(&name) => {
                let plain = field.as_str().is_none_or(|word| matches!(word, "np" | "str"));
                if !plain {
                    return Err(unsupported(at.key(key), "this value is not accepted"));
                }
                rest.push((key.clone(), field.clone()));
            }
            _ => return Err(unsupported(at.key(key), "this parameter is not accepted")),
        }
    }
    Ok((size, rest))
}
