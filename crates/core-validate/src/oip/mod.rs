//! Open Inference Protocol, version 2: tensors in JSON or in the binary extension.
//!
//! After the KServe "Open Inference Protocol" specification and the Triton "Binary Data
//! Extension": with `Inference-Header-Content-Length` the first so many bytes are JSON and the
//! data of each tensor with `binary_data_size` follows in order.

mod answer;
mod head;
mod request;
mod scan;
mod spec;
mod tensor;

pub(crate) use answer::{TensorAnswer, parse_answer};
pub(crate) use request::{TensorRequest, parse};
pub use spec::ModelSpec;

/// A tensor without its data: what an audit trail may keep.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSummary {
    /// Name of the tensor.
    pub name: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its data type.
    pub dtype: crate::Dtype,
    /// Smallest value, of numeric types.
    pub min: Option<f64>,
    /// Largest value, of numeric types.
    pub max: Option<f64>,
    /// The bytes of its data, in the form they came in.
    pub data: bytes::Bytes,
}
