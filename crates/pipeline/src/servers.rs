//! The servers of the models: which to ask, how busy each is, and which are left alone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backend::{BackendError, Breaker, Description, ModelBackend, Try};
use core_validate::ModelName;

/// How long a server is left alone at most, whatever it says.
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(60);
/// How long a server may take to say whether it is ready, or what its tensors are.
const PROBE: Duration = Duration::from_secs(5);

/// A model server, which may serve several models.
pub struct Server {
    label: String,
    backend: Arc<dyn ModelBackend>,
    breaker: Breaker,
    in_flight: AtomicUsize,
    /// How often it is asked whether it is ready although nothing is wrong.
    check_every: Option<Duration>,
    checked_at: Mutex<Option<Instant>>,
}

impl Server {
    /// A server by its name in the settings. It is asked now and then whether it is ready, if `check_every` says how often.
    pub fn new(label: String, backend: Arc<dyn ModelBackend>, check_every: Option<Duration>) -> Arc<Self> {
        let (breaker, in_flight, checked_at) = (Breaker::new(), AtomicUsize::default(), Mutex::default());
        Arc::new(Self { label, backend, breaker, in_flight, check_every, checked_at })
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Whether it failed again and again when it was asked last.
    pub(crate) fn is_left_alone(&self) -> bool {
        self.breaker.is_open()
    }

    /// Asks it whether it is ready, when it was left alone long enough, or it is time.
    async fn check(&self, model: &ModelName) {
        let now = Instant::now();
        let is_due = {
            let mut checked_at = self.checked_at.lock().unwrap_or_else(PoisonError::into_inner);
            let since = checked_at.map(|at| now.saturating_duration_since(at));
            let is_due = self.check_every.is_some_and(|every| since.is_none_or(|since| since >= every));
            if is_due {
                *checked_at = Some(now);
            }
            is_due
        };
        if !is_due && !self.breaker.is_open() {
            return;
        }
        let Some(asked) = self.breaker.enter(now) else { return };
        match tokio::time::timeout(PROBE, self.backend.ready(model)).await {
            Ok(Err(error)) if is_down(&error) => asked.failed(Instant::now()),
            Err(_) => asked.failed(Instant::now()),
            // That it is there does not say that it can answer: the next request finds out.
            Ok(_) => drop(asked),
        }
    }
}

/// A server of a model, and what it calls the model.
#[derive(Clone)]
pub struct ServedBy {
    /// The server.
    pub server: Arc<Server>,
    /// The server's own name for the model.
    pub model: ModelName,
    /// Whether it is asked only when others cannot be.
    pub is_fallback: bool,
}

impl ServedBy {
    pub(crate) fn label(&self) -> &str {
        &self.server.label
    }

    pub(crate) fn backend(&self) -> &dyn ModelBackend {
        &*self.server.backend
    }
}

/// The servers of one model.
pub(crate) struct Servers(Vec<Place>);

struct Place {
    served_by: ServedBy,
    /// It said that it is to be left alone until then.
    rests_until: Mutex<Option<Instant>>,
}

impl Place {
    /// How long it is to be left alone, if it is.
    fn rests(&self, now: Instant) -> Option<Duration> {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero());
        asked.max(self.served_by.server.breaker.rests(now))
    }

    fn busy(&self) -> usize {
        self.served_by.server.in_flight.load(Ordering::Relaxed)
    }
}

impl Servers {
    pub(crate) fn new(servers: Vec<ServedBy>) -> Self {
        let place = |served_by| Place { served_by, rests_until: Mutex::default() };
        Self(servers.into_iter().map(place).collect())
    }

    /// Notes that a server wants to be left alone, for a minute at most.
    pub(crate) fn rest(&self, label: &str, wait: Duration) {
        for place in self.0.iter().filter(|place| place.served_by.label() == label) {
            let until = Instant::now() + wait.min(LONGEST_REST);
            *place.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        }
    }

    /// How long all servers are to be left alone, if they are.
    pub(crate) fn rests(&self) -> Option<Duration> {
        let now = Instant::now();
        let rests: Option<Vec<Duration>> = self.0.iter().map(|place| place.rests(now)).collect();
        rests?.into_iter().min()
    }

    /// Servers in the order to try them: those that stand in for others after all of these, who just failed after who did
    /// not (for it is never busy), and the least busy first.
    pub(crate) fn candidates(&self) -> Vec<&ServedBy> {
        let now = Instant::now();
        let mut places: Vec<&Place> = self.0.iter().filter(|place| place.rests(now).is_none()).collect();
        let has_failed = |place: &Place| place.served_by.server.breaker.has_failed(now);
        places.sort_by_key(|place| (place.served_by.is_fallback, has_failed(place), place.busy()));
        places.into_iter().map(|place| &place.served_by).collect()
    }

    /// All servers but those that are to be left alone, or stand in for others.
    pub(crate) fn voters(&self) -> impl Iterator<Item = &ServedBy> {
        let now = Instant::now();
        let awake = self.0.iter().filter(move |place| place.rests(now).is_none() && !place.served_by.is_fallback);
        awake.map(|place| &place.served_by)
    }

    /// How many servers vote when all are well.
    pub(crate) fn voters_in_all(&self) -> usize {
        self.0.iter().filter(|place| !place.served_by.is_fallback).count()
    }

    /// What the server that is named first calls the model.
    pub(crate) fn name(&self) -> Option<&ModelName> {
        self.0.first().map(|place| &place.served_by.model)
    }

    /// Asks the servers in turn whether one is ready.
    pub(crate) async fn is_ready(&self) -> bool {
        for Place { served_by, .. } in &self.0 {
            if matches!(tokio::time::timeout(PROBE, served_by.backend().ready(&served_by.model)).await, Ok(Ok(()))) {
                return true;
            }
        }
        false
    }

    /// Asks the servers in turn for the model's tensors.
    pub(crate) async fn describe(&self) -> Option<Description> {
        for Place { served_by, .. } in &self.0 {
            let asked = served_by.backend().describe(&served_by.model);
            if let Ok(Ok(Some(description))) = tokio::time::timeout(PROBE, asked).await {
                return Some(description);
            }
        }
        None
    }

    /// Each server of the model.
    pub(crate) fn each(&self) -> impl Iterator<Item = &ServedBy> {
        self.0.iter().map(|place| &place.served_by)
    }
}

/// Asks those servers whether they are ready that failed and were left alone long enough, or whose time has come.
pub(crate) async fn check(servers: impl Iterator<Item = &ServedBy>) {
    let mut known: Vec<&Arc<Server>> = Vec::new();
    let mut checks = Vec::new();
    for served_by in servers {
        if !known.iter().any(|server| Arc::ptr_eq(server, &served_by.server)) {
            known.push(&served_by.server);
            checks.push(served_by.server.check(&served_by.model));
        }
    }
    futures_util::future::join_all(checks).await;
}

/// One request that is under way at a server.
pub(crate) struct Entered {
    server: Arc<Server>,
    asked: Option<Try>,
}

impl Entered {
    /// Begins one; none if the server is to be left alone after all.
    pub(crate) fn at(served_by: &ServedBy) -> Option<Self> {
        let server = served_by.server.clone();
        let asked = Some(server.breaker.enter(Instant::now())?);
        server.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Self { server, asked })
    }

    /// Whether the server has begun to answer. What only this request did not get says nothing of the server.
    pub(crate) fn note<T>(&mut self, answered: &Result<T, BackendError>) {
        let Some(asked) = self.asked.take() else { return };
        match answered {
            Err(BackendError::Failed { .. } | BackendError::Protocol) if !answered.as_ref().is_err_and(is_down) => {
                asked.stumbled(Instant::now());
            }
            Err(error) if is_down(error) => {
                asked.failed(Instant::now());
                if self.server.breaker.is_open() {
                    tracing::warn!(backend = self.server.label, %error, "the model server is left alone for a while");
                }
            }
            _ => asked.succeeded(),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.server.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether the server is away, whatever it is asked. A 500 may be of one request, a 404 of one model.
fn is_down(error: &BackendError) -> bool {
    matches!(
        error,
        BackendError::Failed { status: 502..=504 }
            | BackendError::Unreachable
            | BackendError::Dropped
            | BackendError::TimedOut
            | BackendError::BrokeOff
    )
}
