//! The master, as the sentinels know it: asked for every connection, and every half second while there are calls,
//! because a master that was replaced on purpose goes on answering for a while.
//!
//! redis has a client for sentinels, too. It asks one after the other, and waits a second for each that is gone;
//! a machine that died with a master and a sentinel would cost that second. Here all are asked at once.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool_redis::Pool;
use futures_util::StreamExt as _;
use futures_util::future::select_ok;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisError};

use crate::PlaceError;
use crate::address::Host;
use crate::node::{connect, pool};

/// Between two looks at who is the master.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// Answers in a row that may know an older master only.
const OLDER: u32 = 6;
/// How long other sentinels may take after the first, which may not have heard of the newest master.
const OTHERS: Duration = Duration::from_millis(20);

pub(crate) struct Sentinels {
    sentinels: Vec<Sentinel>,
    name: String,
    server: Host,
    seen: Mutex<Seen>,
}

struct Sentinel {
    pool: Pool,
    connection: Mutex<Option<MultiplexedConnection>>,
}

struct Seen {
    master: Option<(String, u16)>,
    /// How often it changed.
    turn: u64,
    /// The newest change that a sentinel has told of, and how many answers since then knew an older one only.
    epoch: u64,
    older: u32,
    at: Instant,
}

impl Sentinels {
    pub(crate) fn new(sentinels: &[Host], name: String, server: Host) -> Result<Self, PlaceError> {
        let sentinel = |host| Ok(Sentinel { pool: pool(host)?, connection: Mutex::default() });
        let sentinels: Result<Vec<Sentinel>, PlaceError> = sentinels.iter().map(sentinel).collect();
        let seen = Mutex::new(Seen { master: None, turn: 0, epoch: 0, older: 0, at: Instant::now() });
        Ok(Self { sentinels: sentinels?, name, server, seen })
    }

    /// A connection to the master, if it says itself that it is, and the turn in which it is.
    pub(crate) async fn connect(&self) -> Result<(u64, MultiplexedConnection), PlaceError> {
        let (turn, place) = self.look().await?;
        let mut master = connect(&pool(&self.server.at(&place))?).await?;
        // Sentinels that were cut off name an old master, which may be a replica now.
        let role: Result<Vec<redis::Value>, _> = redis::cmd("ROLE").query_async(&mut master).await;
        let role = role.map_err(|error| PlaceError::from(&error))?;
        let role = role.into_iter().next().and_then(|role| redis::from_redis_value::<String>(role).ok());
        if role.as_deref() == Some("master") { Ok((turn, master)) } else { Err(PlaceError::Unavailable) }
    }

    /// How often the master changed, as far as that is known: connections of an earlier turn lead elsewhere.
    pub(crate) fn turn(&self) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).turn
    }

    /// Whether it is time to look again; only the first who asks is told so.
    pub(crate) fn is_due(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = seen.at.elapsed() >= BETWEEN_LOOKS;
        if is_due {
            seen.at = Instant::now();
        }
        is_due
    }

    /// Where the master is, as the sentinel says that has heard the latest, and how often it changed.
    pub(crate) async fn look(&self) -> Result<(u64, (String, u16)), PlaceError> {
        let mut asked: FuturesUnordered<_> = self.sentinels.iter().map(|sentinel| sentinel.ask(&self.name)).collect();
        let (mut best, mut worst) = (None, PlaceError::Unavailable);
        while let Some(said) = asked.next().await {
            match said {
                Ok(said) => {
                    best = Some(said);
                    break;
                }
                Err(error) if error != PlaceError::Unavailable => worst = error,
                Err(_) => {}
            }
        }
        let others = async {
            while let Some(said) = asked.next().await {
                best = best.take().max(said.ok());
            }
        };
        let _ = tokio::time::timeout(OTHERS, others).await;
        let (epoch, place) = best.ok_or(worst)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Sentinels that were cut off know an older master. If nobody knows of a newer one for a while, as after
        // the sentinels were set up anew, they are right.
        if epoch < seen.epoch && seen.older < OLDER {
            seen.older += 1;
            if let Some(known) = seen.master.clone() {
                return Ok((seen.turn, known));
            }
        }
        (seen.epoch, seen.older) = (epoch, 0);
        if seen.master.as_ref() != Some(&place) {
            seen.master = Some(place.clone());
            seen.turn += 1;
        }
        Ok((seen.turn, place))
    }
}

impl Sentinel {
    /// The master, and the number of the change that made it so.
    async fn ask(&self, name: &str) -> Result<(u64, (String, u16)), PlaceError> {
        let known = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(connection) = known
            && let Ok(said) = self.ask_on(connection, name).await
        {
            return Ok(said);
        }
        self.ask_on(connect(&self.pool).await?, name).await
    }

    async fn ask_on(
        &self,
        mut connection: MultiplexedConnection,
        name: &str,
    ) -> Result<(u64, (String, u16)), PlaceError> {
        let mut question = Pipeline::with_capacity(2);
        question.cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(name).cmd("SENTINEL").arg("MASTER").arg(name);
        let said = question.query_async(&mut connection).await;
        let (place, facts): (Option<(String, u16)>, Vec<String>) = said.map_err(|error: RedisError| {
            let is_unknown = error.clone().into_server_errors().is_some_and(|said| {
                said.iter().any(|(_, said)| said.details().is_some_and(|text| text.contains("No such master")))
            });
            if is_unknown { PlaceError::UnknownMaster } else { PlaceError::from(&error) }
        })?;
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        // One that does not know the name, as when it has just started.
        let place = place.ok_or(PlaceError::Unavailable)?;
        let (facts, _) = facts.as_chunks::<2>();
        let fact = |name: &str| facts.iter().find(|[key, _]| key == name).map(|[_, value]| value.as_str());
        let epoch = fact("config-epoch").and_then(|epoch| epoch.parse::<u64>().ok()).unwrap_or_default();
        // It names the next master before it counts the change.
        let is_changing = fact("flags").is_some_and(|flags| flags.contains("failover_in_progress"));
        Ok((epoch + u64::from(is_changing), place))
    }
}

/// The first that succeeds; else why one did not, refusals before absence.
pub(crate) async fn first<T, F>(tries: impl Iterator<Item = F>) -> Result<T, PlaceError>
where
    F: Future<Output = Result<T, PlaceError>>,
{
    let worst = Mutex::new(PlaceError::Unavailable);
    let noted = tries.map(|one| {
        let worst = &worst;
        Box::pin(async move {
            one.await.inspect_err(|error| {
                if *error != PlaceError::Unavailable {
                    *worst.lock().unwrap_or_else(PoisonError::into_inner) = *error;
                }
            })
        })
    });
    let noted: Vec<_> = noted.collect();
    if noted.is_empty() {
        return Err(PlaceError::Unavailable);
    }
    let made = select_ok(noted).await.map(|(made, _)| made);
    made.map_err(|_| *worst.lock().unwrap_or_else(PoisonError::into_inner))
}
