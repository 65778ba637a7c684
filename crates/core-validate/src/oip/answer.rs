//! A tensor answer.

use bytes::{Bytes, BytesMut};

use crate::answer::{AnswerContent, InferenceAnswer, Slot, SlotPlace};
use crate::answer_output::Output;
use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::json::{Field, Json, Kind};
use crate::limits::Limits;
use crate::names::ModelName;
use crate::oip::ModelSpec;
use crate::oip::head::is_tensor_name;
use crate::oip::request::{TensorRequest, encode, split, too_many};
use crate::oip::tensor::{Strange, Tensor, TensorDocument};
use crate::refuse::{missing, wrong_type};
use crate::request::Encoded;
use crate::validator::Head;

#[derive(Debug, Clone)]
pub(crate) struct TensorAnswer {
    model: Option<ModelName>,
    /// `id` and `model_version` as they are passed on.
    rest: Vec<Field>,
    outputs: Vec<Tensor>,
    binary: bool,
}

/// Reads a tensor answer. A tensor that does not fit its shape or the model, or that nobody asked for, is a broken
/// server.
pub(crate) fn parse_answer(
    limits: &Limits,
    spec: Option<&ModelSpec>,
    asked: &TensorRequest,
    head: &Head,
    body: &Bytes,
) -> Result<InferenceAnswer, Invalid> {
    let (json, mut tail) = split(head, body)?;
    let read = TensorDocument::read(&json, limits, "outputs", usize::MAX)?;
    let root = read.document.root();
    let at = || Pointer::root().key("outputs");
    let list = root.get("outputs").ok_or_else(|| missing(at()))?;
    if list.kind() != Kind::Array {
        return Err(wrong_type(at(), "a list"));
    }
    too_many(limits, list.size(), at)?;
    let mut outputs: Vec<Tensor> = Vec::with_capacity(list.size());
    for object in list.items() {
        // What servers say beside the data is not passed on.
        let tensor = Tensor::read(limits, &read, object, &mut tail, &|field| {
            let is_read = field.key() == "content_type" && !field.is_text("base64");
            if is_read { Strange::Kept } else { Strange::Dropped }
        })?;
        let is_asked = asked.asked.is_empty() || asked.asked.contains(&tensor.head.name);
        if !is_asked || outputs.iter().any(|other| other.head.name == tensor.head.name) {
            let message = "nobody asked for this output";
            return Err(Invalid::new(InvalidCode::UnknownField, object.pointer().key("name"), message));
        }
        outputs.push(tensor);
    }
    let has = |name: &String| outputs.iter().any(|tensor| tensor.head.name == *name);
    let all: Vec<String> = spec.into_iter().flat_map(ModelSpec::outputs).map(|(name, _)| name.clone()).collect();
    let due = if asked.asked.is_empty() { &all } else { &asked.asked };
    if outputs.is_empty() || !due.iter().all(has) {
        return Err(missing(at()));
    }
    if let Some(spec) = spec {
        spec.check_outputs(&outputs, &asked.classified)?;
    }
    let places = places(&outputs);
    // The caller's own id, and none that the server thinks of.
    let id = asked.id().map(|id| ("id".into(), Json::text(id)));
    let version = root.get("model_version").filter(|version| version.as_str().is_some_and(|word| is_version(&word)));
    let version = version.map(|version| ("model_version".into(), Json::copy(version)));
    let rest = id.into_iter().chain(version).collect();
    let answer = TensorAnswer { model: None, rest, outputs, binary: tail.is_some() };
    Ok(InferenceAnswer { content: AnswerContent::Tensors(answer), places, usage: None })
}

/// Whether a word is the version of a model and not a secret.
fn is_version(word: &str) -> bool {
    (1..=20).contains(&word.len()) && is_tensor_name(word)
}

fn places(outputs: &[Tensor]) -> Vec<SlotPlace> {
    let mut places = Vec::new();
    for (i, tensor) in outputs.iter().enumerate() {
        for j in 0..tensor.texts() {
            places.push(SlotPlace { steps: vec![i, j], slot: Slot::Element(i as u32, j as u32) });
        }
    }
    places
}

impl TensorAnswer {
    /// Lets `change` replace the values of each tensor of a floating point type, by name and shape.
    pub(crate) fn map_numbers(&mut self, mut change: impl FnMut(&str, &[u64], &mut [f64])) {
        for tensor in &mut self.outputs {
            tensor.map_numbers(&mut change);
        }
    }

    /// Leaves out other outputs, unless none would be left; where texts stand then.
    pub(crate) fn keep_outputs(&mut self, keep: impl Fn(&str) -> bool) -> Option<Vec<SlotPlace>> {
        if !self.outputs.iter().any(|tensor| keep(&tensor.head.name)) {
            return None;
        }
        self.outputs.retain(|tensor| keep(&tensor.head.name));
        Some(places(&self.outputs))
    }

    /// See [`InferenceAnswer::output`].
    pub(crate) fn output(&self, name: &str) -> Option<Output> {
        self.outputs.iter().find(|tensor| tensor.head.name == name)?.output()
    }

    /// See [`InferenceAnswer::of_output`].
    pub(crate) fn of_output(asked: &TensorRequest, name: &str, output: &Output) -> Self {
        let binary = asked.wants_binary(name);
        let id = asked.id().map(|id| ("id".into(), Json::text(id)));
        let outputs = vec![Tensor::of_output(name, output, binary)];
        Self { model: None, rest: id.into_iter().collect(), outputs, binary }
    }

    /// Lets `change` replace one element.
    pub(crate) fn map_text(&mut self, steps: &[usize], change: impl FnOnce(&mut String)) {
        let [tensor, element] = *steps else { return };
        let Some(tensor) = self.outputs.get_mut(tensor) else { return };
        let Some(mut text) = tensor.text(element).map(std::borrow::Cow::into_owned) else { return };
        let before = text.clone();
        change(&mut text);
        if text != before {
            tensor.set_text(element, text);
        }
    }

    pub(crate) fn rename(&mut self, model: &ModelName) {
        self.model = Some(model.clone());
    }

    pub(crate) fn to_body(&self) -> Encoded {
        let mut fields: Vec<Field> = Vec::new();
        if let Some(model) = &self.model {
            fields.push(("model_name".into(), Json::text(model.as_str())));
        }
        fields.extend(self.rest.iter().cloned());
        let mut tail = BytesMut::new();
        let outputs = self.outputs.iter().map(|tensor| tensor.write(&mut tail)).collect();
        fields.push(("outputs".into(), Json::Array(outputs)));
        encode(fields, &tail, self.binary)
    }
}
