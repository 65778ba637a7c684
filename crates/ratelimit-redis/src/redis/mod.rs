//! Buckets in Redis, shared by every process that uses the same server.

mod batch;
mod breaker;
mod denials;
mod link;
mod outage;
mod queue;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Id};

use crate::charge::{Actual, Charge, Held, merge};
use crate::decision::{Decision, Permit, Reservation, Seen, Standing, allowed, denied, standings, too_dear};
use crate::limiter::{BoxFuture, Limiter, LimiterError};
use crate::op::{Act, Done, Op, Slots};
use crate::redis::batch::are_told_apart;
use crate::redis::breaker::Breaker;
use crate::redis::denials::Denials;
use crate::redis::link::{Link, Server};
use crate::redis::outage::Outage;
use crate::redis::queue::Queue;

/// Where Redis is, and how it is asked.
#[non_exhaustive]
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host[:port][/database]` or `redis+unix:///path`.
    pub url: String,
    /// Before every key, so that several users can share a server. Default `rl1:`.
    pub prefix: String,
    /// How long one decision may take; beyond it there is none. Default 50 ms.
    pub deadline: Duration,
    /// Calls under way at once, each with all decisions that waited for it. Default 2.
    pub in_flight: usize,
    /// Whether what was denied is denied again, for at most 50 ms, without asking. Default true.
    pub remember_denials: bool,
    pub(crate) clock: Option<String>,
}

impl RedisConfig {
    /// The server at `url`, with the defaults.
    pub fn new(url: &str) -> Self {
        let (prefix, deadline) = ("rl1:".to_owned(), Duration::from_millis(50));
        Self { url: url.to_owned(), prefix, deadline, in_flight: 2, remember_denials: true, clock: None }
    }

    /// Takes the time from the fields `s` and `us` of a hash in Redis, which a test sets.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn clock(mut self, key: &str) -> Self {
        self.clock = Some(key.to_owned());
        self
    }
}

impl fmt::Debug for RedisConfig {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// A limiter whose buckets are in Redis: exact over all processes that share them.
///
/// Decisions that wait are sent together, in one script call, over one long-lived connection that all
/// callers share. Time is the server's own. A bucket with all its quotas is one key, which expires when the
/// bucket is full. What was denied is denied again without asking, for at most 50 ms.
///
/// A decision that outlives its deadline is left to each quota's [`OnOutage`](crate::OnOutage), and never
/// asked again: it may have been made. What it took is given back when the answer comes after all.
pub struct RedisLimiter {
    server: Arc<Server>,
    in_flight: usize,
    /// One for each runtime that asks, so that no decision wakes another's threads.
    queues: Mutex<HashMap<Id, Queue>>,
    breaker: Arc<Breaker>,
    denials: Option<Denials>,
    outage: Outage,
    permits: AtomicU64,
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiter").field("prefix", &self.server.prefix).finish_non_exhaustive()
    }
}

impl RedisLimiter {
    /// Connects. Each Tokio runtime that asks has a connection and tasks of its own, made at its first
    /// decision.
    ///
    /// # Errors
    /// [`LimiterError::Settings`] for an address that is none, [`LimiterError::Unavailable`] when
    /// nobody answers within a second.
    pub async fn connect(config: &RedisConfig) -> Result<Self, LimiterError> {
        let server = Arc::new(Server::new(config)?);
        let link = Link::new(server.clone());
        let asked = tokio::time::timeout(Duration::from_secs(1), link.connection()).await;
        asked.map_err(|_| LimiterError::Unavailable)??;
        Ok(Self {
            server,
            in_flight: config.in_flight,
            queues: Mutex::default(),
            breaker: Arc::default(),
            denials: config.remember_denials.then(Denials::default),
            outage: Outage::default(),
            // Permits of different processes must differ.
            permits: AtomicU64::new(RandomState::new().hash_one(0)),
        })
    }

    /// The queue of the runtime that asks.
    fn queue(&self) -> Result<Queue, LimiterError> {
        let runtime = Handle::try_current().map_err(|_| LimiterError::Unavailable)?.id();
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&runtime).filter(|queue| !queue.is_closed()) {
            return Ok(queue.clone());
        }
        queues.retain(|_, queue| !queue.is_closed());
        let link = Arc::new(Link::new(self.server.clone()));
        let queue = Queue::start(&link, &self.breaker, self.in_flight);
        queues.insert(runtime, queue.clone());
        Ok(queue)
    }

    /// A connection for [`reserve_alone`](Self::reserve_alone).
    #[cfg(feature = "testing")]
    pub fn alone(&self) -> Alone {
        Alone(Link::new(self.server.clone()))
    }

    /// One decision in a call of its own, to measure what waiting together brings.
    ///
    /// # Errors
    /// As [`Limiter::reserve`].
    #[cfg(feature = "testing")]
    pub async fn reserve_alone(&self, charges: &[Charge<'_>], link: &Alone) -> Result<bool, LimiterError> {
        let permit = self.permits.fetch_add(1, Ordering::Relaxed);
        let mut batch = batch::Batch::default();
        let place = batch.push(Op::take(&merge(charges)?, permit)).map_err(|_| LimiterError::Charges)?;
        let answer = link.0.call(&batch).await?;
        Ok(batch.decode(&answer)?.of(place)?.is_taken)
    }

    async fn run(&self, op: Op) -> Result<Done, LimiterError> {
        if !are_told_apart(&op) {
            return Err(LimiterError::Charges);
        }
        // What was used is told in any case.
        if op.act == Act::Take && !self.breaker.may_ask(Instant::now()) {
            return Err(LimiterError::Unavailable);
        }
        let ran = tokio::time::timeout(self.server.deadline, self.queue()?.run(op)).await;
        let done = ran.unwrap_or(Err(LimiterError::Unavailable))?;
        if let Ok(queue) = self.queue() {
            self.outage.tell(|op| queue.tell(op));
        }
        Ok(done)
    }

    async fn take(&self, charges: Vec<Held>) -> Result<Decision, LimiterError> {
        if let Some(too_dear) = too_dear(&charges) {
            return Ok(Decision::NeverFits(too_dear));
        }
        let permit = self.permits.fetch_add(1, Ordering::Relaxed);
        if charges.is_empty() {
            let seen = Seen { now: 0, used: Vec::new() };
            return Ok(allowed(charges, &seen, Permit::Shared(permit)));
        }
        let asked_at = Instant::now();
        if let Some(denial) = self.denials.as_ref().and_then(|denials| denials.find(&charges, asked_at)) {
            return Ok(Decision::Deny(denial));
        }
        match self.run(Op::take(&charges, permit)).await {
            Ok(Done { is_taken: true, seen }) => Ok(allowed(charges, &seen, Permit::Shared(permit))),
            Ok(Done { is_taken: false, seen }) => {
                let denial = denied(&charges, &seen);
                if let Some(denials) = &self.denials {
                    denials.note(&charges, &denial, &seen.used, asked_at);
                }
                Ok(Decision::Deny(denial))
            }
            Err(LimiterError::Unavailable) => self.outage.decide(charges),
            Err(error) => Err(error),
        }
    }

    async fn replace(
        &self,
        held: &Reservation,
        actual: impl Fn(&Held) -> u64,
        slots: Slots,
    ) -> Result<(), LimiterError> {
        let Permit::Shared(permit) = held.permit else {
            self.outage.replace(held, actual, slots);
            return Ok(());
        };
        let op = Op::replace(&held.held, actual, slots, permit);
        if op.is_idle() { Ok(()) } else { self.run(op).await.map(drop) }
    }
}

/// A connection on which every decision is a call of its own.
#[cfg(feature = "testing")]
pub struct Alone(Link);

impl Limiter for RedisLimiter {
    fn reserve<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        Box::pin(async move { self.take(merge(charges)?).await })
    }

    fn charge<'a>(&'a self, held: &'a mut Reservation, so_far: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        Box::pin(async move {
            let told = self.replace(held, |held| so_far.of(held), Slots::Renew).await;
            // Also without an answer: it may have run, and is never told twice.
            held.note(so_far);
            told
        })
    }

    fn settle<'a>(&'a self, held: Reservation, actual: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        Box::pin(async move { self.replace(&held, |held| actual.of(held), Slots::Release).await })
    }

    fn cancel(&self, held: Reservation) -> BoxFuture<'_, Result<(), LimiterError>> {
        Box::pin(async move { self.replace(&held, |_| 0, Slots::Release).await })
    }

    fn penalize<'a>(&'a self, charges: &'a [Charge<'a>], wait: Duration) -> BoxFuture<'a, Result<(), LimiterError>> {
        Box::pin(async move { self.run(Op::penalize(&merge(charges)?, wait)).await.map(drop) })
    }

    fn peek<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Vec<Standing>, LimiterError>> {
        Box::pin(async move {
            let merged = merge(charges)?;
            if merged.is_empty() {
                return Ok(Vec::new());
            }
            let done = self.run(Op::look(&merged)).await?;
            Ok(standings(&merged, &done.seen))
        })
    }
}
