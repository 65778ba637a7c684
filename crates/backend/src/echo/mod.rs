//! A model that lives in this process: enough to try a gateway without any model server.
//!
//! It chats by repeating, embeds by hashing and classifies by a small fixed matrix.

mod tensors;
mod texts;

use bytes::Bytes;
use core_validate::{Head, InferenceRequest, ModelName, Operation};
use serde_json::Value;

use crate::error::BackendError;
use crate::{BoxFuture, ChunkStream, Description, InferenceResponse, ModelBackend};

/// The built-in model server. It knows one model of each kind, under any name.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EchoBackend;

impl EchoBackend {
    /// The server; it answers at once.
    pub fn new() -> Self {
        Self
    }

    async fn answer(&self, request: &InferenceRequest) -> Result<InferenceResponse, BackendError> {
        let body = request.to_body();
        if request.operation() == Operation::Infer {
            let (length, answer) = tensors::classify(request.model().as_str(), &body)?;
            let head = Head { tensor_header_length: length, ..Head::default() };
            return Ok(InferenceResponse::Full(head, answer));
        }
        let asked: Value = serde_json::from_slice(&body.bytes).map_err(|_| BackendError::Refused)?;
        if request.is_stream() {
            return Ok(InferenceResponse::Stream(stream(texts::chunks(&asked, request.operation()))));
        }
        let answer = match request.operation() {
            Operation::Respond => texts::response(&asked),
            Operation::Message => texts::message(&asked),
            Operation::Embed => texts::embeddings(&asked).ok_or(BackendError::Refused)?,
            operation => texts::whole(&asked, operation),
        };
        Ok(InferenceResponse::Full(Head::default(), Bytes::from(answer.to_string())))
    }
}

impl ModelBackend for EchoBackend {
    fn infer<'a>(
        &'a self,
        request: &'a InferenceRequest,
        _request_id: &'a str,
    ) -> BoxFuture<'a, Result<InferenceResponse, BackendError>> {
        Box::pin(self.answer(request))
    }

    fn ready<'a>(&'a self, _model: &'a ModelName) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn describe<'a>(&'a self, _model: &'a ModelName) -> BoxFuture<'a, Result<Option<Description>, BackendError>> {
        Box::pin(std::future::ready(Ok(Some(tensors::description()))))
    }
}

fn stream(chunks: Vec<Value>) -> ChunkStream {
    let events = chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk.to_string())));
    Box::pin(futures_util::stream::iter(events))
}
