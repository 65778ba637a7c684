//! The open account of one admitted request: what it holds, and what will be recorded of it.
//!
//! A ticket is closed by being told how the request ended, or by being dropped, which says that the
//! caller left. Closing hands the outcome to the trail and puts a note into a queue whose place was kept when the ticket
//! opened, so it neither waits nor fails; the closer settles. Whoever has an answer to give waits for the outcome.

use std::sync::Arc;
use std::time::{Duration, Instant};

use audit::{Ended, Outcome, Record, Released};
use core_validate::Usage;
use ratelimit_redis::{Actual, Limiter, Reservation};
use tokio::sync::{Mutex, OwnedSemaphorePermit, oneshot};

use crate::about::{About, unix_millis};
use crate::closer::{Note, Place};
use crate::cut::Cut;
use crate::plan::{Cost, Plan};
use crate::policy::Model;
use crate::trail::{Recorded, Trail};

/// Input tokens that are believed of one request beyond four times the estimate: servers put templates around what is
/// asked, and images are counted in many ways.
const MORE_TOKENS: u64 = 65_536;

/// How long a slot is held by a gateway that died.
pub const LEASE: Duration = Duration::from_secs(30);
/// How often it is looked whether the limiter must be told of a request that is still under way.
const LOOK: Duration = Duration::from_secs(1);
/// How often slots are renewed.
const RENEW: Duration = Duration::from_secs(10);

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
    /// By the bytes that were read and seen.
    pub(crate) estimate: Usage,
    /// The same, corrected by the model's history.
    pub(crate) corrected: Usage,
    pub(crate) reported: Option<Usage>,
    pub(crate) backend: Option<String>,
    pub(crate) output_bytes: u64,
    pub(crate) output_digest: String,
    pub(crate) first_byte_ms: Option<u64>,
    pub(crate) released: Option<Released>,
}

impl Used {
    /// What the backend reported, else the estimate of what was read and seen.
    pub(crate) fn tokens(&self) -> Usage {
        if !self.is_sent {
            return Usage::default();
        }
        self.reported.unwrap_or(self.corrected)
    }
}

pub(crate) struct Ticket {
    pub(crate) about: About,
    pub(crate) used: Used,
    /// Whether a monitor suspects who asks.
    pub(crate) is_suspect: bool,
    open: Option<Open>,
    limiter: Arc<dyn Limiter>,
    trail: Trail,
    looked_at: Instant,
    /// The room that a large body takes; given back with the ticket.
    room: Option<OwnedSemaphorePermit>,
    cut: Cut,
}

/// What a ticket is opened with.
pub(crate) struct Opening {
    pub(crate) about: About,
    pub(crate) held: Reservation,
    pub(crate) plan: Plan,
    pub(crate) model: Arc<Model>,
    pub(crate) estimate: Usage,
    pub(crate) reserved: Usage,
    /// How many answers the model writes.
    pub(crate) choices: u32,
}

struct Open {
    held: Held,
    plan: Arc<Plan>,
    model: Arc<Model>,
    choices: u32,
    /// What the limiter knows of.
    told: Usage,
    place: Place,
    /// Ends the renewal of slots when it is dropped.
    _renewal: Option<oneshot::Sender<()>>,
}

/// What is held. Whoever tells the limiter of it has it locked meanwhile, in a task that a caller who leaves does
/// not stop half way, and nothing is settled before it is done.
#[derive(Clone)]
pub(crate) struct Held(Arc<Mutex<Option<Reservation>>>);

impl Ticket {
    pub(crate) fn open(
        opening: Opening,
        limiter: Arc<dyn Limiter>,
        trail: Trail,
        place: Place,
        room: Option<OwnedSemaphorePermit>,
        cut: Cut,
    ) -> Self {
        let Opening { about, held, plan, model, estimate, reserved: told, choices } = opening;
        let used = Used { estimate, corrected: Usage { output_tokens: 0, ..told }, ..Used::default() };
        let held = Held(Arc::new(Mutex::new(Some(held))));
        let renewal = plan.has_slots().then(|| {
            let (open, closed) = oneshot::channel();
            tokio::spawn(held.clone().renew(limiter.clone(), closed));
            open
        });
        let open = Some(Open { held, plan: Arc::new(plan), model, choices, told, place, _renewal: renewal });
        Self { about, used, is_suspect: false, open, limiter, trail, looked_at: Instant::now(), room, cut }
    }

    /// Takes what a backend says was used, as far as it can be: one that is broken cannot spend a key's budget.
    pub(crate) fn reports(&mut self, usage: Usage) {
        let most_output =
            self.open.as_ref().map_or(0, |open| u64::from(open.model.max_output_tokens()) * u64::from(open.choices));
        let most_input = self.used.estimate.input_tokens.saturating_mul(4).saturating_add(MORE_TOKENS);
        self.used.reported = Some(Usage {
            input_tokens: usage.input_tokens.min(most_input),
            output_tokens: usage.output_tokens.min(most_output),
        });
    }

    /// Notes how many bytes of output were seen so far.
    pub(crate) fn saw(&mut self, bytes: usize) {
        // Four bytes a token, when the server does not say.
        self.used.estimate.output_tokens = bytes.div_ceil(4) as u64;
        if let Some(open) = &self.open {
            self.used.corrected = open.model.history().correct(self.used.estimate);
        }
    }

    /// Hears when the gateway waits no longer.
    pub(crate) fn cut(&self) -> Cut {
        self.cut.clone()
    }

    /// Waits for work, and tells the limiter meanwhile that the request is still under way.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            match tokio::time::timeout(LOOK, &mut work).await {
                Ok(done) => return done,
                Err(_) => self.keep(),
            }
        }
    }

    /// Now and then, tells the limiter of what was used beyond what is held, so that others see it.
    pub(crate) fn keep(&mut self) {
        if self.looked_at.elapsed() < LOOK {
            return;
        }
        self.looked_at = Instant::now();
        let used = self.used.tokens();
        let Some(open) = &mut self.open else { return };
        let more = Usage {
            input_tokens: used.input_tokens.max(open.told.input_tokens),
            output_tokens: used.output_tokens.max(open.told.output_tokens),
        };
        if more == open.told {
            return;
        }
        let cost = Cost { usage: more, price: open.model.price(), is_under_way: true };
        if open.held.tell(self.limiter.clone(), open.plan.actual(&cost)) {
            open.told = more;
        }
    }

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
    pub(crate) fn close(mut self, end: End) -> Recorded {
        self.send(end)
    }

    fn send(&mut self, end: End) -> Recorded {
        let Some(Open { held, plan, model, place, .. }) = self.open.take() else { return Recorded::nothing() };
        let (about, used) = (self.about.clone(), std::mem::take(&mut self.used));
        let latency_ms = u64::try_from(about.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let recorded = match used.is_intended {
            true => self.trail.outcome(&Record::Outcome(outcome(&about, &used, &end, latency_ms))),
            false => Recorded::nothing(),
        };
        place.send(Note { about, used, end, latency_ms, held, plan, model });
        recorded
    }
}

fn outcome(about: &About, used: &Used, end: &End, latency_ms: u64) -> Outcome {
    let tokens = used.tokens();
    let mut outcome = Outcome::new(about.request_id.clone(), unix_millis());
    outcome.who = about.who();
    outcome.status = end.status;
    outcome.code = end.code.map(str::to_owned);
    outcome.ended = end.ended.unwrap_or(Ended::Complete);
    outcome.latency_ms = latency_ms;
    outcome.backend.clone_from(&used.backend);
    outcome.input_tokens = tokens.input_tokens;
    outcome.output_tokens = tokens.output_tokens;
    outcome.first_byte_ms = used.first_byte_ms;
    outcome.output_bytes = used.output_bytes;
    outcome.output_digest.clone_from(&used.output_digest);
    outcome.released.clone_from(&used.released);
    outcome.findings.clone_from(&about.findings);
    outcome
}

impl Held {
    /// Starts a task that tells the limiter what it has cost so far; `false` while another one is at it.
    fn tell(&self, limiter: Arc<dyn Limiter>, so_far: Actual) -> bool {
        let Ok(mut held) = self.0.clone().try_lock_owned() else { return false };
        tokio::spawn(async move {
            if let Some(held) = held.as_mut()
                && let Err(error) = limiter.charge(held, &so_far).await
            {
                tracing::warn!(%error, "a request under way is not charged");
            }
        });
        true
    }

    /// Renews slots until the ticket is closed, whether or not anybody reads the answer meanwhile.
    async fn renew(self, limiter: Arc<dyn Limiter>, mut closed: oneshot::Receiver<()>) {
        while tokio::time::timeout(RENEW, &mut closed).await.is_err() {
            self.tell(limiter.clone(), Actual::as_charged());
        }
    }

    /// What is held, once nobody works with it.
    pub(crate) async fn take(self) -> Option<Reservation> {
        self.0.lock().await.take()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.send(End { ended: Some(Ended::HungUp), status: 499, code: Some("client_left") }).later();
    }
}
