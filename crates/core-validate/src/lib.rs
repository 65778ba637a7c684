#![doc = include_str!("../README.md")]

mod answer;
mod invalid;
mod json;
mod limits;
mod names;
mod oip;
mod openai;
mod request;
mod tensor;
mod validator;

pub use answer::{AnswerChunk, InferenceAnswer, Slot, Usage};
pub use invalid::{Invalid, InvalidCode, Pointer};
pub use limits::Limits;
pub use names::{ModelName, NotAModelName};
pub use oip::{ModelSpec, TensorSummary};
pub use request::{Dialect, Encoded, InferenceRequest, Operation, Origin, Text};
pub use tensor::{Dtype, TensorSpec};
pub use validator::{Head, Validator};
