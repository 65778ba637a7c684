//! The open account of one admitted request: what it holds, and what will be recorded of it.
//!
//! A ticket is closed by being told how the request ended, or by being dropped, which says that the
//! caller left. Closing only puts a note into a queue whose place was kept when the ticket opened,
//! so it neither waits nor fails; the closer task settles and records.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use audit::{Ended, Log, Outcome, Record};
use core_validate::Usage;
use futures_util::FutureExt as _;
use ratelimit_redis::{Actual, Limiter, Reservation};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

use crate::about::{About, unix_millis};
use crate::metrics::Metrics;
use crate::refusals::Refusals;

/// Requests that may be open at once.
const OPEN: usize = 16_384;

/// Most tokens that are believed of one request, each way.
const MOST_TOKENS: u64 = 10_000_000;

/// How a request ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct End {
    pub(crate) ended: Option<Ended>,
    pub(crate) status: u16,
    pub(crate) code: Option<&'static str>,
}

/// What a request has used so far. Kept up to date by the steps that know.
#[derive(Debug, Clone, Default)]
pub(crate) struct Used {
    pub(crate) is_sent: bool,
    pub(crate) is_intended: bool,
    pub(crate) input_estimate: u64,
    pub(crate) output_estimate: u64,
    pub(crate) reported: Option<Usage>,
    pub(crate) backend: Option<String>,
    pub(crate) output_bytes: u64,
    pub(crate) output_digest: String,
    pub(crate) first_byte_ms: Option<u64>,
}

impl Used {
    /// What the backend reported, else the estimate of what was read and seen. No request uses more
    /// than [`MOST_TOKENS`] each way: a broken server cannot put a key into debt for ever.
    pub(crate) fn tokens(&self) -> Usage {
        if !self.is_sent {
            return Usage::default();
        }
        let estimate = Usage { input_tokens: self.input_estimate, output_tokens: self.output_estimate };
        let Usage { input_tokens, output_tokens } = self.reported.unwrap_or(estimate);
        Usage { input_tokens: input_tokens.min(MOST_TOKENS), output_tokens: output_tokens.min(MOST_TOKENS) }
    }
}

pub(crate) struct Ticket {
    pub(crate) about: About,
    pub(crate) used: Used,
    open: Option<(Reservation, mpsc::OwnedPermit<Note>)>,
    /// The room that a large body takes; given back with the ticket.
    room: Option<OwnedSemaphorePermit>,
}

/// What the closer works on.
pub(crate) struct Note {
    about: About,
    used: Used,
    end: End,
    latency_ms: u64,
    held: Reservation,
}

impl Ticket {
    /// Lends the body's room to work that may outlive the ticket.
    pub(crate) fn take_room(&mut self) -> Option<OwnedSemaphorePermit> {
        self.room.take()
    }

    /// Takes it back.
    pub(crate) fn keep_room(&mut self, room: Option<OwnedSemaphorePermit>) {
        self.room = room;
    }

    /// Gives the body's room back: it is no longer kept.
    pub(crate) fn leave_room(&mut self) {
        self.room = None;
    }

    /// Tells how the request ended.
    pub(crate) fn close(mut self, end: End) {
        self.send(end);
    }

    fn send(&mut self, end: End) {
        if let Some((held, permit)) = self.open.take() {
            let used = std::mem::take(&mut self.used);
            let latency_ms = millis(&self.about);
            permit.send(Note { about: self.about.clone(), used, end, latency_ms, held });
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.send(End { ended: Some(Ended::HungUp), status: 499, code: Some("client_left") });
    }
}

/// Opens tickets and closes them in the background.
pub(crate) struct Tickets {
    sender: mpsc::Sender<Note>,
    stop: Arc<Notify>,
}

impl Tickets {
    /// Keeps a place in the queue; `None` when too many requests are open.
    pub(crate) fn place(&self) -> Option<mpsc::OwnedPermit<Note>> {
        self.sender.clone().try_reserve_owned().ok()
    }

    pub(crate) fn open(
        about: About,
        held: Reservation,
        input_estimate: u64,
        place: mpsc::OwnedPermit<Note>,
        room: Option<OwnedSemaphorePermit>,
    ) -> Ticket {
        let used = Used { input_estimate, ..Used::default() };
        Ticket { about, used, open: Some((held, place)), room }
    }

    /// Opens no more tickets. The closer ends once those that are open are closed.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    /// Tickets, and the task that closes them.
    pub(crate) fn start(
        limiter: Arc<dyn Limiter>,
        log: Log,
        metrics: Metrics,
        refusals: Arc<Refusals>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(OPEN);
        let closer = Closer { limiter, log, metrics, refusals };
        let stop = Arc::<Notify>::default();
        (Self { sender, stop: stop.clone() }, tokio::spawn(closer.run(receiver, stop)))
    }
}

struct Closer {
    limiter: Arc<dyn Limiter>,
    log: Log,
    metrics: Metrics,
    refusals: Arc<Refusals>,
}

impl Closer {
    async fn run(self, mut notes: mpsc::Receiver<Note>, stop: Arc<Notify>) {
        let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = notes.recv_many(&mut batch, 256) => {
                    if count == 0 {
                        break;
                    }
                    futures_util::future::join_all(batch.drain(..).map(|note| self.close_surely(note))).await;
                }
                _ = tick.tick() => self.refusals.flush(&self.log, &self.metrics).await,
                () = stop.notified() => notes.close(),
            }
        }
        self.refusals.flush(&self.log, &self.metrics).await;
    }

    /// A panic over one request must not take the closer away from all others.
    async fn close_surely(&self, note: Note) {
        if AssertUnwindSafe(self.close(note)).catch_unwind().await.is_err() {
            self.metrics.audit_failed();
            tracing::error!("a request is not closed");
        }
    }

    async fn close(&self, note: Note) {
        let Note { about, used, end, latency_ms, held } = note;
        let tokens = used.tokens();
        let settled = if used.is_sent {
            let actual = Actual::as_charged().unit("tokens", tokens.input_tokens + tokens.output_tokens);
            self.limiter.settle(held, &actual).await
        } else if end.ended == Some(Ended::Blocked) {
            // Nothing was computed, but looking for what passes must not be free.
            self.limiter.settle(held, &Actual::as_charged().unit("tokens", 0)).await
        } else {
            self.limiter.cancel(held).await
        };
        if let Err(error) = settled {
            tracing::warn!(request_id = about.request_id, %error, "charge stays as reserved");
        }
        self.metrics.ended(&about, &used, &end, latency_ms);
        log_line(&about, &used, &end, latency_ms);
        if used.is_intended {
            let record = Record::Outcome(outcome(about, used, end, latency_ms));
            if let Err(error) = self.log.append(&record).await {
                self.metrics.audit_failed();
                tracing::error!(%error, "outcome is not recorded");
            }
        }
    }
}

fn log_line(about: &About, used: &Used, end: &End, latency_ms: u64) {
    let tokens = used.tokens();
    tracing::info!(
        request_id = about.request_id,
        operation = about.operation_word(),
        model = about.model.as_ref().map(|model| model.as_str()),
        key = about.principal.as_ref().map(|principal| principal.key_id().to_string()),
        status = end.status,
        code = end.code,
        backend = used.backend,
        input_tokens = tokens.input_tokens,
        output_tokens = tokens.output_tokens,
        latency_ms,
        "request ended"
    );
}

/// From the arrival of the request until now.
fn millis(about: &About) -> u64 {
    u64::try_from(about.started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn outcome(about: About, used: Used, end: End, latency_ms: u64) -> Outcome {
    let tokens = used.tokens();
    let mut outcome = Outcome::new(about.request_id.clone(), unix_millis());
    outcome.who = about.who();
    outcome.status = end.status;
    outcome.code = end.code.map(str::to_owned);
    outcome.ended = end.ended.unwrap_or(Ended::Complete);
    outcome.latency_ms = latency_ms;
    outcome.backend = used.backend;
    outcome.input_tokens = tokens.input_tokens;
    outcome.output_tokens = tokens.output_tokens;
    outcome.first_byte_ms = used.first_byte_ms;
    outcome.output_bytes = used.output_bytes;
    outcome.output_digest = used.output_digest;
    outcome.findings = about.findings;
    outcome
}
