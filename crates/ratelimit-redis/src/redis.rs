//! Buckets in Redis, shared by every process that uses the same server.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::{Config, Connection, Pool, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind};

use crate::bucket::Bucket;
use crate::limiter::{
    Actual, BoxFuture, Charge, Decision, Denial, Held, Limiter, LimiterError, Reservation, Standing, TooDear,
};

/// The whole arithmetic of a call, on the server and by its clock.
const SCRIPT: &str = include_str!("bucket.lua");

/// Where Redis is.
#[non_exhaustive]
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user:password@]host[:port][/database]` or `redis+unix:///path`.
    pub url: String,
    /// Before every key, so that several users can share a server. Default `rl1:`.
    pub prefix: String,
    /// How long one call may take; beyond it there is no decision. Default 50 ms.
    pub deadline: Duration,
}

impl RedisConfig {
    /// The server at `url`, with the defaults.
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), prefix: "rl1:".to_owned(), deadline: Duration::from_millis(50) }
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
/// One script call a decision, over one long-lived connection that all callers share. Time is the
/// server's own. A key is at most 16 bytes of value with an expiry, and absent when its bucket is full.
///
/// A call that outlives its deadline is [`LimiterError::Unavailable`] and is never sent again: it may
/// have run. Redis Cluster is not supported yet: the buckets of a call must be on one server.
pub struct RedisLimiter {
    pool: Pool,
    connection: Mutex<Option<MultiplexedConnection>>,
    digest: String,
    prefix: String,
    deadline: Duration,
}

impl fmt::Debug for RedisLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLimiter").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Mode {
    Take,
    Settle,
    Peek,
}

/// What the script said.
struct Answer {
    is_taken: bool,
    /// For each charge: ticks in use, ticks it waits for.
    charges: Vec<(u64, u64)>,
}

impl RedisLimiter {
    /// Connects, and asks the server once.
    ///
    /// # Errors
    /// [`LimiterError::Settings`] for an address that is none, [`LimiterError::Unavailable`] when
    /// nobody answers within a second.
    pub async fn connect(config: &RedisConfig) -> Result<Self, LimiterError> {
        let pool = Config::from_url(&config.url).create_pool(Some(Runtime::Tokio1));
        let limiter = Self {
            pool: pool.map_err(|_| LimiterError::Settings)?,
            connection: Mutex::new(None),
            digest: Script::new(SCRIPT).get_hash().to_owned(),
            prefix: config.prefix.clone(),
            deadline: config.deadline,
        };
        let asked = tokio::time::timeout(Duration::from_secs(1), limiter.connection()).await;
        asked.map_err(|_| LimiterError::Unavailable)??;
        Ok(limiter)
    }

    /// The shared connection; the pool makes a new one after an error.
    async fn connection(&self) -> Result<MultiplexedConnection, LimiterError> {
        if let Some(connection) = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(connection);
        }
        let made = self.pool.get().await.map(Connection::take).map_err(|_| LimiterError::Unavailable)?;
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
        Ok(made)
    }

    /// Lets go of a connection that does not work: the next call asks for a new one, and by it
    /// whoever is the master then.
    fn disconnect(&self) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    async fn run(&self, mode: Mode, charges: &[Charge<'_>], actual: &[u64]) -> Result<Answer, LimiterError> {
        let answered = tokio::time::timeout(self.deadline, self.call(mode, charges, actual)).await;
        match answered {
            Ok(answer) => answer,
            Err(_) => {
                self.disconnect();
                Err(LimiterError::Unavailable)
            }
        }
    }

    async fn call(&self, mode: Mode, charges: &[Charge<'_>], actual: &[u64]) -> Result<Answer, LimiterError> {
        let mut connection = self.connection().await?;
        let by_digest = self.command("EVALSHA", &self.digest, mode, charges, actual);
        let first = by_digest.query_async::<Vec<i64>>(&mut connection).await;
        let reply = match first {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.command("EVAL", SCRIPT, mode, charges, actual).query_async(&mut connection).await
            }
            other => other,
        };
        match reply {
            Ok(reply) => read(&reply, charges.len()),
            Err(error) => {
                if is_of_connection(&error) {
                    self.disconnect();
                }
                Err(LimiterError::Unavailable)
            }
        }
    }

    fn command(&self, name: &str, script: &str, mode: Mode, charges: &[Charge<'_>], actual: &[u64]) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(charges.len());
        for charge in charges {
            command.arg(format!("{}{}:{}", self.prefix, charge.bucket, charge.unit));
        }
        command.arg(match mode {
            Mode::Take => "take",
            Mode::Settle => "settle",
            Mode::Peek => "peek",
        });
        for (i, charge) in charges.iter().enumerate() {
            let window = charge.quota.window();
            let ticks = window.ticks();
            let actual = actual.get(i).copied().unwrap_or(charge.cost);
            // Nothing costs more than a bucket can owe, so every product stays below 2^53.
            let bound = |units: u64| units.min(MOST_UNITS).saturating_mul(ticks).min((1 << 53) - 1);
            command.arg(window.step_micros()).arg(charge.quota.units()).arg(charge.quota.most() * ticks);
            command.arg(bound(charge.cost)).arg(bound(actual.saturating_sub(charge.cost)));
            command.arg(bound(charge.cost.saturating_sub(actual)));
        }
        command
    }

    async fn replace(&self, held: &[Held], actual: &[u64]) -> Result<(), LimiterError> {
        let charges: Vec<Charge<'_>> = held.iter().map(Held::as_charge).collect();
        self.run(Mode::Settle, &charges, actual).await.map(drop)
    }
}

/// Units that one charge may be settled to.
const MOST_UNITS: u64 = u32::MAX as u64;

/// Errors after which the connection is no good, or leads to a server that is not the master.
fn is_of_connection(error: &RedisError) -> bool {
    let is_elsewhere = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
    );
    is_elsewhere || error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}

fn read(reply: &[i64], count: usize) -> Result<Answer, LimiterError> {
    let Some((status, rest)) = reply.split_first() else { return Err(LimiterError::Corrupt) };
    if *status < 0 || rest.len() != 2 * count {
        return Err(LimiterError::Corrupt);
    }
    let number = |value: Option<&i64>| value.and_then(|n| u64::try_from(*n).ok()).unwrap_or(0);
    let charges = rest.chunks_exact(2).map(|pair| (number(pair.first()), number(pair.last()))).collect();
    Ok(Answer { is_taken: *status == 1, charges })
}

fn standing(charge: &Charge<'_>, used: u64) -> Standing {
    let bucket = Bucket::with_used(used);
    Standing {
        unit: charge.unit,
        quota: charge.quota,
        remaining: bucket.left(charge.quota),
        reset_after: charge.quota.wait(bucket.until_more(charge.quota)),
    }
}

impl Limiter for RedisLimiter {
    fn reserve<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        Box::pin(async move {
            if let Some(charge) = charges.iter().find(|charge| charge.cost > charge.quota.most()) {
                let most = charge.quota.most();
                return Ok(Decision::NeverFits(TooDear { unit: charge.unit, cost: charge.cost, most }));
            }
            if charges.is_empty() {
                return Ok(Decision::Allow(Reservation { held: Vec::new(), standings: Vec::new() }));
            }
            let answer = self.run(Mode::Take, charges, &[]).await?;
            let states = charges.iter().zip(&answer.charges);
            let standings = states.clone().map(|(charge, (used, _))| standing(charge, *used)).collect();
            if answer.is_taken {
                return Ok(Decision::Allow(Reservation { held: charges.iter().map(Held::of).collect(), standings }));
            }
            let waits = states.map(|(charge, (_, over))| (charge.quota.wait(*over), charge.unit));
            let (retry_after, unit) = waits.max_by_key(|(wait, _)| *wait).unwrap_or_default();
            Ok(Decision::Deny(Denial { unit, retry_after, standings }))
        })
    }

    fn settle<'a>(&'a self, held: Reservation, actual: &'a Actual) -> BoxFuture<'a, Result<(), LimiterError>> {
        Box::pin(async move {
            let units: Vec<u64> = held.held.iter().map(|held| actual.of(held.unit).unwrap_or(held.cost)).collect();
            if held.held.iter().zip(&units).all(|(held, actual)| held.cost == *actual) {
                return Ok(());
            }
            self.replace(&held.held, &units).await
        })
    }

    fn cancel(&self, held: Reservation) -> BoxFuture<'_, Result<(), LimiterError>> {
        Box::pin(async move {
            if held.held.is_empty() {
                return Ok(());
            }
            self.replace(&held.held, &vec![0; held.held.len()]).await
        })
    }

    fn peek<'a>(&'a self, charges: &'a [Charge<'a>]) -> BoxFuture<'a, Result<Vec<Standing>, LimiterError>> {
        Box::pin(async move {
            if charges.is_empty() {
                return Ok(Vec::new());
            }
            let answer = self.run(Mode::Peek, charges, &[]).await?;
            Ok(charges.iter().zip(&answer.charges).map(|(charge, (used, _))| standing(charge, *used)).collect())
        })
    }
}
