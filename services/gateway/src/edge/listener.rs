//! A listener: what a connection goes through before a byte of HTTP is read, and the server behind it.
//!
//! There is a place for it, or it is closed; a trusted proxy says who called; the caller's address has room for one
//! more; TLS; and from then on it must take what it is sent.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use ::edge::{Proxies, read_proxy_header};
use actix_http::body::MessageBody;
use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService, KeepAlive, Request, Response};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::{AppConfig, Server};
use pipeline::{Metrics, Pipeline};
use rustls::server::Acceptor;
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::config::ServerSettings;
use crate::edge::connections::{Connections, Place};
use crate::edge::one_by_one::{OneByOne, Patience};
use crate::edge::paced::Paced;
use crate::edge::refuse::Refuse;
use crate::http::render::Shape;
use crate::tls::{Certificate, Handshake};

/// How long a closing connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// How much of an answer the system takes before its caller does; it would take megabytes for each by itself.
const AHEAD: usize = 128 << 10;

/// A connection that may speak HTTP.
type Stream = OneByOne<Either<TlsStream<Paced<TcpStream>>, Paced<TcpStream>>>;

/// How a listener takes connections.
#[derive(Clone)]
pub(crate) struct Gate {
    name: &'static str,
    /// Absent when proxies end TLS.
    certificate: Option<Arc<Certificate>>,
    proxies: Proxies,
    has_proxy_header: bool,
    connections: Arc<Connections>,
    patience: Patience,
    stall: Duration,
    refuse: Refuse,
    metrics: Metrics,
}

impl Gate {
    /// Of the listener for callers.
    pub(crate) fn for_callers(
        settings: &ServerSettings,
        certificate: Arc<Certificate>,
        pipeline: &Arc<Pipeline>,
    ) -> Self {
        let refuse = Refuse::new(pipeline.clone(), None);
        let certificate = (!settings.danger_plaintext_behind_proxy).then_some(certificate);
        Self {
            proxies: Proxies::new(settings.trusted_proxies.iter().copied()),
            has_proxy_header: settings.proxy_protocol,
            ..Self::new("callers", settings, certificate, settings.max_connections, refuse, pipeline.metrics().clone())
        }
    }

    /// Of the listener for operators, which no proxy stands before.
    pub(crate) fn for_operators(
        settings: &ServerSettings,
        certificate: Arc<Certificate>,
        pipeline: &Arc<Pipeline>,
    ) -> Self {
        let refuse = Refuse::new(pipeline.clone(), Some(Shape::Problem));
        Self::new("operators", settings, Some(certificate), OPERATORS, refuse, pipeline.metrics().clone())
    }

    fn new(
        name: &'static str,
        settings: &ServerSettings,
        certificate: Option<Arc<Certificate>>,
        most: usize,
        refuse: Refuse,
        metrics: Metrics,
    ) -> Self {
        Self {
            name,
            certificate,
            proxies: Proxies::default(),
            has_proxy_header: false,
            connections: Connections::new(name, metrics.clone(), most, settings.max_connections_per_address),
            patience: Patience {
                head: Duration::from_secs(settings.head_seconds),
                idle: Duration::from_secs(settings.idle_seconds),
            },
            stall: Duration::from_secs(settings.stall_seconds),
            refuse,
            metrics,
        }
    }

    /// A server behind this gate, for as long as its handle lets it.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub(crate) fn serve<F, I, S, B>(
        self,
        listener: TcpListener,
        workers: usize,
        shutdown_seconds: u64,
        app: F,
    ) -> io::Result<Server>
    where
        F: Fn() -> I + Send + Clone + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<actix_web::Error>,
        S::InitError: std::fmt::Debug,
        S::Response: Into<Response<B>>,
        B: MessageBody + 'static,
    {
        let builder = actix_server::Server::build()
            .workers(workers)
            // Our own count is over all threads, and refuses where this one would let callers wait.
            .max_concurrent_connections(usize::MAX)
            .shutdown_timeout(shutdown_seconds)
            .disable_signals();
        let stopping = builder.graceful_shutdown_signal();
        let builder = builder.listen(self.name, listener, move || {
            let (gate, stopping) = (self.clone(), stopping.clone());
            let http = HttpService::build()
                // Idle connections end at once when the server stops.
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                // Heads and idle connections are timed before it.
                .keep_alive(KeepAlive::Os)
                .client_request_timeout(Duration::ZERO)
                .on_connect_ext(|stream: &Stream, about: &mut Extensions| {
                    about.insert(stream.turn());
                })
                .client_disconnect_timeout(GOODBYE)
                .h1_allow_half_closed(false)
                .secure()
                .h1(map_config(app().into_factory().map_err(|error: S::Error| error.into().error_response()), |()| {
                    AppConfig::default()
                }));
            let accept = fn_service(move |stream| {
                let gate = gate.clone();
                async move { gate.accept(stream).await.map_err(DispatchError::Io) }
            });
            accept.and_then(http)
        })?;
        Ok(builder.run())
    }

    /// Lets a connection in; nobody is told why it is not.
    async fn accept(&self, stream: TcpStream) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self.try_accept(stream).await {
            Ok(Some(accepted)) => Ok(accepted),
            // It was answered, and there is nothing to serve.
            Ok(None) => Err(ErrorKind::ConnectionAborted.into()),
            Err(error) => {
                self.metrics.connection_refused(self.name, word(error.kind()));
                Err(error)
            }
        }
    }

    /// `None` for an authority that has its answer.
    async fn try_accept(&self, mut stream: TcpStream) -> io::Result<Option<(Stream, Option<SocketAddr>)>> {
        let full = |_| io::Error::from(ErrorKind::QuotaExceeded);
        let place = self.connections.enter().map_err(full)?;
        stream.set_nodelay(true)?;
        SockRef::from(&stream).set_send_buffer_size(AHEAD)?;
        let mut peer = stream.peer_addr()?;
        let is_proxy = self.proxies.trust(peer.ip());
        if (self.has_proxy_header || self.certificate.is_none()) && !is_proxy {
            return Err(ErrorKind::PermissionDenied.into());
        }
        if self.has_proxy_header {
            let named = tokio::time::timeout(self.patience.head, read_proxy_header(&mut stream)).await??;
            peer = named.unwrap_or(peer);
        }
        // Behind a proxy that does not name them at this level, all callers are one address.
        let place = if self.proxies.trust(peer.ip()) { place } else { place.of(peer.ip()).map_err(full)? };
        let Some(stream) = self.secure(stream, place).await? else { return Ok(None) };
        Ok(Some((OneByOne::new(stream, self.patience, self.refuse.clone(), peer.ip()), Some(peer))))
    }

    async fn secure(
        &self,
        stream: TcpStream,
        place: Place,
    ) -> io::Result<Option<Either<TlsStream<Paced<TcpStream>>, Paced<TcpStream>>>> {
        let stream = Paced::new(stream, self.stall, place);
        let Some(certificate) = &self.certificate else { return Ok(Some(Either::Right(stream))) };
        let handshake = handshake(certificate, stream);
        Ok(tokio::time::timeout(self.patience.head, handshake).await??.map(Either::Left))
    }
}

/// The start of TLS. An authority that asks whether a name is ours is shown the answer, and left: `None`.
async fn handshake(
    certificate: &Certificate,
    stream: Paced<TcpStream>,
) -> io::Result<Option<TlsStream<Paced<TcpStream>>>> {
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    match certificate.handshake(&start.client_hello()) {
        Handshake::Http(config) => start.into_stream(config).await.map(Some),
        Handshake::Challenge(config) => {
            start.into_stream(config).await?.shutdown().await?;
            Ok(None)
        }
    }
}

/// Connections of operators that may be open at once.
const OPERATORS: usize = 256;

fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::QuotaExceeded => "too many",
        ErrorKind::PermissionDenied => "not a proxy",
        ErrorKind::TimedOut => "too slow",
        _ => "broken",
    }
}
