#![cfg_attr(all(feature = "formats", feature = "requests"), doc = include_str!("../README.md"))]
#![cfg_attr(not(all(feature = "formats", feature = "requests")), doc = "Tensors are checked before a model sees them.")]
#![cfg_attr(
    not(feature = "requests"),
    allow(dead_code, unreachable_pub, unused_imports, reason = "what requests alone need is not taken out by itself")
)]

#[cfg(feature = "requests")]
mod answer;
#[cfg(feature = "requests")]
mod answer_numbers;
#[cfg(feature = "requests")]
mod answer_output;
#[cfg(feature = "formats")]
mod formats;
mod invalid;
#[cfg(feature = "_json")]
mod json;
#[cfg(feature = "_json")]
mod limits;
#[cfg(feature = "requests")]
mod names;
#[cfg(feature = "requests")]
mod oip;
#[cfg(feature = "requests")]
mod openai;
#[cfg(feature = "requests")]
mod operation;
#[cfg(feature = "requests")]
mod questions;
mod refuse;
#[cfg(feature = "requests")]
mod request;
#[cfg(feature = "requests")]
mod rules;
mod tensor;
#[cfg(feature = "requests")]
mod validator;

#[cfg(feature = "requests")]
pub use answer::{AnswerChunk, InferenceAnswer, Slot, Usage};
#[cfg(feature = "requests")]
pub use answer_numbers::NumbersAt;
#[cfg(feature = "requests")]
pub use answer_output::Output;
#[cfg(feature = "formats")]
pub use formats::{FileLimits, Npy, SafeTensors, StoredTensor};
pub use invalid::{Invalid, InvalidCode, Pointer};
#[cfg(feature = "requests")]
pub use limits::{Extensions, Limits, NotExtensions};
#[cfg(feature = "requests")]
pub use names::{ModelName, NotAModelName};
#[cfg(feature = "requests")]
pub use oip::{ModelSpec, TensorSummary};
#[cfg(feature = "requests")]
pub use operation::{Dialect, Operation};
#[cfg(feature = "requests")]
pub use questions::{Question, Questions, TooManyQuestions};
#[cfg(feature = "requests")]
pub use request::{Encoded, InferenceRequest, Origin, Text};
#[cfg(feature = "requests")]
pub use rules::ModelRules;
pub use tensor::{Dtype, NotADtype, Scalar, TensorSpec};
#[cfg(feature = "requests")]
pub use validator::{Head, Validator};
