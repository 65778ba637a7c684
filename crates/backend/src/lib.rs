#![doc = include_str!("../README.md")]

mod address;
mod breaker;
mod echo;
mod error;
mod http;
mod oip;
mod openai;
pub mod sse;

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use core_validate::{Head, InferenceRequest, ModelName, ModelSpec, TensorSpec};
use futures_core::Stream;
use serde::Deserialize;

pub use breaker::{Breaker, Try};
pub use echo::EchoBackend;
pub use error::BackendError;
pub use http::{Endpoint, Timeouts};
pub use oip::OipBackend;
pub use openai::OpenAiBackend;

/// A boxed future, so that [`ModelBackend`] stays object-safe.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The JSON of each event of a streamed answer, in order. Ends after the server's end mark; a
/// stream that breaks off ends with an error.
pub type ChunkStream = Pin<Box<dyn Stream<Item = Result<Bytes, BackendError>> + Send>>;

/// What a server answered, unread.
pub enum InferenceResponse {
    /// A whole answer: what its head says about the body, and the body.
    Full(Head, Bytes),
    /// A streamed answer.
    Stream(ChunkStream),
}

/// A model server.
pub trait ModelBackend: Send + Sync {
    /// Sends one request, whose model name is the server's own by now. Dropping the future or the
    /// stream closes the connection.
    fn infer<'a>(
        &'a self,
        request: &'a InferenceRequest,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<InferenceResponse, BackendError>>;

    /// Whether the server can answer for this model.
    fn ready<'a>(&'a self, model: &'a ModelName) -> BoxFuture<'a, Result<(), BackendError>>;

    /// The tensors of a model, when the server describes them.
    fn describe<'a>(&'a self, model: &'a ModelName) -> BoxFuture<'a, Result<Option<Description>, BackendError>>;
}

/// The tensors a model takes and gives, as its server describes them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Description {
    /// The versions that the server has of it.
    #[serde(default)]
    pub versions: Vec<String>,
    /// Inputs.
    #[serde(default)]
    pub inputs: Vec<TensorDescription>,
    /// Outputs.
    #[serde(default)]
    pub outputs: Vec<TensorDescription>,
}

/// Most inputs or outputs of a model, and most dimensions of one.
const MAX_TENSORS: usize = 64;
const MAX_RANK: usize = 8;

impl Description {
    /// Whether it reads like tensors: a broken server may say anything.
    fn is_sound(&self) -> bool {
        [&self.inputs, &self.outputs].iter().all(|tensors| {
            let names: HashSet<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
            tensors.len() <= MAX_TENSORS
                && names.len() == tensors.len()
                && tensors.iter().all(TensorDescription::is_sound)
        })
    }

    /// The same as a specification; `None` when nothing is said of inputs. `optional` ones may be absent.
    pub fn to_spec(&self, optional: &[String]) -> Option<ModelSpec> {
        let mut spec = ModelSpec::new();
        for tensor in &self.inputs {
            spec = match optional.contains(&tensor.name) {
                true => spec.optional_input(&tensor.name, tensor.to_spec()?),
                false => spec.input(&tensor.name, tensor.to_spec()?),
            };
        }
        for tensor in &self.outputs {
            spec = spec.output(&tensor.name, tensor.to_spec()?);
        }
        (!self.inputs.is_empty()).then_some(spec)
    }
}

/// One tensor of a [`Description`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TensorDescription {
    /// Name.
    pub name: String,
    /// Data type, in the protocol's word.
    pub datatype: String,
    /// Shape; -1 for any size.
    pub shape: Vec<i64>,
}

impl TensorDescription {
    fn to_spec(&self) -> Option<TensorSpec> {
        Some(TensorSpec::new(self.datatype.parse().ok()?, self.shape.clone()))
    }

    /// Whether name, type and shape are those of a tensor.
    fn is_sound(&self) -> bool {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._:/-[]".contains(&b);
        (1..=128).contains(&self.name.len())
            && self.name.bytes().all(is_plain)
            && self.datatype.parse::<core_validate::Dtype>().is_ok()
            && self.shape.len() <= MAX_RANK
            && self.shape.iter().all(|size| *size == -1 || *size > 0)
    }
}
