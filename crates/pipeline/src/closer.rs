//! Closes tickets in the background: what they held is settled, whatever the disk is at.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use audit::Ended;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use ratelimit_redis::{Charge, Decision, Limiter, LimiterError};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::about::About;
use crate::cut::{Cut, Cutter};
use crate::metrics::Metrics;
use crate::plan::{Cost, Plan};
use crate::policy::Model;
use crate::refusals::Refusals;
use crate::ticket::{End, Held, Opening, Ticket, Used};
use crate::trail::Trail;

/// Requests that may be open at once.
const OPEN: usize = 16_384;
/// Requests that are closed together, and how long others are waited for.
const TOGETHER: usize = 256;
const PAUSE: Duration = Duration::from_millis(1);
/// How often refusals are handed to the trail.
const FLUSH: Duration = Duration::from_secs(1);
/// How long somebody waits for others to be settled.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long a request that ended at another gateway may take to be settled.
const ELSEWHERE: Duration = Duration::from_millis(5);

/// A closed ticket.
pub(crate) struct Note {
    pub(crate) about: About,
    pub(crate) used: Used,
    pub(crate) end: End,
    pub(crate) latency_ms: u64,
    pub(crate) held: Held,
    pub(crate) plan: Arc<Plan>,
    pub(crate) model: Arc<Model>,
}

enum Message {
    Closed(Box<Note>),
    /// Somebody waits until what was closed before is settled.
    Settled(oneshot::Sender<()>),
}

/// A place in the queue of the closer.
pub(crate) struct Place {
    permit: mpsc::OwnedPermit<Message>,
    unsettled: Arc<AtomicUsize>,
}

impl Place {
    pub(crate) fn send(self, note: Note) {
        self.unsettled.fetch_add(1, Ordering::Relaxed);
        self.permit.send(Message::Closed(Box::new(note)));
    }
}

/// Opens tickets and closes them in the background.
pub(crate) struct Tickets {
    limiter: Arc<dyn Limiter>,
    trail: Trail,
    sender: mpsc::Sender<Message>,
    /// Tickets that are closed and not settled yet.
    unsettled: Arc<AtomicUsize>,
    stop: Arc<Notify>,
    cutter: Cutter,
    cut: Cut,
}

impl Tickets {
    /// Tickets, and the task that closes them, and hands refusals to the trail meanwhile.
    pub(crate) fn start(
        limiter: Arc<dyn Limiter>,
        trail: Trail,
        metrics: Metrics,
        refusals: Arc<Refusals>,
    ) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(OPEN);
        let (unsettled, stop) = (Arc::<AtomicUsize>::default(), Arc::<Notify>::default());
        let closer = Closer { limiter: limiter.clone(), metrics, unsettled: unsettled.clone() };
        let (closing, kept_in) = (closer.run(receiver, stop.clone()), trail.clone());
        let closer = tokio::spawn(async move {
            let recording = async {
                let mut ticks = tokio::time::interval(FLUSH);
                loop {
                    ticks.tick().await;
                    refusals.flush(&kept_in);
                }
            };
            tokio::select! {
                () = closing => {}
                () = recording => {}
            }
            refusals.flush(&kept_in);
        });
        let (cutter, cut) = Cutter::new();
        (Self { limiter, trail, sender, unsettled, stop, cutter, cut }, closer)
    }

    /// Keeps a place in the queue; `None` when too many requests are open.
    pub(crate) fn place(&self) -> Option<Place> {
        let permit = self.sender.clone().try_reserve_owned().ok()?;
        Some(Place { permit, unsettled: self.unsettled.clone() })
    }

    pub(crate) fn open(&self, opening: Opening, place: Place, room: Option<OwnedSemaphorePermit>) -> Ticket {
        Ticket::open(opening, self.limiter.clone(), self.trail.clone(), place, room, self.cut.clone())
    }

    /// Takes all charges or none. A caller who asks again as soon as an answer is there must not find its cost
    /// still reserved: what is refused is tried once more, when what has ended is settled.
    pub(crate) async fn reserve(&self, charges: &[Charge<'_>]) -> Result<Decision, LimiterError> {
        let is_unsettled = || self.unsettled.load(Ordering::Relaxed) > 0;
        let was_unsettled = is_unsettled();
        let decision = self.limiter.reserve(charges).await;
        match &decision {
            Ok(Decision::Deny(denial)) if denial.is_outage() => return decision,
            Ok(Decision::Deny(_)) if is_unsettled() => self.settled().await,
            Ok(Decision::Deny(_)) if was_unsettled => {}
            Ok(Decision::Deny(denial)) if denial.is_of_slots() => tokio::time::sleep(ELSEWHERE).await,
            _ => return decision,
        }
        self.limiter.reserve(charges).await
    }

    /// Waits, not for long, until what is closed is settled.
    async fn settled(&self) {
        let (done, settled) = oneshot::channel();
        if self.sender.try_send(Message::Settled(done)).is_ok() {
            let _ = tokio::time::timeout(PATIENCE, settled).await;
        }
    }

    /// Ends the requests whose answers are still being waited for.
    pub(crate) fn cut(&self) {
        self.cutter.cut();
    }

    /// Opens no more tickets. The closer ends once those that are open are closed.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }
}

struct Closer {
    limiter: Arc<dyn Limiter>,
    metrics: Metrics,
    unsettled: Arc<AtomicUsize>,
}

impl Closer {
    async fn run(self, mut messages: mpsc::Receiver<Message>, stop: Arc<Notify>) {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                count = messages.recv_many(&mut batch, TOGETHER) => {
                    if count == 0 {
                        break;
                    }
                    self.close(batch.drain(..)).await;
                    if count < TOGETHER {
                        // Nobody waits for it, and each that is woken for costs those who serve.
                        tokio::time::sleep(PAUSE).await;
                    }
                }
                () = stop.notified() => messages.close(),
            }
        }
    }

    async fn close(&self, messages: impl Iterator<Item = Message>) {
        let (mut closed, mut waiting) = (Vec::new(), Vec::new());
        for message in messages {
            match message {
                Message::Closed(note) => closed.push(surely(self.settle(*note))),
                Message::Settled(done) => waiting.push(done),
            }
        }
        let count = closed.len();
        join_all(closed).await;
        self.unsettled.fetch_sub(count, Ordering::Relaxed);
        for done in waiting {
            // Whoever has left does not wait any more.
            let _ = done.send(());
        }
    }

    async fn settle(&self, note: Note) {
        let Note { about, used, end, latency_ms, held, plan, model } = note;
        let cost = Cost { usage: used.tokens(), price: model.price(), is_under_way: false };
        let settled = match held.take().await {
            // A blocked prompt cost no tokens, nor did an answer that was there; but asking must not be free.
            Some(held) if used.is_sent || end.ended == Some(Ended::Blocked) || end.status == 200 => {
                self.limiter.settle(held, &plan.actual(&cost)).await
            }
            Some(held) => self.limiter.cancel(held).await,
            None => Err(LimiterError::Unavailable),
        };
        if let Err(error) = settled {
            tracing::warn!(request_id = about.request_id, %error, "charge stays as reserved");
        }
        if let Some(reported) = used.reported.filter(|_| used.is_sent) {
            model.history().learn(used.estimate, reported);
            self.metrics.estimated(&about, used.corrected, reported);
        }
        self.metrics.ended(&about, &used, &cost, &end, latency_ms);
        log_line(&about, &used, &end, latency_ms);
    }
}

/// A panic over one request must not take its task away from all others.
async fn surely(work: impl Future<Output = ()>) {
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        tracing::error!("a request is not closed");
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
