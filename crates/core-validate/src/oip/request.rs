//! A tensor request: `POST /v2/models/{model}/infer`.

use bytes::{Bytes, BytesMut};

use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::{Field, Json, Kind, Value};
use crate::limits::Limits;
use crate::oip::head::{TensorHead, is_tensor_name};
use crate::oip::tensor::{Strange, Tensor, TensorDocument};
use crate::oip::{ModelSpec, TensorSummary};
use crate::questions::{Question, Questions, TooManyQuestions};
use crate::refuse::{conflict, empty, missing, unknown, unsupported, wrong_type};
use crate::request::Encoded;
use crate::rules::ModelRules;
use crate::validator::Head;

#[derive(Debug, Clone)]
pub(crate) struct TensorRequest {
    /// `id`, `parameters` and `outputs` as they are passed on.
    rest: Vec<Field>,
    pub(super) inputs: Vec<Tensor>,
    /// Names of the outputs that are asked for; all when none.
    pub(super) asked: Vec<String>,
    /// Of them, those that are to come as classes.
    pub(super) classified: Vec<String>,
    binary: bool,
}

/// Reads a tensor request.
pub(crate) fn parse(rules: &ModelRules, head: &Head, body: &Bytes) -> Result<TensorRequest, Invalid> {
    let limits = &rules.limits;
    let (json, mut tail) = split(head, body)?;
    let read = TensorDocument::read(&json, limits, "inputs", limits.tensors)?;
    let root = read.document.root();
    if root.kind() != Kind::Object {
        return Err(wrong_type(Pointer::root(), "an object"));
    }
    let mut request = TensorRequest {
        rest: Vec::new(),
        inputs: Vec::new(),
        asked: Vec::new(),
        classified: Vec::new(),
        binary: tail.is_some(),
    };
    for field in root.fields() {
        match &*field.key() {
            // The path names the model; some clients name it again.
            "inputs" | "model_name" => continue,
            _ if field.is_null() => continue,
            "id" => identifier(field)?,
            "parameters" => {
                let is_flag = |field: Value<'_>| field.key() == "binary_data_output" && field.as_bool().is_some();
                let is_known = |field: Value<'_>| is_flag(field) || is_known_content_type(field);
                parameters(field, &|field| is_known(field) || limits.allows_parameter(&field.key()))?;
            }
            "outputs" => request.outputs(limits, field)?,
            key => return Err(unknown(key, field.pointer())),
        }
        request.rest.push((field.key().into_owned().into(), Json::copy(field)));
    }
    request.inputs = inputs(limits, &read, &mut tail)?;
    if tail.is_some_and(|tail| !tail.is_empty()) {
        return Err(Invalid::new(InvalidCode::WrongShape, Pointer::root(), "binary data is longer than announced"));
    }
    if let Some(spec) = &rules.spec {
        request.check_spec(spec)?;
    }
    Ok(request)
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

fn inputs(limits: &Limits, read: &TensorDocument, tail: &mut Option<Bytes>) -> Result<Vec<Tensor>, Invalid> {
    let at = || Pointer::root().key("inputs");
    let list = read.document.root().get("inputs").ok_or_else(|| missing(at()))?;
    match list.kind() {
        Kind::Array => {}
        Kind::Numbers => return Err(wrong_type(at().index(0), "an object")),
        _ => return Err(wrong_type(at(), "a list")),
    }
    let count = list.size();
    if count == 0 {
        return Err(empty(at()));
    }
    too_many(limits, count, at)?;
    let mut inputs: Vec<Tensor> = Vec::with_capacity(count);
    for object in list.items() {
        let tensor = Tensor::read(limits, read, object, tail, &|field| {
            let is_known = is_known_content_type(field) || limits.allows_parameter(&field.key());
            if is_known { Strange::Kept } else { Strange::Refused }
        })?;
        if inputs.iter().any(|other| other.head.name == tensor.head.name) {
            return Err(conflict(object.pointer().key("name"), "two inputs have the same name"));
        }
        inputs.push(tensor);
    }
    Ok(inputs)
}

pub(super) fn too_many(limits: &Limits, count: usize, at: impl Fn() -> Pointer) -> Result<(), Invalid> {
    if count <= limits.tensors {
        return Ok(());
    }
    let message = format!("{count} tensors exceed maximum {}", limits.tensors);
    Err(Invalid::new(InvalidCode::OutOfRange, at(), message))
}

fn identifier(value: Value<'_>) -> Result<(), Invalid> {
    let id = value.as_word().ok_or_else(|| wrong_type(value.pointer(), "a string"))?;
    if id.len() <= 128 && id.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Ok(());
    }
    let message = "an id is at most 128 characters of ASCII";
    Err(Invalid::new(InvalidCode::OutOfRange, value.pointer(), message))
}

/// An object that holds only these parameters, as flags, numbers or words.
fn parameters(value: Value<'_>, is_allowed: &dyn Fn(Value<'_>) -> bool) -> Result<(), Invalid> {
    if value.kind() != Kind::Object {
        return Err(wrong_type(value.pointer(), "an object"));
    }
    for field in value.fields() {
        if !is_plain(field) || !is_allowed(field) {
            return Err(unsupported(field.pointer(), "this parameter is not accepted"));
        }
    }
    Ok(())
}

/// How MLServer and its like are told to read a tensor, but for forms that hide what elements say.
pub(super) fn is_known_content_type(field: Value<'_>) -> bool {
    field.key() == "content_type" && ["np", "pd", "str"].iter().any(|word| field.is_text(word))
}

/// Whether a parameter's value has no room for a sentence.
pub(super) fn is_plain(value: Value<'_>) -> bool {
    match value.kind() {
        Kind::True | Kind::False | Kind::Number => true,
        Kind::Text => value.as_str().is_some_and(|word| is_tensor_name(&word)),
        _ => false,
    }
}

impl TensorRequest {
    /// What the caller names the request.
    pub(crate) fn id(&self) -> Option<&str> {
        self.rest.iter().find(|(key, _)| key == "id").and_then(|(_, id)| id.as_str())
    }

    pub(crate) fn set_id(&mut self, text: String) {
        if let Some((_, id)) = self.rest.iter_mut().find(|(key, _)| key == "id") {
            *id = Json::text(text);
        }
    }

    fn outputs(&mut self, limits: &Limits, list: Value<'_>) -> Result<(), Invalid> {
        if list.kind() != Kind::Array {
            return Err(wrong_type(list.pointer(), "a list"));
        }
        too_many(limits, list.size(), || list.pointer())?;
        for output in list.items() {
            if output.kind() != Kind::Object {
                return Err(wrong_type(output.pointer(), "an object"));
            }
            for field in output.fields() {
                match &*field.key() {
                    "name" if field.as_word().is_some_and(|name| is_tensor_name(&name)) => {}
                    "name" => {
                        let message = "expected the name of a tensor";
                        return Err(Invalid::new(InvalidCode::OutOfRange, field.pointer(), message));
                    }
                    "parameters" => parameters(field, &|field| match &*field.key() {
                        "binary_data" => field.as_bool().is_some(),
                        "classification" => field.as_u64().is_some_and(|classes| classes > 0),
                        _ => false,
                    })?,
                    key => return Err(unknown(key, field.pointer())),
                }
            }
            let name = output.get("name").ok_or_else(|| missing(output.pointer().key("name")))?;
            let name = name.as_str().unwrap_or_default().into_owned();
            if self.asked.contains(&name) {
                return Err(conflict(output.pointer().key("name"), "an output is asked for twice"));
            }
            if output.get("parameters").is_some_and(|parameters| parameters.get("classification").is_some()) {
                self.classified.push(name.clone());
            }
            self.asked.push(name);
        }
        Ok(())
    }

    pub(crate) fn check_spec(&self, spec: &ModelSpec) -> Result<(), Invalid> {
        for (i, name) in self.asked.iter().enumerate() {
            spec.check_asked(name, || Pointer::root().key("outputs").index(i).key("name"))?;
        }
        spec.check_inputs(&self.inputs)
    }

    /// The elements that may hold text: tensor and element.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        self.inputs.iter().enumerate().flat_map(|(i, tensor)| (0..tensor.texts()).map(move |j| (i, j)))
    }

    pub(crate) fn text(&self, tensor: usize, element: usize) -> Option<std::borrow::Cow<'_, str>> {
        self.inputs.get(tensor)?.text(element)
    }

    pub(crate) fn set_text(&mut self, tensor: usize, element: usize, text: String) {
        if let Some(tensor) = self.inputs.get_mut(tensor) {
            tensor.set_text(element, text);
        }
    }

    pub(crate) fn pointer(tensor: usize, element: usize) -> Pointer {
        Pointer::root().key("inputs").index(tensor).key("data").index(element)
    }

    pub(crate) fn summaries(&self) -> Vec<TensorSummary> {
        self.inputs.iter().map(Tensor::summary).collect()
    }

    /// Whether scores are asked for as classes, in texts.
    pub(crate) fn wants_classes(&self) -> bool {
        !self.classified.is_empty()
    }

    /// Whether an output is asked for: by its name, or because all are.
    pub(crate) fn asks_for(&self, output: &str) -> bool {
        self.asked.is_empty() || self.asked.iter().any(|asked| asked == output)
    }

    /// Whether an output is to come in the binary form: as is said of it, or else of all.
    pub(crate) fn wants_binary(&self, output: &str) -> bool {
        let field = |key: &str| self.rest.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let flag = |parameters: Option<&Json>, key: &str| match parameters?.get(key)? {
            Json::Bool(flag) => Some(*flag),
            _ => None,
        };
        let outputs = field("outputs").and_then(Json::as_array).unwrap_or_default();
        let of_name = |value: &&Json| value.get("name").and_then(Json::as_str) == Some(output);
        let said = outputs.iter().find(of_name).and_then(|value| flag(value.get("parameters"), "binary_data"));
        said.or_else(|| flag(field("parameters"), "binary_data_output")).unwrap_or_default()
    }

    /// See [`InferenceRequest::questions`](crate::InferenceRequest::questions).
    pub(crate) fn questions(&self, spec: Option<&ModelSpec>, most: usize) -> Result<Questions, TooManyQuestions> {
        let batch = self.inputs.iter().filter_map(|tensor| batch(tensor, spec)).max().unwrap_or(1);
        let count = usize::try_from(batch).unwrap_or(usize::MAX).max(1);
        if count > most {
            return Err(TooManyQuestions(batch));
        }
        let mut each = vec![Question::default(); count];
        let mut shared = Vec::new();
        // In which order they come changes nothing.
        let mut inputs: Vec<&Tensor> = self.inputs.iter().collect();
        inputs.sort_by(|one, other| one.head.name.cmp(&other.head.name));
        for tensor in inputs {
            let TensorHead { name, dtype, shape, .. } = &tensor.head;
            let is_split = count == 1 || shape.first() == Some(&batch);
            let sizes = shape.iter().skip(usize::from(is_split && count > 1)).map(|size| Json::Uint(*size)).collect();
            let parameters = Json::Object(tensor.parameters.clone());
            let head = vec![Json::text(&**name), Json::text(dtype.as_str()), Json::Array(sizes), parameters];
            Json::Array(head).write(&mut shared);
            let (numbers, texts) = (tensor.numbers(), tensor.texts());
            if !is_split {
                numbers.iter().for_each(|number| shared.extend(number.to_le_bytes()));
                (0..texts).filter_map(|element| tensor.text(element)).for_each(|text| {
                    shared.extend_from_slice(text.as_bytes());
                    shared.push(0);
                });
                continue;
            }
            let wide = (numbers.len() / count).max(1);
            for (question, numbers) in each.iter_mut().zip(numbers.chunks(wide)) {
                question.numbers.extend_from_slice(numbers);
            }
            let wide = (texts / count).max(1);
            for element in 0..texts {
                if let (Some(question), Some(text)) = (each.get_mut(element / wide), tensor.text(element)) {
                    question.text.push_str(&text);
                    question.text.push('\0');
                }
            }
        }
        Json::Object(self.rest.iter().filter(|(key, _)| key != "id").cloned().collect()).write(&mut shared);
        Ok(Questions { each, shared })
    }

    pub(crate) fn to_body(&self) -> Encoded {
        let mut fields = self.rest.clone();
        let mut tail = BytesMut::new();
        let inputs = self.inputs.iter().map(|tensor| tensor.write(&mut tail)).collect();
        fields.push(("inputs".into(), Json::Array(inputs)));
        encode(fields, &tail, self.binary)
    }
}

/// Writes the JSON part and the binary part behind it.
pub(super) fn encode(fields: Vec<Field>, tail: &[u8], binary: bool) -> Encoded {
    let mut out = Vec::new();
    Json::Object(fields).write(&mut out);
    let tensor_header_length = binary.then_some(out.len());
    out.extend_from_slice(tail);
    Encoded { bytes: out.into(), tensor_header_length }
}

/// How many rows a tensor holds, if it holds one for each question: by its first dimension, unless the model says that
/// this, or that of all its answers, is none of a batch. Alone standing numbers are one row; alone standing texts are a
/// question each.
fn batch(tensor: &Tensor, spec: Option<&ModelSpec>) -> Option<u64> {
    let answers = spec.map(ModelSpec::outputs).unwrap_or_default();
    if !answers.is_empty() && answers.iter().all(|(_, output)| output.shape().first() != Some(&-1)) {
        return None;
    }
    let TensorHead { name, dtype, shape, .. } = &tensor.head;
    let known = spec.and_then(|spec| spec.inputs().iter().find(|(known, _)| known == name));
    let is_open = known.is_none_or(|(_, spec)| spec.shape().first() == Some(&-1));
    let least = if dtype.width().is_some() { 2 } else { 1 };
    shape.first().copied().filter(|_| is_open && shape.len() >= least)
}
