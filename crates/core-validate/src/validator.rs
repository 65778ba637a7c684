//! The front door: bytes and what the head said about them, to a checked request.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::answer::{AnswerChunk, InferenceAnswer};
use crate::invalid::{Invalid, InvalidCode, Pointer};
use crate::limits::Limits;
use crate::names::ModelName;
use crate::operation::{Dialect, Operation};
use crate::refuse::missing;
use crate::request::{Content, InferenceRequest};
use crate::rules::ModelRules;
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
    rules: Arc<ModelRules>,
}

/// Answers come from a server the operator chose: larger, and judged by form only.
fn answer_limits() -> Limits {
    // A server that finds nothing says so in a tensor without elements.
    Limits::default().values(4 << 20).string_bytes(64 << 20).elements(16 << 20).danger_empty_tensors(true)
}

impl Validator {
    /// A validator with these bounds.
    pub fn new(limits: Limits) -> Self {
        Self { rules: Arc::new(ModelRules::new(limits)) }
    }

    /// Reads one request body.
    ///
    /// Costs one pass over the bytes; a body of JSON and numbers is not copied. Memory stays within the body, of
    /// which strings with escapes are unescaped when they are asked for, and 26 bytes for each JSON value.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn parse(&self, operation: Operation, head: &Head, body: &Bytes) -> Result<InferenceRequest, Invalid> {
        self.parse_for(operation, head, body, |_| None)
    }

    /// Reads one request body by the rules of the model it names. Depth, values and lengths of strings are bounded
    /// by the validator's own limits: the model is not known before the body is read.
    ///
    /// # Errors
    /// [`Invalid`] for the first fault.
    pub fn parse_for(
        &self,
        operation: Operation,
        head: &Head,
        body: &Bytes,
        rules: impl FnOnce(&ModelName) -> Option<Arc<ModelRules>>,
    ) -> Result<InferenceRequest, Invalid> {
        check_media_type(operation, head)?;
        if body.is_empty() {
            return Err(Invalid::new(InvalidCode::EmptyInput, Pointer::root(), "body is empty"));
        }
        match operation.dialect() {
            Dialect::OpenAi | Dialect::Anthropic => openai::parse(&self.rules, operation, body, rules),
            Dialect::Oip => self.parse_tensors(head, body, rules),
        }
    }

    fn parse_tensors(
        &self,
        head: &Head,
        body: &Bytes,
        rules: impl FnOnce(&ModelName) -> Option<Arc<ModelRules>>,
    ) -> Result<InferenceRequest, Invalid> {
        let model = head.model.clone().ok_or_else(|| missing(Pointer::root().key("model")))?;
        let rules = rules(&model).unwrap_or_else(|| self.rules.clone());
        let tensors = oip::parse(&rules, head, body)?;
        Ok(InferenceRequest {
            operation: Operation::Infer,
            model,
            version: head.version.clone(),
            stream: false,
            wants_events: false,
            usage_asked: false,
            max_output: None,
            choices: 1,
            computed: 1,
            media_tokens: 0,
            has_other: false,
            input_tokens: 0,
            content: Content::Tensors(tensors),
            rules,
            written: OnceLock::new(),
        })
    }

    /// Reads a whole answer to `asked`, which must keep to what the model's rules say it gives.
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
        match &asked.content {
            Content::Json(_) if asked.operation() == Operation::Respond => openai::respond::parse(&limits, body),
            Content::Json(_) if asked.operation() == Operation::Message => openai::message::parse(&limits, body),
            Content::Json(_) => openai::answer::parse(&limits, asked, body),
            Content::Tensors(tensors) => oip::parse_answer(&limits, asked.rules.spec.as_ref(), tensors, head, body),
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
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let is_json = essence.eq_ignore_ascii_case("application/json");
    let is_binary = operation == Operation::Infer && essence.eq_ignore_ascii_case("application/octet-stream");
    // JSON is UTF-8 (RFC 8259, section 8.1), whatever else a parameter may claim.
    let charset = |part: &str| {
        part.split_once('=')
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .is_some_and(|(_, value)| !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"))
    };
    if (is_json || is_binary) && !parts.any(charset) {
        return Ok(());
    }
    let message = "expected content type application/json";
    Err(Invalid::new(InvalidCode::UnsupportedMediaType, Pointer::root(), message))
}
