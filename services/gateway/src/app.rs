//! The gateway, put together: bound first, then run until it is told to stop.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::{self, Data};
use actix_web::{App, HttpServer};
use audit::{DigestKey, Log, SegmentFile, SigningKey};
use keys::{Issuer, KeyStore, Peppers, Verifier};
use pipeline::{Parts, Pipeline};
use ratelimit_redis::{Limiter, LimiterError, MemoryLimiter, RedisConfig, RedisLimiter};
use store::{PostgresStore, SqliteStore};

use crate::admin::{self, Admin, Reloader};
use crate::config::{InvalidSettings, KeySettings, RedisSettings, Settings};
use crate::data_dir::{DataDir, DataDirError};
use crate::http::{self, Shared};
use crate::tls::{Tls, TlsError};

/// The name under which checkpoints of the audit trail are signed.
pub(crate) const ORIGIN: &str = "portcullis/embedded";

/// The gateway cannot start.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting cannot be used.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// The data folder cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Keys cannot be stored or checked.
    #[error("keys: {0}")]
    Keys(String),
    /// The audit trail cannot be opened.
    #[error("audit trail: {0}")]
    Audit(#[from] audit::AuditError),
    /// A key of the audit trail cannot be used.
    #[error("audit trail: {0}")]
    AuditKey(#[from] audit::KeyError),
    /// Redis does not answer.
    #[error("redis.url: the server does not answer")]
    Redis,
    /// A secret is missing beside the data that was made with it.
    #[error("{secret} is missing, but {data} belongs to it: put it back, or move {data} away to begin anew")]
    Orphan {
        /// The data.
        data: PathBuf,
        /// The secret.
        secret: PathBuf,
    },
    /// A listener cannot be bound.
    #[error("{address}: {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// A gateway whose listeners are bound; it answers once it runs.
pub struct Gateway {
    address: SocketAddr,
    admin_address: SocketAddr,
    fingerprint: String,
    authority: Option<PathBuf>,
    callers: Server,
    operators: Server,
    pipeline: Arc<Pipeline>,
    stored: Stored,
    verifier: Arc<Verifier>,
    issuer: Issuer,
    reloader: Arc<Reloader>,
    shutdown: Duration,
    data_dir: DataDir,
}

/// Where keys are, and what they are made with.
pub(crate) struct Stored {
    database: Database,
    pub(crate) peppers: Peppers,
}

enum Database {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
}

impl Stored {
    /// Opens the key store and the peppers: those of the settings, else of the data folder, made if
    /// there are none.
    pub(crate) async fn open(settings: &Settings, data_dir: &DataDir) -> Result<Self, StartError> {
        let keys = |error: &dyn std::fmt::Display| StartError::Keys(error.to_string());
        let file = data_dir.path().join("keys.sqlite");
        let given = peppers(&settings.keys)?;
        if let Some(url) = settings.database.url.reveal() {
            let missing =
                || InvalidSettings::new("keys.peppers_file", "gateways that share a database share their peppers");
            let store = PostgresStore::connect(url)
                .await
                .map_err(|error| StartError::Keys(format!("database.url: {error}")))?;
            return Ok(Self { database: Database::Postgres(Arc::new(store)), peppers: given.ok_or_else(missing)? });
        }
        let peppers = match given {
            Some(peppers) => peppers,
            None => {
                let path = data_dir.path().join("peppers");
                refuse_orphan(&file, &path)?;
                Peppers::load_or_create(&path).map_err(|error| keys(&error))?
            }
        };
        let store = SqliteStore::open(&file).await.map_err(|error| keys(&error))?;
        Ok(Self { database: Database::Sqlite(Arc::new(store)), peppers })
    }

    pub(crate) fn store(&self) -> Arc<dyn KeyStore> {
        match &self.database {
            Database::Sqlite(store) => store.clone(),
            Database::Postgres(store) => store.clone(),
        }
    }

    async fn close(&self) {
        match &self.database {
            Database::Sqlite(store) => store.close().await,
            Database::Postgres(store) => store.close().await,
        }
    }
}

/// The peppers of the settings, if there are any.
fn peppers(settings: &KeySettings) -> Result<Option<Peppers>, InvalidSettings> {
    let at = |problem: String| InvalidSettings::new("keys.peppers_file", problem);
    let file = &settings.peppers_file;
    let text = match settings.peppers.reveal() {
        Some(_) if !file.as_os_str().is_empty() => return Err(at("peppers is set as well".to_owned())),
        Some(text) => zeroize::Zeroizing::new(text.to_owned()),
        None if file.as_os_str().is_empty() => return Ok(None),
        None => {
            let read = std::fs::read_to_string(file);
            read.map_err(|error| at(format!("{}: {error}", file.display())))?.into()
        }
    };
    text.parse()
        .map(Some)
        .map_err(|_| at("expected lines of a letter or digit, a space, 64 hexadecimal digits".to_owned()))
}

/// A secret is made when there is nothing yet. Beside data that was made with it, a new one would
/// make that data useless without a word; a trail that is gone must not begin anew without one.
fn refuse_orphan(data: &Path, secret: &Path) -> Result<(), StartError> {
    match data.exists() && !secret.exists() {
        true => Err(StartError::Orphan { data: data.to_owned(), secret: secret.to_owned() }),
        false => Ok(()),
    }
}

impl Gateway {
    /// Opens every part, checks every setting and binds both listeners.
    ///
    /// # Errors
    /// [`StartError`] for the first part that cannot be used.
    pub async fn bind(mut settings: Settings, source: Option<PathBuf>) -> Result<Self, StartError> {
        let policy = crate::rules::policy(&settings)?;
        let data_dir = DataDir::hold(&settings.server.data_dir)?;
        settings.server.data_dir = data_dir.path().to_owned();
        let tls = Tls::load(&settings.server)?;
        let stored = Stored::open(&settings, &data_dir).await?;
        let keys = |error: &dyn std::fmt::Display| StartError::Keys(error.to_string());
        let verifier = Verifier::builder(stored.store(), stored.peppers.clone())
            .failures_per_minute(settings.limits.failures_per_minute);
        let verifier = Arc::new(verifier.build().map_err(|error| keys(&error))?);
        let issuer = verifier.issuer();
        let log = open_log(&data_dir).await?;
        let digests = DigestKey::load_or_create(&data_dir.path().join("digest-key"))?;
        let limiter = limiter(&settings.redis).await?;
        let max_buffered_bytes = settings.limits.max_buffered_bytes;
        let parts = Parts { verifier: verifier.clone(), limiter, log, digests, policy, max_buffered_bytes };
        let pipeline = Arc::new(Pipeline::start(parts));
        let reloader = Arc::new(Reloader::new(source, pipeline.clone()));
        let admin = Admin::new(pipeline.clone(), issuer.clone(), reloader.clone(), &settings, &data_dir);

        let server = &settings.server;
        let (listener, address) = listen(server.listen)?;
        let (admin_listener, admin_address) = listen(server.admin_listen)?;
        let shared = Data::new(Shared { pipeline: pipeline.clone(), trusted_proxies: server.trusted_proxies.clone() });
        let failed = |address| move |source| StartError::Bind { address, source };
        let callers = callers(&settings, shared, listener, &tls).map_err(failed(address))?;
        let operators = operators(&settings, Data::new(admin), admin_listener, &tls).map_err(failed(admin_address))?;
        data_dir.note_admin(admin_address).map_err(failed(admin_address))?;
        Ok(Self {
            address,
            admin_address,
            fingerprint: tls.fingerprint,
            authority: tls.authority,
            callers,
            operators,
            pipeline,
            stored,
            verifier,
            issuer,
            reloader,
            shutdown: Duration::from_secs(server.shutdown_seconds),
            data_dir,
        })
    }

    /// Where callers connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where operators connect.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// SHA-256 fingerprint of the certificate.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The certificate that clients must trust, when it is our own.
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// The data folder.
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Issues keys, for the first start.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Reads the settings again, for a signal.
    pub fn reloader(&self) -> Arc<Reloader> {
        self.reloader.clone()
    }

    /// Answers requests until `shutdown` is ready, then lets those under way end, and closes every
    /// ticket and the audit trail.
    ///
    /// # Errors
    /// When a listener breaks.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        let Self { callers, operators, pipeline, stored, verifier, shutdown: patience, data_dir, .. } = self;
        let noting = tokio::spawn(note_used(verifier.clone()));
        let handles = [callers.handle(), operators.handle()];
        let servers = async { tokio::try_join!(callers, operators).map(drop) };
        tokio::pin!(servers);
        let ended = tokio::select! {
            ended = &mut servers => ended,
            () = shutdown => {
                tracing::info!("stopping; requests under way may end");
                tokio::join!(stop(&handles), servers).1
            }
        };
        pipeline.close(patience).await;
        noting.abort();
        if let Err(error) = verifier.note_used().await {
            tracing::warn!(%error, "last use of keys is not noted");
        }
        stored.close().await;
        drop(data_dir);
        ended
    }
}

/// Notes twice a minute when keys were last used.
async fn note_used(verifier: Arc<Verifier>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(30));
    loop {
        ticks.tick().await;
        if let Err(error) = verifier.note_used().await {
            tracing::warn!(%error, "last use of keys is not noted");
        }
    }
}

/// Each server lets requests under way end, for as long as its `shutdown_timeout` says.
async fn stop(handles: &[ServerHandle]) {
    futures_util::future::join_all(handles.iter().map(|handle| handle.stop(true))).await;
}

/// Quotas in Redis when an address is set, else in this process.
async fn limiter(settings: &RedisSettings) -> Result<Arc<dyn Limiter>, StartError> {
    let Some(url) = settings.url.reveal() else { return Ok(Arc::new(MemoryLimiter::new())) };
    let mut config = RedisConfig::new(url);
    config.prefix.clone_from(&settings.prefix);
    config.deadline = Duration::from_millis(settings.deadline_milliseconds);
    let limiter = RedisLimiter::connect(&config).await.map_err(|error| match error {
        LimiterError::Settings => InvalidSettings::new("redis.url", "expected redis://host:port").into(),
        _ => StartError::Redis,
    })?;
    Ok(Arc::new(limiter))
}

async fn open_log(data_dir: &DataDir) -> Result<Log, StartError> {
    let (folder, key) = (data_dir.path().join("audit"), data_dir.path().join("audit-key"));
    refuse_orphan(&folder, &key)?;
    refuse_orphan(&key, &folder)?;
    let key = SigningKey::load_or_create(&key)?;
    let sink = SegmentFile::open(&folder)?;
    Ok(Log::open(sink, key, ORIGIN).await?)
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn callers(settings: &Settings, shared: Data<Shared>, listener: TcpListener, tls: &Tls) -> std::io::Result<Server> {
    let workers = match settings.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    let server = HttpServer::new(move || App::new().app_data(shared.clone()).default_service(web::to(http::handle)))
        .workers(workers)
        .max_connections(settings.server.max_connections)
        .shutdown_timeout(settings.server.shutdown_seconds)
        .h1_allow_half_closed(false)
        .tcp_nodelay(true)
        .disable_signals()
        .listen_rustls_0_23(listener, tls.config.clone())?;
    Ok(server.run())
}

fn operators(settings: &Settings, admin: Data<Admin>, listener: TcpListener, tls: &Tls) -> std::io::Result<Server> {
    let server = HttpServer::new(move || App::new().app_data(admin.clone()).default_service(web::to(admin::handle)))
        .workers(1)
        .max_connections(256)
        .shutdown_timeout(settings.server.shutdown_seconds)
        .disable_signals()
        .listen_rustls_0_23(listener, tls.config.clone())?;
    Ok(server.run())
}
