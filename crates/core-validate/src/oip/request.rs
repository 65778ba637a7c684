//! A tensor request: `POST /v2/models/{model}/infer`.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::{self, Json};
use crate::limits::Limits;
use crate::oip::data::{Tensor, is_tensor_name};
use crate::oip::{ModelSpec, TensorSummary};
use crate::openai::{empty, missing, unsupported, wrong_type};
use crate::request::{Content, Encoded, InferenceRequest, Operation, Origin, Place};
use crate::validator::Head;

#[derive(Debug, Clone)]
pub(crate) struct TensorRequest {
    /// `id`, `parameters` and `outputs` as they are passed on.
    rest: Vec<(String, Json)>,
    inputs: Vec<Tensor>,
    binary: bool,
}

/// Reads a tensor request.
pub(crate) fn parse(limits: &Limits, head: &Head, body: &Bytes) -> Result<InferenceRequest, Invalid> {
    let model = head.model.clone().ok_or_else(|| missing(Pointer::root().key("model")))?;
    let (json, mut tail) = split(head, body)?;
    let root = json::read(&json, limits, Some("data"))?;
    let Json::Object(fields) = &root else { return Err(wrong_type(Pointer::root(), "an object")) };
    let mut rest = Vec::new();
    for (key, value) in fields {
        let at = Pointer::root().key(key);
        match key.as_str() {
            "inputs" => {}
            "id" => rest.push((key.clone(), identifier(value, at)?)),
            "parameters" => rest.push((key.clone(), flags(value, &at, &["binary_data_output"])?)),
            "outputs" => rest.push((key.clone(), outputs(limits, value, &at)?)),
            _ => return Err(Invalid::new(InvalidCode::UnknownField, at, "a field is not accepted here")),
        }
    }
    let inputs = inputs(limits, &root, &mut tail)?;
    if tail.as_ref().is_some_and(|tail| !tail.is_empty()) {
        return Err(Invalid::new(InvalidCode::WrongShape, Pointer::root(), "binary data is longer than announced"));
    }
    let places = places(&inputs);
    let content = Content::Tensors(TensorRequest { rest, inputs, binary: tail.is_some() });
    Ok(InferenceRequest {
        operation: Operation::Infer,
        model,
        version: head.version.clone(),
        stream: false,
        usage_asked: false,
        max_output: None,
        choices: 1,
        computed: 1,
        media_tokens: 0,
        content,
        places,
        written: OnceLock::new(),
    })
}

/// The JSON part and, with a tensor header length, the binary part behind it.
pub(super) fn split(head: &Head, body: &Bytes) -> Result<(Bytes, Option<Bytes>), Invalid> {
    let Some(length) = head.tensor_header_length else { return Ok((body.clone(), None)) };
    match usize::try_from(length) {
        Ok(length) if (1..=body.len()).contains(&length) => {
            let mut json = body.clone();
            let tail = json.split_off(length);
            Ok((json, Some(tail)))
        }
        _ => {
            let message = "tensor header length does not fit the body";
            Err(Invalid::new(InvalidCode::BadHeader, Pointer::root(), message))
        }
    }
}

fn inputs(limits: &Limits, root: &Json, tail: &mut Option<Bytes>) -> Result<Vec<Tensor>, Invalid> {
    let at = Pointer::root().key("inputs");
    let list = root.get("inputs").ok_or_else(|| missing(at.clone()))?;
    let list = list.as_array().ok_or_else(|| wrong_type(at.clone(), "a list"))?;
    if list.is_empty() {
        return Err(empty(at));
    }
    if list.len() > limits.tensors {
        let message = format!("{} tensors exceed maximum {}", list.len(), limits.tensors);
        return Err(Invalid::new(InvalidCode::OutOfRange, at, message));
    }
    let mut inputs: Vec<Tensor> = Vec::with_capacity(list.len());
    for (i, value) in list.iter().enumerate() {
        let tensor = Tensor::read(limits, value, &at.index(i), tail, &["content_type"])?;
        if inputs.iter().any(|other| other.name == tensor.name) {
            let message = "two inputs have the same name";
            return Err(Invalid::new(InvalidCode::ConflictingFields, at.index(i).key("name"), message));
        }
        inputs.push(tensor);
    }
    Ok(inputs)
}

fn identifier(value: &Json, at: Pointer) -> Result<Json, Invalid> {
    match value {
        Json::Text(id) if is_tensor_name(id) => Ok(value.clone()),
        Json::Text(_) => Err(Invalid::new(
            InvalidCode::OutOfRange,
            at,
            "an id is 1 to 128 characters of letters, digits and . _ : / -",
        )),
        _ => Err(wrong_type(at, "a string")),
    }
}

/// An object that holds only these parameters, as flags or small numbers.
fn flags(value: &Json, at: &Pointer, allowed: &[&str]) -> Result<Json, Invalid> {
    let Json::Object(fields) = value else { return Err(wrong_type(at.clone(), "an object")) };
    for (key, field) in fields {
        if !allowed.contains(&key.as_str()) || !matches!(field, Json::Bool(_) | Json::Uint(_)) {
            return Err(unsupported(at.key(key), "this parameter is not accepted"));
        }
    }
    Ok(value.clone())
}

fn outputs(limits: &Limits, value: &Json, at: &Pointer) -> Result<Json, Invalid> {
    let list = value.as_array().ok_or_else(|| wrong_type(at.clone(), "a list"))?;
    if list.len() > limits.tensors {
        let message = format!("{} tensors exceed maximum {}", list.len(), limits.tensors);
        return Err(Invalid::new(InvalidCode::OutOfRange, at.clone(), message));
    }
    for (i, output) in list.iter().enumerate() {
        let at = at.index(i);
        let Json::Object(fields) = output else { return Err(wrong_type(at, "an object")) };
        for (key, field) in fields {
            match key.as_str() {
                "name" if field.as_str().is_some_and(is_tensor_name) => {}
                "name" => {
                    let message = "expected the name of a tensor";
                    return Err(Invalid::new(InvalidCode::OutOfRange, at.key(key), message));
                }
                "parameters" => {
                    let _ = flags(field, &at.key(key), &["binary_data", "classification"])?;
                }
                _ => return Err(Invalid::new(InvalidCode::UnknownField, at.key(key), "a field is not accepted here")),
            }
        }
        if output.get("name").is_none() {
            return Err(missing(at.key("name")));
        }
    }
    Ok(value.clone())
}

fn places(inputs: &[Tensor]) -> Vec<Place> {
    let mut places = Vec::new();
    for (i, tensor) in inputs.iter().enumerate() {
        let at = Pointer::root().key("inputs").index(i).key("data");
        for j in (0..tensor.elements()).filter(|&j| tensor.text(j).is_some()) {
            places.push(Place { steps: vec![i, j], pointer: at.index(j), origin: Origin::Element, is_key: false });
        }
    }
    places
}

impl TensorRequest {
    pub(crate) fn text(&self, steps: &[usize]) -> Option<&str> {
        match steps {
            [tensor, element] => self.inputs.get(*tensor)?.text(*element),
            _ => None,
        }
    }

    pub(crate) fn text_mut(&mut self, steps: &[usize]) -> Option<&mut String> {
        match steps {
            [tensor, element] => self.inputs.get_mut(*tensor)?.text_mut(*element),
            _ => None,
        }
    }

    pub(crate) fn summaries(&self) -> Vec<TensorSummary> {
        self.inputs.iter().map(Tensor::summary).collect()
    }

    pub(crate) fn check_spec(&self, spec: &ModelSpec) -> Result<(), Invalid> {
        spec.check(&self.inputs)
    }

    pub(crate) fn to_body(&self) -> Encoded {
        let mut fields = self.rest.clone();
        let mut tail = BytesMut::new();
        let inputs = self.inputs.iter().map(|tensor| tensor.write(&mut tail)).collect();
        fields.push(("inputs".to_owned(), Json::Array(inputs)));
        encode(fields, &tail, self.binary)
    }
}

/// Writes the JSON part and the binary part behind it.
pub(super) fn encode(fields: Vec<(String, Json)>, tail: &[u8], binary: bool) -> Encoded {
    let mut out = Vec::new();
    Json::Object(fields).write(&mut out);
    let tensor_header_length = binary.then_some(out.len());
    out.extend_from_slice(tail);
    Encoded { bytes: out.into(), tensor_header_length }
}
