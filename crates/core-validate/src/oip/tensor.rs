//! One tensor and its data, in either wire form.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use crate::answer_numbers::{map_binary, map_json, write};
use crate::answer_output::Output;
use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::{Cursor, Document, Field, Json, Kind, Span, Value};
use crate::limits::Limits;
use crate::oip::TensorSummary;
use crate::oip::head::TensorHead;
use crate::oip::request::is_plain;
use crate::oip::scan::{Scanned, numbers, scan, skim};
use crate::refuse::{conflict, missing, unknown, unsupported, wrong_type};
use crate::tensor::spec::{check_bits, check_width, row};
use crate::tensor::{Dtype, TensorSpec, bits, too_long};

#[derive(Debug, Clone)]
pub(super) struct Tensor {
    pub(super) head: TensorHead,
    data: Data,
    /// `parameters` that pass through, without the ones about the wire form.
    pub(super) parameters: Vec<Field>,
    /// Elements of `BYTES` that are to be written differently.
    edits: BTreeMap<usize, String>,
}

#[derive(Debug, Clone)]
enum Data {
    /// Numbers as the JSON that was scanned, with their bounds.
    Json(Bytes, Option<(f64, f64)>),
    /// Numbers as the little-endian bytes that were scanned.
    Binary(Bytes),
    /// Elements of a `BYTES` tensor in JSON: the text and where they stand in it.
    Texts(ByteString, Vec<Span>),
    /// Elements of a `BYTES` tensor in the binary form: where they stand.
    Framed(Bytes, Vec<(u32, u32)>),
}

/// The JSON part of a message with tensors, and what was learnt of their data while it was read.
pub(super) struct TensorDocument {
    pub(super) document: Document,
    /// By the node of the tensor.
    scanned: RefCell<BTreeMap<u32, Scanned>>,
    /// Elements of `BYTES` tensors so far.
    texts: Cell<u64>,
}

impl TensorDocument {
    /// Reads a message whose tensors stand in the list `list`. Of data beyond that of `most` tensors only the end is
    /// found.
    pub(super) fn read(body: &Bytes, limits: &Limits, list: &str, most: usize) -> Result<Self, Invalid> {
        let (mut scanned, texts) = (BTreeMap::new(), Cell::new(0));
        let mut on_data = |cursor: &mut Cursor<'_>, object: Value<'_>| {
            if object.parent().is_none_or(|parent| parent.key() != list) {
                return Ok(false);
            }
            if cursor.peek() == Some(b'n') {
                return Ok(false);
            }
            let at = || object.pointer().key("data");
            if TensorHead::is_complete(object) && scanned.len() < most {
                let head = TensorHead::read(limits, object)?;
                count_texts(limits, &head, object, &texts)?;
                scanned.insert(object.id(), scan(limits, &head, cursor, &at)?);
            } else {
                skim(limits, cursor, &at)?;
            }
            Ok(true)
        };
        let document = Document::read(body, limits, Some(&mut on_data))?;
        Ok(Self { document, scanned: RefCell::new(scanned), texts })
    }

    /// What is in the data of a tensor, if it was not looked at yet.
    fn scanned(
        &self,
        limits: &Limits,
        head: &TensorHead,
        object: Value<'_>,
        data: Value<'_>,
    ) -> Result<Scanned, Invalid> {
        if let Some(scanned) = self.scanned.borrow_mut().remove(&object.id()) {
            return Ok(scanned);
        }
        if data.kind() != Kind::Data {
            return Err(wrong_type(data.pointer(), "a list"));
        }
        count_texts(limits, head, object, &self.texts)?;
        let mut cursor = Cursor::new(self.document.text());
        cursor.set_position(data.start());
        scan(limits, head, &mut cursor, &|| data.pointer())
    }
}

impl Tensor {
    /// Reads one tensor object. `tail` holds the binary data that is left and is advanced.
    pub(super) fn read(
        limits: &Limits,
        of: &TensorDocument,
        object: Value<'_>,
        tail: &mut Option<Bytes>,
        strange: &dyn Fn(Value<'_>) -> Strange,
    ) -> Result<Self, Invalid> {
        if object.kind() != Kind::Object {
            return Err(wrong_type(object.pointer(), "an object"));
        }
        for field in object.fields() {
            let key = field.key();
            if !matches!(&*key, "name" | "shape" | "datatype" | "parameters" | "data") {
                return Err(unknown(&key, field.pointer()));
            }
        }
        let head = TensorHead::read(limits, object)?;
        let (size, parameters) = parameters(object, strange)?;
        let at = || object.pointer().key("data");
        let data = match (object.field("data"), size) {
            (Some(data), None) => {
                let scanned = of.scanned(limits, &head, object, data)?;
                match head.dtype.width() {
                    Some(_) => Data::Json(data.raw_bytes(), scanned.bounds),
                    None => Data::Texts(of.document.clone_text(), scanned.texts),
                }
            }
            (None, Some(size)) => {
                let data = take(tail, size, object)?;
                count_texts(limits, &head, object, &of.texts)?;
                binary(limits, &head, data, at)?
            }
            (Some(_), Some(_)) => return Err(conflict(at(), "a tensor has data or binary_data_size, not both")),
            _ => return Err(missing(at())),
        };
        Ok(Self { head, data, parameters, edits: BTreeMap::new() })
    }

    /// What an element of a `BYTES` tensor says, as far as it can be read as text.
    pub(super) fn text(&self, element: usize) -> Option<Cow<'_, str>> {
        if let Some(text) = self.edits.get(&element) {
            return Some(Cow::Borrowed(text));
        }
        match &self.data {
            Data::Texts(text, spans) => Some(spans.get(element)?.read(text)),
            Data::Framed(bytes, frames) => {
                let bytes = element_of(bytes, *frames.get(element)?);
                Some(std::str::from_utf8(bytes).map_or_else(|_| Cow::Owned(legible(bytes)), Cow::Borrowed))
            }
            _ => None,
        }
    }

    pub(super) fn set_text(&mut self, element: usize, text: String) {
        self.edits.insert(element, text);
    }

    /// The values of a type of numbers; none of `BYTES`.
    pub(super) fn numbers(&self) -> Vec<f64> {
        match &self.data {
            Data::Json(bytes, _) => numbers(self.head.dtype, std::str::from_utf8(bytes).unwrap_or_default()).collect(),
            Data::Binary(bytes) => bits::values(self.head.dtype, bytes).collect(),
            Data::Texts(..) | Data::Framed(..) => Vec::new(),
        }
    }

    /// What it holds; none of `BOOL`.
    pub(super) fn output(&self) -> Option<Output> {
        match self.head.dtype {
            Dtype::Bool => None,
            Dtype::Bytes => {
                let texts = (0..self.texts()).map(|element| self.text(element).unwrap_or_default().into_owned());
                Some(Output::Texts(texts.collect()))
            }
            _ => Some(Output::Numbers(self.numbers())),
        }
    }

    /// A tensor of one dimension that holds this.
    pub(super) fn of_output(name: &str, output: &Output, binary: bool) -> Self {
        let (dtype, count) = match output {
            Output::Numbers(numbers) => (Dtype::Fp64, numbers.len()),
            Output::Texts(texts) => (Dtype::Bytes, texts.len()),
        };
        let mut edits = BTreeMap::new();
        let data = match (output, binary) {
            (Output::Numbers(numbers), true) => {
                Data::Binary(numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
            }
            (Output::Numbers(numbers), false) => {
                let written: Vec<Vec<u8>> = numbers.iter().map(|number| write(dtype, *number)).collect();
                Data::Json([b"[", &*written.join(&b','), b"]"].concat().into(), None)
            }
            (Output::Texts(texts), _) => {
                edits.extend(texts.iter().cloned().enumerate());
                match binary {
                    true => Data::Framed(Bytes::new(), vec![(0, 0); count]),
                    false => Data::Texts(ByteString::new(), vec![Span { start: 0, length: 0, escaped: false }; count]),
                }
            }
        };
        let head = TensorHead { name: name.to_owned(), dtype, shape: vec![count as u64], count: count as u64 };
        Self { head, data, parameters: Vec::new(), edits }
    }

    /// Lets `change` replace the values of a floating point type.
    pub(super) fn map_numbers(&mut self, change: &mut impl FnMut(&str, &[u64], &mut [f64])) {
        let TensorHead { name, shape, dtype, .. } = &self.head;
        let change = |values: &mut [f64]| change(name, shape, values);
        match &mut self.data {
            _ if dtype.overflow().is_none() => {}
            Data::Json(bytes, _) => *bytes = map_json(bytes, *dtype, change),
            Data::Binary(bytes) => *bytes = map_binary(bytes, *dtype, change),
            Data::Texts(..) | Data::Framed(..) => {}
        }
    }

    /// How many elements may hold text.
    pub(super) fn texts(&self) -> usize {
        match &self.data {
            Data::Texts(_, spans) => spans.len(),
            Data::Framed(_, frames) => frames.len(),
            _ => 0,
        }
    }

    /// Checks the tensor against what the model says; `at` is its place.
    pub(super) fn check_spec(&self, spec: &TensorSpec, at: &Pointer) -> Result<(), Invalid> {
        spec.check_dtype(self.head.dtype, || at.key("datatype"))?;
        spec.check_shape_at(&self.head.shape, || at.key("shape"))?;
        let (row, place) = (row(&self.head.shape), || at.key("data"));
        match &self.data {
            Data::Json(bytes, _) => {
                spec.check_values(row, numbers(self.head.dtype, std::str::from_utf8(bytes).unwrap_or_default()), place)
            }
            Data::Binary(bytes) => spec.check_values(row, bits::values(self.head.dtype, bytes), place),
            Data::Texts(text, spans) => spec.check_texts(spans.iter().map(|span| span.read(text).into_owned()), place),
            Data::Framed(bytes, frames) => {
                spec.check_texts(frames.iter().map(|frame| element_of(bytes, *frame)), place)
            }
        }
    }

    pub(super) fn summary(&self) -> TensorSummary {
        let (bounds, data) = match &self.data {
            Data::Json(bytes, bounds) => (*bounds, bytes.clone()),
            Data::Binary(bytes) => (bits::bounds(self.head.dtype, bytes), bytes.clone()),
            Data::Texts(..) | Data::Framed(..) => (None, self.framed()),
        };
        let (min, max) = bounds.unzip();
        let TensorHead { name, shape, dtype, .. } = self.head.clone();
        TensorSummary { name, shape, dtype, min, max, data }
    }

    /// Each element behind its length, four bytes little-endian.
    fn framed(&self) -> Bytes {
        if let (Data::Framed(bytes, _), true) = (&self.data, self.edits.is_empty()) {
            return bytes.clone();
        }
        let mut out = BytesMut::new();
        for element in 0..self.texts() {
            let text = self.text(element).unwrap_or_default();
            let bytes = match &self.data {
                // Bytes that are no text stay as they are, unless they are to be different.
                Data::Framed(bytes, frames) if !self.edits.contains_key(&element) => {
                    element_of(bytes, frames.get(element).copied().unwrap_or_default())
                }
                _ => text.as_bytes(),
            };
            out.put_u32_le(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            out.put_slice(bytes);
        }
        out.freeze()
    }

    /// The tensor as JSON; binary data goes to `tail`.
    pub(super) fn write(&self, tail: &mut BytesMut) -> Json {
        let mut parameters = self.parameters.clone();
        let TensorHead { name, dtype, shape, .. } = &self.head;
        let shape = Json::Array(shape.iter().map(|size| Json::Uint(*size)).collect());
        let mut fields: Vec<Field> = vec![
            ("name".into(), Json::text(name.as_str())),
            ("shape".into(), shape),
            ("datatype".into(), Json::text(dtype.as_str())),
        ];
        let mut binary = |bytes: &[u8]| {
            parameters.push(("binary_data_size".into(), Json::Uint(bytes.len() as u64)));
            tail.put_slice(bytes);
        };
        match &self.data {
            Data::Json(bytes, _) => fields.push(("data".into(), Json::Raw(bytes.clone()))),
            Data::Binary(bytes) => binary(bytes),
            Data::Framed(..) => binary(&self.framed()),
            Data::Texts(..) => {
                let texts = (0..self.texts()).map(|element| Json::text(self.text(element).unwrap_or_default()));
                fields.push(("data".into(), Json::Array(texts.collect())));
            }
        }
        if !parameters.is_empty() {
            fields.push(("parameters".into(), Json::Object(parameters)));
        }
        Json::Object(fields)
    }
}

/// Bounds the elements of all `BYTES` tensors of a message together: the place of each is kept.
fn count_texts(limits: &Limits, head: &TensorHead, object: Value<'_>, texts: &Cell<u64>) -> Result<(), Invalid> {
    if head.dtype.width().is_some() {
        return Ok(());
    }
    let most = limits.values as u64;
    texts.set(texts.get().saturating_add(head.count));
    if texts.get() > most {
        return Err(too_long(texts.get(), most, object.pointer().key("shape")));
    }
    Ok(())
}

/// What a reader could make out in bytes that are not UTF-8: the parts that are, without NUL, so
/// that text in UTF-16 or behind a stray byte is seen too.
fn legible(bytes: &[u8]) -> String {
    bytes.utf8_chunks().flat_map(|chunk| chunk.valid().chars()).filter(|char| *char != '\0').collect()
}

fn element_of(bytes: &[u8], (start, length): (u32, u32)) -> &[u8] {
    bytes.get(start as usize..).and_then(|rest| rest.get(..length as usize)).unwrap_or_default()
}

fn take(tail: &mut Option<Bytes>, size: u64, object: Value<'_>) -> Result<Bytes, Invalid> {
    let wrong = |message| Invalid::new(InvalidCode::WrongShape, object.pointer().key("parameters"), message);
    if size == 0 {
        return Ok(Bytes::new());
    }
    let Some(tail) = tail else { return Err(wrong("binary data needs the tensor header length")) };
    match usize::try_from(size) {
        Ok(size) if size <= tail.len() => Ok(tail.split_to(size)),
        _ => Err(wrong("binary data is shorter than announced")),
    }
}

/// Checks binary data: little-endian values, or length-framed elements.
fn binary(limits: &Limits, head: &TensorHead, data: Bytes, at: impl Fn() -> Pointer) -> Result<Data, Invalid> {
    let Some(width) = head.dtype.width() else { return framed(limits, head.count, data, at) };
    check_width(&head.shape, width, data.len(), &at)?;
    check_bits(head.dtype, &data, &at)?;
    Ok(Data::Binary(data))
}

fn framed(limits: &Limits, count: u64, data: Bytes, at: impl Fn() -> Pointer) -> Result<Data, Invalid> {
    let broken = || Invalid::new(InvalidCode::WrongShape, at(), "elements do not fill the data");
    let mut frames = Vec::new();
    let mut start = 0;
    while start < data.len() {
        if frames.len() as u64 == count {
            return Err(too_long(count + 1, count, at()));
        }
        let frame = data.get(start..).and_then(|rest| rest.first_chunk::<4>()).ok_or_else(broken)?;
        let length = u32::from_le_bytes(*frame);
        start += 4;
        if length as usize > data.len() - start {
            return Err(broken());
        }
        if length as usize > limits.string_bytes {
            let message = format!("text of {length} bytes exceeds maximum {}", limits.string_bytes);
            return Err(Invalid::new(InvalidCode::StringTooLong, at().index(frames.len()), message));
        }
        frames.push((u32::try_from(start).map_err(|_| broken())?, length));
        start += length as usize;
    }
    if frames.len() as u64 != count {
        return Err(broken());
    }
    Ok(Data::Framed(data, frames))
}

/// What is done with a parameter of a tensor that is not about its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strange {
    Kept,
    Dropped,
    Refused,
}

/// The allowed `parameters` of a tensor, with the binary size apart.
fn parameters(object: Value<'_>, strange: &dyn Fn(Value<'_>) -> Strange) -> Result<(Option<u64>, Vec<Field>), Invalid> {
    let Some(parameters) = object.field("parameters") else { return Ok((None, Vec::new())) };
    if parameters.kind() != Kind::Object {
        return Err(wrong_type(parameters.pointer(), "an object"));
    }
    let mut size = None;
    let mut rest = Vec::new();
    for field in parameters.fields() {
        let key = field.key();
        if key == "binary_data_size" {
            size = Some(field.as_u64().ok_or_else(|| wrong_type(field.pointer(), "a size in bytes"))?);
            continue;
        }
        match strange(field) {
            Strange::Kept => {}
            Strange::Dropped => continue,
            Strange::Refused => return Err(unsupported(field.pointer(), "this parameter is not accepted")),
        }
        if !is_plain(field) {
            return Err(unsupported(field.pointer(), "this value is not accepted"));
        }
        rest.push((Cow::Owned(key.into_owned()), Json::copy(field)));
    }
    Ok((size, rest))
}
