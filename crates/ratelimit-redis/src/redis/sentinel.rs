//! The master, as the sentinels know it: asked anew for every connection.
//!
//! redis has a client for sentinels, too. It asks one after the other, and waits a second for each that is gone;
//! a machine that died with a master and a sentinel would cost that second. Here all are asked at once.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use deadpool_redis::Pool;
use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;

use crate::LimiterError;
use crate::redis::address::Host;
use crate::redis::place::{connect, pool, reason};

pub(crate) struct Sentinels {
    sentinels: Vec<Pool>,
    name: String,
    server: Host,
}

impl Sentinels {
    pub(crate) fn new(sentinels: Vec<Host>, name: String, server: Host) -> Result<Self, LimiterError> {
        let sentinels: Result<Vec<Pool>, LimiterError> = sentinels.iter().map(pool).collect();
        Ok(Self { sentinels: sentinels?, name, server })
    }

    /// A connection to the master: the first server that a sentinel names and that says so itself.
    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection, LimiterError> {
        first(self.sentinels.iter().map(|sentinel| self.ask(sentinel))).await
    }

    async fn ask(&self, sentinel: &Pool) -> Result<MultiplexedConnection, LimiterError> {
        let mut connection = connect(sentinel).await?;
        let mut question = redis::cmd("SENTINEL");
        question.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.name);
        let place: Option<(String, u16)> =
            question.query_async(&mut connection).await.map_err(|error| reason(&error))?;
        // A sentinel that does not know the name, as one that has just started.
        let place = place.ok_or(LimiterError::Unavailable)?;
        let mut master = connect(&pool(&self.server.at(&place))?).await?;
        // A sentinel that was cut off names the old master, which became a replica.
        let role: Result<Vec<redis::Value>, _> = redis::cmd("ROLE").query_async(&mut master).await;
        let role = role.map_err(|error| reason(&error))?;
        let role = role.into_iter().next().and_then(|role| redis::from_redis_value::<String>(role).ok());
        if role.as_deref() == Some("master") { Ok(master) } else { Err(LimiterError::Unavailable) }
    }
}

/// The first that succeeds; else why one did not, refusals before absence.
pub(crate) async fn first<T, F>(tries: impl Iterator<Item = F>) -> Result<T, LimiterError>
where
    F: Future<Output = Result<T, LimiterError>>,
{
    let worst = Mutex::new(LimiterError::Unavailable);
    let noted = tries.map(|one| {
        let worst = &worst;
        Box::pin(async move {
            one.await.inspect_err(|error| {
                if *error != LimiterError::Unavailable {
                    *worst.lock().unwrap_or_else(PoisonError::into_inner) = *error;
                }
            })
        })
    });
    let noted: Vec<_> = noted.collect();
    if noted.is_empty() {
        return Err(LimiterError::Unavailable);
    }
    let made = select_ok(noted).await.map(|(made, _)| made);
    made.map_err(|_| *worst.lock().unwrap_or_else(PoisonError::into_inner))
}
