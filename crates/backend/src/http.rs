//! HTTP towards a model server: one client, bounded in time and size, that follows no redirect.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, Url};
use tokio::runtime::{Handle, Id};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::address::{Names, is_allowed};
use crate::error::BackendError;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// How long each part of an exchange may take, and how large its answer may be.
#[non_exhaustive]
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until there is a connection. Default 2 s.
    pub connect: Duration,
    /// From the request until the head of the answer, and for the whole of a whole answer.
    /// Default 120 s.
    pub answer: Duration,
    /// Between two pieces of a body. Default 30 s.
    pub idle: Duration,
    /// From the request until the end of its answer, streamed ones too. Default 30 minutes.
    pub total: Duration,
    /// Most bytes of a whole answer, or of one event of a stream. Default 16 MiB.
    pub max_bytes: usize,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            answer: Duration::from_secs(120),
            idle: Duration::from_secs(30),
            total: Duration::from_secs(30 * 60),
            max_bytes: 16 << 20,
        }
    }
}

/// Where a model server is, and how to talk to it.
pub struct Endpoint {
    /// One for each runtime that asks: a connection that lives on another one costs wake-ups of threads.
    clients: Mutex<HashMap<Id, Client>>,
    tls: rustls::ClientConfig,
    base: Url,
    authorization: Option<HeaderValue>,
    pub(crate) timeouts: Timeouts,
}

impl Endpoint {
    /// A server at `url`, `http` or `https`, with its own key if it wants one.
    ///
    /// # Errors
    /// [`BackendError::Address`] where no server may be: on the link, at a cloud's metadata, everywhere. Names that
    /// come to lead there are [`BackendError::Unreachable`] when they are asked. [`BackendError::Settings`] when
    /// the address or key is not usable.
    pub fn new(url: &str, key: Option<Zeroizing<String>>, timeouts: Timeouts) -> Result<Self, BackendError> {
        let mut base: Url = url.parse().map_err(|_| BackendError::Settings)?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() || base.query().is_some() {
            return Err(BackendError::Settings);
        }
        let literal = base.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok());
        if literal.is_some_and(|address| !is_allowed(address)) {
            return Err(BackendError::Address);
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let authorization = match key {
            Some(key) => {
                let bearer = Zeroizing::new(format!("Bearer {}", key.as_str()));
                let mut value = HeaderValue::from_str(&bearer).map_err(|_| BackendError::Settings)?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let endpoint = Self { clients: Mutex::default(), tls: tls()?, base, authorization, timeouts };
        endpoint.build()?;
        Ok(endpoint)
    }

    fn build(&self) -> Result<Client, BackendError> {
        Client::builder()
            .tls_backend_preconfigured(self.tls.clone())
            .no_proxy()
            .dns_resolver(Arc::new(Names))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .tcp_nodelay(true)
            .connect_timeout(self.timeouts.connect)
            .pool_idle_timeout(Duration::from_secs(30))
            .build()
            .map_err(|_| BackendError::Settings)
    }

    /// The client of the runtime that asks.
    fn client(&self) -> Result<Client, BackendError> {
        let runtime = Handle::try_current().map_err(|_| BackendError::Settings)?.id();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&runtime) {
            return Ok(client.clone());
        }
        let client = self.build()?;
        clients.insert(runtime, client.clone());
        Ok(client)
    }

    /// Sends a request and waits for a successful head.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, BackendError> {
        let url = self.base.join(path).map_err(|_| BackendError::Settings)?;
        let mut request = self.client()?.request(method, url).headers(headers).body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let sent = tokio::time::timeout(self.timeouts.answer, request.send()).await;
        let response = sent.map_err(|_| BackendError::TimedOut)?.map_err(|error| {
            if error.is_connect() {
                BackendError::Unreachable
            } else if error.is_timeout() {
                BackendError::TimedOut
            } else {
                BackendError::Dropped
            }
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        Err(BackendError::from_status(response.status().as_u16(), retry_after.map(Duration::from_secs)))
    }

    /// Posts JSON to `path`, which is no model's, and gives the whole answer.
    ///
    /// # Errors
    /// [`BackendError`] when there is no successful answer in time, or it is too large.
    pub async fn ask(&self, path: &str, body: Bytes) -> Result<Bytes, BackendError> {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, JSON)]);
        let began = Instant::now();
        let response = self.send(Method::POST, path, headers, body).await?;
        self.read(response, began).await
    }

    /// Reads the whole body of an answer to a request that began then.
    pub(crate) async fn read(&self, response: Response, began: Instant) -> Result<Bytes, BackendError> {
        let collected = tokio::time::timeout_at(began + self.timeouts.answer, self.collect(response)).await;
        collected.map_err(|_| BackendError::TimedOut)?
    }

    async fn collect(&self, mut response: Response) -> Result<Bytes, BackendError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.next(&mut response).await? {
            if body.len() + chunk.len() > self.timeouts.max_bytes {
                return Err(BackendError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The next piece of a body.
    pub(crate) async fn next(&self, response: &mut Response) -> Result<Option<Bytes>, BackendError> {
        let chunk = tokio::time::timeout(self.timeouts.idle, response.chunk()).await;
        chunk.map_err(|_| BackendError::TimedOut)?.map_err(|_| BackendError::BrokeOff)
    }
}

/// The media type of an answer, as text.
pub(crate) fn content_type(response: &Response) -> Option<String> {
    Some(response.headers().get(CONTENT_TYPE)?.to_str().ok()?.to_owned())
}

/// TLS by rustls with aws-lc-rs and the certificates of the platform.
fn tls() -> Result<rustls::ClientConfig, BackendError> {
    use rustls_platform_verifier::BuilderVerifierExt as _;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_platform_verifier())
        .map_err(|_| BackendError::Settings)?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
