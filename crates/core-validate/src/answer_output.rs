//! One output tensor of an answer by itself: read by name, and an answer of nothing else.

use crate::answer::{AnswerContent, InferenceAnswer};
use crate::oip::TensorAnswer;
use crate::request::{Content, InferenceRequest};

/// What an output tensor holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Numbers of any type but `BOOL`, in row-major order. Integers beyond 2^53 are rounded.
    Numbers(Vec<f64>),
    /// The elements of a `BYTES` tensor.
    Texts(Vec<String>),
}

impl InferenceRequest {
    /// Whether an output tensor of this name is asked for: by its name, or because all are.
    pub fn asks_for(&self, output: &str) -> bool {
        matches!(&self.content, Content::Tensors(request) if request.asks_for(output))
    }
}

impl InferenceAnswer {
    /// The output tensor of this name; none, if the answer has no such tensor, or one of `BOOL`.
    pub fn output(&self, name: &str) -> Option<Output> {
        match &self.content {
            AnswerContent::Tensors(answer) => answer.output(name),
            AnswerContent::Json(_) => None,
        }
    }

    /// An answer that holds one tensor of one dimension and nothing else that a server may have said: `FP64` or `BYTES`, in
    /// the wire form that was asked for, with the id of the request. None, if tensors are not what was asked for, or a
    /// number is not finite.
    pub fn of_output(asked: &InferenceRequest, name: &str, output: &Output) -> Option<Self> {
        let Content::Tensors(request) = &asked.content else { return None };
        if matches!(output, Output::Numbers(numbers) if !numbers.iter().all(|number| number.is_finite())) {
            return None;
        }
        let answer = TensorAnswer::of_output(request, name, output);
        Some(Self { content: AnswerContent::Tensors(answer), places: Vec::new(), usage: None })
    }
}
