//! The gateway, put together: bound first, then run until it is told to stop.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::edge::Proxies;
use actix_web::App;
use actix_web::dev::{Server, ServerHandle};
use actix_web::web::{self, Data};
use keys::{AWAY_TTL, Issuer, Verifier};
use pipeline::{Parts, Pipeline};
use privacy::distinct::MemoryQueryLedger;
use privacy::dp::MemoryToldStore;
use ratelimit_redis::{Limiter, LimiterError, MemoryLimiter, RedisLimiter};

use crate::admin::{self, Admin, Reloader};
use crate::cli::system_act;
use crate::config::{InvalidSettings, RedisSettings, Settings};
use crate::data_dir::{DataDir, DataDirError};
use crate::edge::listener::Gate;
use crate::edge::trap::Trap;
use crate::http::{self, Shared};
use crate::key_store::Stored;
use crate::monitors::Monitors;
use crate::tls::{Acme, Tls, TlsError};
use crate::trail::{Opened, Tended, Terms, Trail};
use crate::upkeep::{self, Upkeep};

/// Budgets of queries that are counted in memory: of key families and tenants, for each model.
const BUCKETS: usize = 4_096;
/// Released answers that are kept in memory.
const TOLD: usize = 65_536;
/// How long what is ended at the stop may take to be told and recorded.
const FAREWELL: Duration = Duration::from_secs(3);

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
    /// The audit trail cannot be found.
    #[error("audit trail: {0}")]
    Trail(String),
    /// The audit trail cannot be opened.
    #[error("audit trail: {0}")]
    Audit(#[from] audit::AuditError),
    /// A key of the audit trail cannot be used.
    #[error("audit trail: {0}")]
    AuditKey(#[from] audit::KeyError),
    /// Redis is of no use.
    #[error("redis.url: {0}")]
    Redis(&'static str),
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
    tls: Arc<Tls>,
    acme: Option<Acme>,
    trap: Option<(TcpListener, Trap)>,
    callers: Server,
    operators: Server,
    pipeline: Arc<Pipeline>,
    stored: Stored,
    verifier: Arc<Verifier>,
    issuer: Issuer,
    reloader: Arc<Reloader>,
    monitors: Arc<Monitors>,
    tended: Tended,
    shutdown: Duration,
    data_dir: DataDir,
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
        let tls = Arc::new(Tls::load(&settings.server)?);
        let acme = tls.acme(&settings.server)?;
        let stored = Stored::open(&settings, &data_dir).await?;
        let keys = |error: &dyn std::fmt::Display| StartError::Keys(error.to_string());
        let mut verifier = Verifier::builder(stored.store(), stored.peppers.clone())
            .failures_per_minute(settings.limits.failures_per_minute);
        match settings.redis.revocations()? {
            Some(revocations) => verifier = verifier.revocations(revocations),
            // Nobody tells what other gateways change.
            None if stored.is_shared() => verifier = verifier.soft_ttl(AWAY_TTL),
            None => {}
        }
        let verifier = Arc::new(verifier.build().map_err(|error| keys(&error))?);
        let issuer = verifier.issuer();
        upkeep::warn_of_peppers(&issuer).await;
        let limiter = limiter(&settings.redis).await?;
        let told_by = settings.redis.monitors()?;
        let (listener, address) = listen(settings.server.listen)?;
        let (admin_listener, admin_address) = listen(settings.server.admin_listen)?;
        let trap = settings.server.trap()?.map(listen).transpose()?;
        // Last, so that a start that fails holds no part of the trail.
        let Opened { trail, log, digests, tended } = Trail::open(&settings, &data_dir).await?;
        let terms = Terms::of(&settings);
        terms.follow(&Terms::recorded(&trail).await?, &log, system_act("", None).who, "at the start").await?;
        let max_buffered_bytes = settings.limits.max_buffered_bytes;
        let in_memory = || Arc::new(MemoryQueryLedger::new(NonZeroUsize::MIN.saturating_add(BUCKETS)));
        let queries = settings.redis.queries()?.unwrap_or_else(|| in_memory());
        let in_memory = || Arc::new(MemoryToldStore::new(NonZeroUsize::MIN.saturating_add(TOLD)));
        let told = settings.redis.told()?.unwrap_or_else(|| in_memory());
        let parts = Parts {
            verifier: verifier.clone(),
            limiter,
            queries,
            told,
            log: log.clone(),
            digests,
            policy,
            max_buffered_bytes,
        };
        let pipeline = Arc::new(Pipeline::start(parts));
        // What has ended is settled from this runtime.
        pipeline.warm_up().await;
        let reloader = Arc::new(Reloader::new(source, &settings, tls.clone(), pipeline.clone(), log));
        let monitors = Arc::new(Monitors::new(data_dir.path(), told_by, pipeline.clone()));
        // Who was watched before is watched from the first request on.
        monitors.turn().await;
        let metrics_from = settings.server.metrics_from.clone();
        let admin = Admin {
            pipeline: pipeline.clone(),
            issuer: issuer.clone(),
            reloader: reloader.clone(),
            monitors: monitors.clone(),
            metrics_from,
            trail,
        };

        let server = &settings.server;
        let shared = Data::new(Shared {
            pipeline: pipeline.clone(),
            proxies: Proxies::new(server.trusted_proxies.iter().copied()),
            is_behind_proxy: server.danger_plaintext_behind_proxy,
        });
        let failed = |address| move |source| StartError::Bind { address, source };
        let gate = Gate::for_callers(server, tls.callers(), &pipeline);
        let callers = callers(&settings, shared, listener, gate).map_err(failed(address))?;
        let gate = Gate::for_operators(server, tls.operators(), &pipeline);
        let operators = operators(&settings, Data::new(admin), admin_listener, gate).map_err(failed(admin_address))?;
        let trap = trap.map(|(listener, _)| {
            let trap = Trap { issuer: issuer.clone(), peppers: stored.peppers.clone(), pipeline: pipeline.clone() };
            (listener, trap)
        });
        data_dir.note_admin(admin_address).map_err(failed(admin_address))?;
        Ok(Self {
            address,
            admin_address,
            tls,
            acme,
            trap,
            callers,
            operators,
            pipeline,
            stored,
            verifier,
            issuer,
            reloader,
            monitors,
            tended,
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

    /// Where plaintext is refused, if anywhere.
    pub fn trap_address(&self) -> Option<SocketAddr> {
        self.trap.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// SHA-256 fingerprint of the certificate.
    pub fn fingerprint(&self) -> String {
        self.tls.callers().fingerprint()
    }

    /// The certificate that clients must trust, when it is our own.
    pub fn authority(&self) -> Option<&Path> {
        self.tls.authority()
    }

    /// The data folder.
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// Issues keys, for the first start.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Records what was done at the start. What cannot be recorded is logged and counted.
    pub(crate) async fn record(&self, act: audit::Act) {
        let _ = self.pipeline.record(act).await;
    }

    /// Reads the settings again, for a signal.
    pub fn reloader(&self) -> Arc<Reloader> {
        self.reloader.clone()
    }

    /// Answers requests until `shutdown` is ready, then lets those under way end, and closes every
    /// ticket and the audit trail.
    ///
    /// # Errors
    /// When a listener breaks, or another gateway took over this one's part of the audit trail, as it may
    /// when it was not written for half a minute; start again then.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> std::io::Result<()> {
        let Self { callers, operators, pipeline, stored, verifier, issuer, monitors, tended, tls, acme, trap, .. } =
            self;
        let (patience, data_dir) = (self.shutdown, self.data_dir);
        let trap = trap.map(|(listener, trap)| Ok::<_, std::io::Error>((asynchronous(listener)?, trap))).transpose()?;
        let upkeep = Upkeep::start(verifier.clone(), issuer, monitors, pipeline.clone(), tls, tended);
        let trap = trap.map(|(listener, trap)| AbortOnDrop(tokio::spawn(trap.run(listener))));
        let acme = acme.map(|acme| AbortOnDrop(tokio::spawn(acme.run(pipeline.metrics().clone()))));
        let handles = [callers.handle(), operators.handle()];
        let servers = async { tokio::try_join!(callers, operators).map(drop) };
        tokio::pin!(servers);
        let ended = tokio::select! {
            ended = &mut servers => ended,
            () = pipeline.trail_ended() => {
                tracing::error!("stopping: this gateway's part of the audit trail is another's now");
                stop(&handles, &pipeline, patience, servers).await.and(Err(std::io::ErrorKind::ResourceBusy.into()))
            }
            () = shutdown => {
                tracing::info!("stopping; requests under way may end");
                stop(&handles, &pipeline, patience, servers).await
            }
        };
        pipeline.close(FAREWELL).await;
        drop((upkeep, trap, acme));
        if let Err(error) = verifier.note_used().await {
            tracing::warn!(%error, "last use of keys is not noted");
        }
        stored.close().await;
        drop(data_dir);
        ended
    }
}

/// A task that ends with whoever holds this.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Each server lets requests under way end, for as long as `patience` says; then they are ended.
async fn stop(
    handles: &[ServerHandle],
    pipeline: &Pipeline,
    patience: Duration,
    servers: impl Future<Output = std::io::Result<()>>,
) -> std::io::Result<()> {
    let stopping = futures_util::future::join_all(handles.iter().map(|handle| handle.stop(true)));
    let stopped = async { tokio::join!(stopping, servers).1 };
    tokio::pin!(stopped);
    match tokio::time::timeout(patience, &mut stopped).await {
        Ok(ended) => ended,
        Err(_) => {
            tracing::warn!("requests are still under way; they are ended");
            pipeline.cut();
            stopped.await
        }
    }
}

/// The same socket for the runtime of this thread.
fn asynchronous(listener: TcpListener) -> std::io::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener)
}

/// Quotas in Redis when an address is set, else in this process.
async fn limiter(settings: &RedisSettings) -> Result<Arc<dyn Limiter>, StartError> {
    let Some(config) = settings.config()? else { return Ok(Arc::new(MemoryLimiter::new())) };
    let limiter = RedisLimiter::connect(&config).await.map_err(|error| match error {
        LimiterError::Settings(problem) => InvalidSettings::new("redis.url", problem).into(),
        LimiterError::UnknownMaster => StartError::Redis("the sentinels do not know this master"),
        LimiterError::Cluster => StartError::Redis("the server is one of a cluster: write redis+cluster://"),
        LimiterError::Refused => StartError::Redis("the server refuses the user, the password or a right"),
        LimiterError::Untrusted => {
            StartError::Redis("the server's certificate is not trusted, or it does not trust ours")
        }
        _ => StartError::Redis("the server does not answer"),
    })?;
    Ok(Arc::new(limiter))
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn callers(settings: &Settings, shared: Data<Shared>, listener: TcpListener, gate: Gate) -> std::io::Result<Server> {
    let workers = match settings.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    // Called once in each worker's own runtime.
    let app = move || {
        let pipeline = shared.pipeline.clone();
        actix_web::rt::spawn(async move { pipeline.warm_up().await });
        App::new().app_data(shared.clone()).default_service(web::to(http::handle))
    };
    gate.serve(listener, workers, settings.server.shutdown_seconds + FAREWELL.as_secs(), app)
}

fn operators(settings: &Settings, admin: Data<Admin>, listener: TcpListener, gate: Gate) -> std::io::Result<Server> {
    let app = move || App::new().app_data(admin.clone()).default_service(web::to(admin::handle));
    gate.serve(listener, 1, settings.server.shutdown_seconds + FAREWELL.as_secs(), app)
}
