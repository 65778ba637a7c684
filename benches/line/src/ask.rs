//! One connection of the load: HTTP/1.1, kept open, with or without TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Failure;

/// A way to the model server: straight, or through one of the two.
#[derive(Clone)]
pub(crate) struct Target {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// How it is trusted; plain without.
    pub(crate) tls: Option<TlsConnector>,
    /// The key that every request carries.
    pub(crate) key: Arc<str>,
    /// The processes whose work is counted; none for the model server itself.
    pub(crate) processes: Vec<u32>,
}

/// TLS 1.3 that trusts this authority only.
pub(crate) fn trusting(authority: &Path) -> Result<TlsConnector, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// An open connection to a target.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    bearer: String,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(target: &Target) -> Result<Self, Failure> {
        let stream = TcpStream::connect(target.address).await?;
        stream.set_nodelay(true)?;
        let sender = match &target.tls {
            Some(tls) => {
                let name = ServerName::from(target.address.ip());
                speak(tls.connect(name, stream).await?).await?
            }
            None => speak(stream).await?,
        };
        Ok(Self { sender, host: target.address.to_string(), bearer: format!("Bearer {}", target.key) })
    }

    /// Sends a chat and waits for the head of its answer.
    pub(crate) async fn chat(&mut self, body: &Bytes) -> Result<Response<Incoming>, Failure> {
        self.sender.ready().await?;
        let request = Request::post("/v1/chat/completions")
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &self.bearer)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.clone()))?;
        Ok(self.sender.send_request(request).await?)
    }
}

/// Why an answer is none, in the words of its head.
pub(crate) fn refused(response: &Response<Incoming>) -> Failure {
    let status = response.status().as_u16();
    let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok()).unwrap_or_default();
    format!("{status} {code}").trim_end().into()
}

async fn speak<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends with its sender; what breaks it reaches the request under way.
    tokio::spawn(connection);
    Ok(sender)
}
