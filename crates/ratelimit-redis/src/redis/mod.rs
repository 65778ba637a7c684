//! Buckets in Redis, shared by every process that uses the same server.

mod across;
#[cfg(feature = "testing")]
mod alone;
mod batch;
mod breaker;
mod config;
mod denials;
mod groups;
mod keys;
mod link;
mod outage;
mod queue;
mod takes;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::RedisError;
use redis_place::PlaceError;
use tokio::runtime::{Handle, Id};

use crate::charge::{Actual, Charge, Held, merge};
use crate::decision::{Decision, Permit, Reservation, Seen, Standing, allowed, denied, too_dear};
use crate::limiter::{BoxFuture, Limiter, LimiterError};
use crate::op::{Act, Done, Op, Slots};
use crate::quota::Quota;
use crate::redis::across::standings_across;
use crate::redis::batch::{Batch, leaves_tags};
use crate::redis::breaker::Breaker;
use crate::redis::denials::Denials;
use crate::redis::groups::{same_slot, slot_in};
use crate::redis::link::{Link, Server};
use crate::redis::outage::Outage;
use crate::redis::queue::Queue;

#[cfg(feature = "testing")]
pub use alone::Alone;
pub use config::RedisConfig;
pub use redis_place::RedisTls;

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
    runtimes: Mutex<HashMap<Id, Lanes>>,
    denials: Option<Denials>,
    outage: Outage,
    permits: AtomicU64,
}

/// The ways of one runtime, so that no decision wakes another's threads.
struct Lanes {
    link: Arc<Link>,
    /// By the number of their server.
    lanes: HashMap<usize, Lane>,
}

/// The way to one server.
#[derive(Clone)]
struct Lane {
    breaker: Arc<Breaker>,
    queue: Queue,
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiter").field("prefix", &self.server.prefix).finish_non_exhaustive()
    }
}

impl RedisLimiter {
    /// Connects, and tries whether the user may do what is needed, on keys that are gone two seconds later. Each
    /// Tokio runtime that asks has connections and tasks of its own, made at its first decision.
    ///
    /// # Errors
    /// [`LimiterError::Settings`] for settings that cannot be used, [`LimiterError::Refused`] for a user who may
    /// not, [`LimiterError::Untrusted`] for a certificate, [`LimiterError::Unavailable`] when nobody answers
    /// within a second.
    pub async fn connect(config: &RedisConfig) -> Result<Self, LimiterError> {
        let server = Arc::new(Server::new(config)?);
        let link = Arc::new(Link::new(server.clone()));
        let asked = async {
            link.learn().await?;
            // On a clock that a test moves there may be no time yet.
            if config.clock.is_none() { probe(&link, &server).await } else { Ok(()) }
        };
        tokio::time::timeout(Duration::from_secs(1), asked).await.map_err(|_| LimiterError::Unavailable)??;
        Ok(Self {
            outage: Outage::new(server.clone()),
            server,
            in_flight: config.in_flight,
            runtimes: Mutex::default(),
            denials: config.remember_denials.then(Denials::default),
            // Permits of different processes must differ.
            permits: AtomicU64::new(RandomState::new().hash_one(0)),
        })
    }

    /// The way from the runtime that asks to the server of a slot.
    fn lane(&self, slot: u16) -> Result<Lane, LimiterError> {
        let runtime = Handle::try_current().map_err(|_| LimiterError::Unavailable)?.id();
        let node = self.server.place.node(slot);
        let mut runtimes = self.runtimes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = node.as_ref().and_then(|node| runtimes.get(&runtime)?.lanes.get(&node.number()));
        if let Some(lane) = known.filter(|lane| !lane.queue.is_closed()) {
            return Ok(lane.clone());
        }
        // Those of runtimes that are gone.
        runtimes.retain(|_, lanes| lanes.lanes.values().all(|lane| !lane.queue.is_closed()));
        let fresh = || Lanes { link: Arc::new(Link::new(self.server.clone())), lanes: HashMap::new() };
        let Lanes { link, lanes } = runtimes.entry(runtime).or_insert_with(fresh);
        let Some(node) = node else {
            // A slot without a server, or one that is not known yet.
            link.look_around();
            return Err(LimiterError::Unavailable);
        };
        // Those to servers that left the cluster.
        let known = self.server.place.numbers();
        lanes.retain(|number, _| known.contains(number));
        link.keep(&known);
        let breaker = self.server.breaker(&node, &known);
        let queue = Queue::start(link, &node, &breaker, self.in_flight);
        let lane = Lane { breaker, queue };
        lanes.insert(node.number(), lane.clone());
        Ok(lane)
    }

    async fn run(&self, op: Op, slot: u16) -> Result<Done, LimiterError> {
        self.run_in(&self.lane(slot)?, op, slot).await
    }

    async fn run_in(&self, lane: &Lane, op: Op, slot: u16) -> Result<Done, LimiterError> {
        if !leaves_tags(&op) {
            return Err(LimiterError::Charges);
        }
        // What was used is told in any case.
        if op.act == Act::Take && !lane.breaker.may_ask(Instant::now()) {
            return Err(LimiterError::Unavailable);
        }
        let ran = tokio::time::timeout(self.server.deadline, lane.queue.run(op, slot)).await;
        let done = ran.unwrap_or(Err(LimiterError::Unavailable))?;
        self.outage.tell(slot, |op| lane.queue.tell(op, slot));
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
        let Some(slot) = same_slot(&self.server.place, &charges) else {
            return self.take_across(charges, permit).await;
        };
        match self.run(Op::take(&charges, permit), slot).await {
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
        let op = |charges: &[Held]| Some(Op::replace(charges, &actual, slots, permit)).filter(|op| !op.is_idle());
        let replaced = match same_slot(&self.server.place, &held.held) {
            Some(slot) => match op(&held.held) {
                Some(op) => self.run(op, slot).await.map(drop),
                None => Ok(()),
            },
            None => self.run_across(&held.held, op).await.map(drop),
        };
        if let Some(denials) = &self.denials {
            denials.forget(held.held.iter().filter(|held| actual(held) < held.cost));
        }
        replaced
    }
}

/// Takes from a bucket without a name, and gives back. Where all is on one server, also from one that a cluster
/// would have in another slot: its nodes refuse that.
async fn probe(link: &Arc<Link>, server: &Server) -> Result<(), LimiterError> {
    let slots = Quota::at_once(NonZeroU32::MAX, Duration::from_millis(1));
    // Not full again at once: giving back has something to do.
    let quota = Quota::per_minute(NonZeroU32::new(60).unwrap_or(NonZeroU32::MIN)).burst(NonZeroU32::MAX);
    let other = if server.place.is_cluster() { "" } else { "probe" };
    let charges = [Charge::new("", "slots", slots, 1), Charge::new(other, "probe", quota, 1)];
    let take = Op::take(&merge(&charges)?, RandomState::new().hash_one(0));
    let (mut taking, mut undoing) = (Batch::default(), Batch::default());
    let is_ready = undoing.push(take.undo()).is_ok() && taking.push(take).is_ok();
    if is_ready { link.probe(slot_in(&server.place, ""), &taking, &undoing).await } else { Err(LimiterError::Charges) }
}

/// Why a place is of no use, as an error of the limiter.
fn of_place(error: PlaceError) -> LimiterError {
    match error {
        PlaceError::Refused => LimiterError::Refused,
        PlaceError::Untrusted => LimiterError::Untrusted,
        PlaceError::Settings(reason) => LimiterError::Settings(reason),
        PlaceError::UnknownMaster => LimiterError::UnknownMaster,
        _ => LimiterError::Unavailable,
    }
}

/// Why a server is of no use.
fn reason(error: &RedisError) -> LimiterError {
    of_place(PlaceError::from(error))
}

impl Limiter for RedisLimiter {
    fn reserve<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        Box::pin(async move { self.take(merge(charges)?).await })
    }

    fn charge<'a>(&'a self, held: &'a mut Reservation, so_far: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        Box::pin(async move {
            let told = self.replace(held, |held| so_far.of(held), Slots::Renew).await;
            // Without an answer it may have run, and is never told twice.
            if told.is_ok() {
                held.note(so_far)
            } else {
                held.doubt(so_far)
            }
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
        Box::pin(async move {
            let op = |charges: &[Held]| Some(Op::penalize(charges, wait));
            self.run_across(&merge(charges)?, op).await.map(drop)
        })
    }

    fn peek<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Vec<Standing>, LimiterError>> {
        Box::pin(async move {
            let merged = merge(charges)?;
            if merged.is_empty() {
                return Ok(Vec::new());
            }
            let seen = self.run_across(&merged, |charges| Some(Op::look(charges))).await?;
            Ok(standings_across(&seen))
        })
    }
}
