//! A tensor answer.

use bytes::{Bytes, BytesMut};

use crate::answer::{AnswerContent, InferenceAnswer, Slot, SlotPlace};
use crate::invalid::{Invalid, Pointer};
use crate::json::{self, Json};
use crate::limits::Limits;
use crate::names::ModelName;
use crate::oip::data::{Tensor, is_tensor_name};
use crate::oip::request::{encode, split};
use crate::openai::{missing, wrong_type};
use crate::request::Encoded;
use crate::validator::Head;

#[derive(Debug, Clone)]
pub(crate) struct TensorAnswer {
    model: Option<ModelName>,
    /// `id` and `model_version` as they are passed on.
    rest: Vec<(String, Json)>,
    outputs: Vec<Tensor>,
    binary: bool,
}

/// Reads a tensor answer; a tensor that does not fit its shape is a broken server.
pub(crate) fn parse_answer(limits: &Limits, head: &Head, body: &Bytes) -> Result<InferenceAnswer, Invalid> {
    let (json, mut tail) = split(head, body)?;
    let root = json::read(&json, limits, Some("data"))?;
    let at = Pointer::root().key("outputs");
    let list = root.get("outputs").ok_or_else(|| missing(at.clone()))?;
    let list = list.as_array().ok_or_else(|| wrong_type(at.clone(), "a list"))?;
    let mut outputs = Vec::with_capacity(list.len());
    for (i, value) in list.iter().enumerate() {
        outputs.push(Tensor::read(limits, value, &at.index(i), &mut tail, &["content_type"])?);
    }
    let mut places = Vec::new();
    for (i, tensor) in outputs.iter().enumerate() {
        for j in (0..tensor.elements()).filter(|&j| tensor.text(j).is_some()) {
            places.push(SlotPlace { steps: vec![i, j], slot: Slot::Element(i as u32, j as u32) });
        }
    }
    let word = |value: &Json| value.as_str().is_some_and(is_tensor_name);
    let rest = ["id", "model_version"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), root.get(key).filter(|value| word(value))?.clone())))
        .collect();
    let answer = TensorAnswer { model: None, rest, outputs, binary: tail.is_some() };
    Ok(InferenceAnswer { content: AnswerContent::Tensors(answer), places, usage: None })
}

impl TensorAnswer {
    pub(crate) fn text_mut(&mut self, steps: &[usize]) -> Option<&mut String> {
        match steps {
            [tensor, element] => self.outputs.get_mut(*tensor)?.text_mut(*element),
            _ => None,
        }
    }

    pub(crate) fn rename(&mut self, model: &ModelName) {
        self.model = Some(model.clone());
    }

    pub(crate) fn to_body(&self) -> Encoded {
        let mut fields = Vec::new();
        if let Some(model) = &self.model {
            fields.push(("model_name".to_owned(), Json::text(model.as_str())));
        }
        fields.extend(self.rest.iter().cloned());
        let mut tail = BytesMut::new();
        let outputs = self.outputs.iter().map(|tensor| tensor.write(&mut tail)).collect();
        fields.push(("outputs".to_owned(), Json::Array(outputs)));
        encode(fields, &tail, self.binary)
    }
}
