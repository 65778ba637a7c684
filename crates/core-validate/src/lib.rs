#![doc = include_str!("../README.md")]

mod answer;
mod formats;
mod invalid;
mod json;
mod limits;
mod names;
mod oip;
mod openai;
mod refuse;
mod request;
mod rules;
mod tensor;
mod validator;

pub use answer::{AnswerChunk, InferenceAnswer, Slot, Usage};
pub use formats::{FileLimits, Npy, SafeTensors, StoredTensor};
pub use invalid::{Invalid, InvalidCode, Pointer};
pub use limits::{Extensions, Limits, NotExtensions};
pub use names::{ModelName, NotAModelName};
pub use oip::{ModelSpec, TensorSummary};
pub use request::{Dialect, Encoded, InferenceRequest, Operation, Origin, Text};
pub use rules::ModelRules;
pub use tensor::{Dtype, NotADtype, Scalar, TensorSpec};
pub use validator::{Head, Validator};
