//! Servers that speak the Open Inference Protocol, version 2: Triton, KServe, MLServer.

use bytes::Bytes;
use core_validate::{Head, InferenceRequest, ModelName, Operation};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::error::BackendError;
use crate::http::{Endpoint, JSON, content_type};
use crate::{BoxFuture, Description, InferenceResponse, ModelBackend};

const TENSOR_HEADER: HeaderName = HeaderName::from_static("inference-header-content-length");

/// An Open Inference Protocol server. The base address ends where `v2` begins.
pub struct OipBackend {
    endpoint: Endpoint,
}

impl OipBackend {
    /// Talks to this server.
    pub fn new(endpoint: Endpoint) -> Self {
        Self { endpoint }
    }

    async fn send(
        &self,
        request: &InferenceRequest,
        model: &ModelName,
        request_id: &str,
    ) -> Result<InferenceResponse, BackendError> {
        if request.operation() != Operation::Infer {
            return Err(BackendError::Settings);
        }
        let version = request.version().map(|version| format!("/versions/{version}")).unwrap_or_default();
        let path = format!("v2/models/{model}{version}/infer");
        let body = request.to_body();
        let mut headers = HeaderMap::new();
        match body.tensor_header_length {
            Some(length) => {
                headers.insert(TENSOR_HEADER, HeaderValue::from(length));
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            }
            None => {
                headers.insert(CONTENT_TYPE, JSON);
            }
        }
        if let Ok(id) = HeaderValue::from_str(request_id) {
            headers.insert(HeaderName::from_static("x-request-id"), id);
        }
        let began = Instant::now();
        let response = self.endpoint.send(Method::POST, &path, headers, body.bytes).await?;
        let length = response.headers().get(TENSOR_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let head = Head { content_type: content_type(&response), tensor_header_length: length, ..Head::default() };
        let body = self.endpoint.read(response, began).await?;
        Ok(InferenceResponse::Full(head, body))
    }

    async fn get(&self, path: &str) -> Result<Bytes, BackendError> {
        let began = Instant::now();
        let response = self.endpoint.send(Method::GET, path, HeaderMap::new(), Bytes::new()).await?;
        self.endpoint.read(response, began).await
    }
}

impl ModelBackend for OipBackend {
    fn infer<'a>(
        &'a self,
        request: &'a InferenceRequest,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<InferenceResponse, BackendError>> {
        Box::pin(self.send(request, request.model(), request_id))
    }

    fn ready<'a>(&'a self, model: &'a ModelName) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move { self.get(&format!("v2/models/{model}/ready")).await.map(drop) })
    }

    fn describe<'a>(&'a self, model: &'a ModelName) -> BoxFuture<'a, Result<Option<Description>, BackendError>> {
        Box::pin(async move {
            let body = self.get(&format!("v2/models/{model}")).await?;
            let described: Description = serde_json::from_slice(&body).map_err(|_| BackendError::Protocol)?;
            match described.is_sound() {
                true => Ok(Some(described)),
                false => Err(BackendError::Protocol),
            }
        })
    }
}
