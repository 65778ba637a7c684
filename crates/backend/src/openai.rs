//! Servers that speak OpenAI's API: vLLM, llama.cpp, TGI, Ollama, OpenAI itself. Some of them speak Anthropic's
//! messages beside it.

use std::sync::Arc;

use core_validate::{Head, InferenceRequest, ModelName, Operation};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use tokio::time::Instant;

use crate::error::BackendError;
use crate::http::{Endpoint, JSON, content_type};
use crate::sse::{Decoder, Event};
use crate::{BoxFuture, ChunkStream, Description, InferenceResponse, ModelBackend};

/// The version of the Messages API that requests are written in, whatever callers name.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// An OpenAI-style server. The base address ends where `chat/completions` begins, so usually
/// in `/v1`.
pub struct OpenAiBackend(Arc<Endpoint>);

impl OpenAiBackend {
    /// Talks to this server.
    pub fn new(endpoint: Endpoint) -> Self {
        Self(Arc::new(endpoint))
    }

    async fn send(&self, request: &InferenceRequest, request_id: &str) -> Result<InferenceResponse, BackendError> {
        let path = match request.operation() {
            Operation::Chat => "chat/completions",
            Operation::Complete => "completions",
            Operation::Embed => "embeddings",
            Operation::Respond => "responses",
            Operation::Message => "messages",
            _ => return Err(BackendError::Settings),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, JSON);
        let accept = if request.is_stream() { "text/event-stream" } else { "application/json" };
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        if request.operation() == Operation::Message {
            headers.insert(HeaderName::from_static("anthropic-version"), HeaderValue::from_static(ANTHROPIC_VERSION));
        }
        let began = Instant::now();
        let response = self.0.send(Method::POST, path, headers, request.to_body().bytes).await?;
        if request.is_stream() {
            let kind = content_type(&response).unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default().trim();
            if !kind.eq_ignore_ascii_case("text/event-stream") {
                return Err(BackendError::Protocol);
            }
            return Ok(InferenceResponse::Stream(events(self.0.clone(), response, began)));
        }
        let body = self.0.read(response, began).await?;
        Ok(InferenceResponse::Full(Head::default(), body))
    }
}

impl ModelBackend for OpenAiBackend {
    fn infer<'a>(
        &'a self,
        request: &'a InferenceRequest,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<InferenceResponse, BackendError>> {
        Box::pin(self.send(request, request_id))
    }

    fn ready<'a>(&'a self, _model: &'a ModelName) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async {
            let began = Instant::now();
            let response = self.0.send(Method::GET, "models", HeaderMap::new(), bytes::Bytes::new()).await?;
            self.0.read(response, began).await.map(drop)
        })
    }

    fn describe<'a>(&'a self, _model: &'a ModelName) -> BoxFuture<'a, Result<Option<Description>, BackendError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// The events of a streamed answer, until `[DONE]`.
fn events(endpoint: Arc<Endpoint>, response: Response, began: Instant) -> ChunkStream {
    let decoder = Decoder::new(endpoint.timeouts.max_bytes);
    let end = began + endpoint.timeouts.total;
    let state = Some((endpoint, response, decoder));
    Box::pin(futures_util::stream::unfold(state, move |state| async move {
        let (endpoint, mut response, mut decoder) = state?;
        loop {
            match decoder.pop() {
                Some(Event::Data(data)) => return Some((Ok(data), Some((endpoint, response, decoder)))),
                Some(Event::Done) => return None,
                Some(Event::Failed) => return Some((Err(BackendError::Protocol), None)),
                None => {}
            }
            let pushed = match tokio::time::timeout_at(end, endpoint.next(&mut response)).await {
                Ok(Ok(Some(bytes))) => decoder.push(&bytes),
                Ok(Ok(None)) => Err(BackendError::BrokeOff),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(BackendError::TimedOut),
            };
            if let Err(error) = pushed {
                return Some((Err(error), None));
            }
        }
    }))
}
