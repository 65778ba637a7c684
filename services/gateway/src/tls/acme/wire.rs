//! The way to an authority: our HTTP client, over TLS alone, with bounds on time and size.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Body, Client, Request, StatusCode};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Plan;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most of an answer that is read; chains have some kilobytes.
const MAX_ANSWER: usize = 1 << 20;

/// Asks an authority.
#[derive(Clone)]
pub(super) struct Wire {
    client: Client,
    /// How long it wants to be left alone, since the last attempt began.
    pause: Arc<Mutex<Option<Duration>>>,
}

impl Wire {
    /// # Errors
    /// When the system's authorities cannot be used.
    pub(super) fn new(plan: &Plan) -> Result<Self, Error> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls(plan).map_err(|error| Error::Other(error.into()))?)
            .https_only(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .timeout(PATIENCE)
            .build();
        Ok(Self { client: client.map_err(|error| Error::Other(error.into()))?, pause: Arc::default() })
    }

    /// How long the authority wants to be left alone, as far as it said so since this was asked last.
    pub(super) fn take_pause(&self) -> Option<Duration> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn send(self, request: http::Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let failed = |error: reqwest::Error| Error::Other(error.into());
        let request = Request::try_from(request.map(Body::wrap)).map_err(failed)?;
        let mut answer = self.client.execute(request).await.map_err(failed)?;
        if matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            *self.pause.lock().unwrap_or_else(PoisonError::into_inner) = pause(answer.headers());
        }
        let mut head = http::Response::new(());
        *head.status_mut() = answer.status();
        *head.headers_mut() = std::mem::take(answer.headers_mut());
        let mut body = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(failed)? {
            if body.len() + piece.len() > MAX_ANSWER {
                return Err(Error::Str("an answer that is not larger than a mebibyte"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(BytesResponse { parts: head.into_parts().0, body: Box::new(body.freeze()) })
    }
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().send(request))
    }
}

fn tls(plan: &Plan) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match plan.roots() {
        Some(roots) => builder.with_root_certificates(roots.clone()),
        None => builder.with_platform_verifier()?,
    };
    Ok(builder.with_no_client_auth())
}

/// `Retry-After`: seconds, or a date.
fn pause(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = SystemTime::from(OffsetDateTime::parse(text, &Rfc2822).ok()?);
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}
