//! The front door: bytes and what the head said about them, to a checked request.

use bytes::Bytes;

use crate::answer::{AnswerChunk, InferenceAnswer};
use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::limits::Limits;
use crate::names::ModelName;
use crate::request::{Dialect, InferenceRequest, Operation};
use crate::{oip, openai};

/// What the head of a message says about its body.
#[derive(Debug, Clone, Default)]
pub struct Head {
    /// The `Content-Type` header.
    pub content_type: Option<String>,
    /// The `Inference-Header-Content-Length` header: binary tensors follow the JSON part.
    pub tensor_header_length: Option<u64>,
    /// The model in the path, for operations whose body does not name it.
    pub model: Option<ModelName>,
    /// The model version in the path.
    pub version: Option<String>,
}

/// Reads requests and answers strictly. Cheap to clone and to share.
#[derive(Debug, Clone, Default)]
pub struct Validator {
    limits: Limits,
}

/// Answers come from a server the operator chose: larger, and judged by form only.
fn answer_limits() -> Limits {
    Limits::default().values(4 << 20).string_bytes(64 << 20).elements(16 << 20).depth(64)
}

impl Validator {
    /// A validator with these bounds.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Reads one request body.
    ///
    /// Costs one pass over the bytes; tensor data is scanned once more by its type. Memory stays
    /// proportional to the body, which the caller has bounded.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn parse(&self, operation: Operation, head: &Head, body: &Bytes) -> Result<InferenceRequest, Invalid> {
        check_media_type(operation, head)?;
        if body.is_empty() {
            return Err(Invalid::new(InvalidCode::EmptyInput, Pointer::root(), "body is empty"));
        }
        match operation.dialect() {
            Dialect::OpenAi => openai::parse(&self.limits, operation, body),
            Dialect::Oip => oip::parse(&self.limits, head, body),
        }
    }

    /// Reads a whole answer to `asked`.
    ///
    /// # Errors
    /// [`Invalid`] when the server broke the protocol; the caller is not to blame.
    pub fn parse_answer(
        &self,
        asked: &InferenceRequest,
        head: &Head,
        body: &Bytes,
    ) -> Result<InferenceAnswer, Invalid> {
        let limits = answer_limits();
        match asked.operation().dialect() {
            Dialect::OpenAi => openai::answer::parse(&limits, asked.operation(), body),
            Dialect::Oip => oip::parse_answer(&limits, head, body),
        }
    }

    /// Reads the JSON of one event of a streamed answer.
    ///
    /// # Errors
    /// [`Invalid`] when the server broke the protocol.
    pub fn parse_chunk(&self, body: &Bytes) -> Result<AnswerChunk, Invalid> {
        openai::answer::parse_chunk(&answer_limits(), body)
    }
}

/// JSON, or nothing said; for tensors also the binary form.
fn check_media_type(operation: Operation, head: &Head) -> Result<(), Invalid> {
    let Some(content_type) = &head.content_type else { return Ok(()) };
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json");
    let is_binary = operation == Operation::Infer && essence.eq_ignore_ascii_case("application/octet-stream");
    if is_json || is_binary {
        return Ok(());
    }
    let message = "expected content type application/json";
    Err(Invalid::new(InvalidCode::UnsupportedMediaType, Pointer::root(), message))
}
