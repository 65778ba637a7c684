//! What was released under differential privacy, kept for all gateways over Redis.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use privacy::distinct::{BoxFuture, QueryDigest};
use privacy::dp::{Told, ToldError, ToldStore};
use redis_place::{Connections, PlaceError, RedisPlace, RedisTls, key_slot};

/// How long a call may take, if nothing else is said.
const DEADLINE: Duration = Duration::from_millis(500);
/// How long an answer is kept: thirty days.
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What all gateways that share a Redis, or a cluster, have released: one key for each question, for thirty days. The
/// ledger bounds how many there are.
///
/// A user needs `+get +set` for keys that begin with the prefix and `told:`; `+role +cluster|slots`, too, for Sentinel and
/// Cluster.
pub struct RedisToldStore {
    place: Arc<RedisPlace>,
    connections: Connections,
    prefix: String,
    deadline: Duration,
}

impl RedisToldStore {
    /// At an address as [`RedisPlace::new`] reads it, which see for `sentinel_login`, too; keys begin with
    /// `prefix`. Connects to nobody yet.
    ///
    /// # Errors
    /// [`PlaceError::Settings`], with the reason.
    pub fn new(
        url: &str,
        tls: &RedisTls,
        sentinel_login: Option<(&str, &str)>,
        prefix: &str,
    ) -> Result<Self, PlaceError> {
        let place = Arc::new(RedisPlace::new(url, tls, sentinel_login)?);
        let (connections, prefix) = (Connections::new(place.clone()), format!("{prefix}told:"));
        Ok(Self { place, connections, prefix, deadline: DEADLINE })
    }

    /// How long a call may take; half a second, if this is not said.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    fn key(&self, question: &QueryDigest) -> String {
        let hex = question.as_bytes().iter().map(|byte| format!("{byte:02x}"));
        std::iter::once(self.prefix.clone()).chain(hex).collect()
    }

    async fn find_now(&self, question: &QueryDigest) -> Result<Option<Told>, ToldError> {
        let key = self.key(question);
        match self.ask::<Option<Vec<u8>>>(&key, redis::cmd("GET").arg(&key)).await? {
            Some(bytes) => Told::from_bytes(&bytes).map(Some).ok_or(ToldError::Corrupt),
            None => Ok(None),
        }
    }

    async fn keep_now(&self, question: &QueryDigest, told: Told) -> Result<Told, ToldError> {
        let key = self.key(question);
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(told.to_bytes()).arg("NX").arg("PX").arg(KEPT.as_millis() as u64);
        // Nothing, if there is one already: another gateway's, or this one's, when the first try was not heard.
        self.ask::<Option<String>>(&key, &set).await?;
        Ok(self.find_now(question).await?.unwrap_or(told))
    }

    /// Within the deadline, and once more where another node has the key, or a connection broke.
    async fn ask<T: redis::FromRedisValue>(&self, key: &str, command: &redis::Cmd) -> Result<T, ToldError> {
        let twice = async {
            match self.ask_once(key, command).await {
                Err(ToldError::Unavailable) => self.ask_once(key, command).await,
                asked => asked,
            }
        };
        tokio::time::timeout(self.deadline, twice).await.unwrap_or(Err(ToldError::Unavailable))
    }

    async fn ask_once<T: redis::FromRedisValue>(&self, key: &str, command: &redis::Cmd) -> Result<T, ToldError> {
        let slot = if self.place.is_cluster() { key_slot(key) } else { 0 };
        if self.place.node(slot).is_none() {
            self.connections.learn().await.map_err(|_| ToldError::Unavailable)?;
        }
        let node = self.place.node(slot).ok_or(ToldError::Unavailable)?;
        let mut connection = self.connections.to(&node).await.map_err(|_| ToldError::Unavailable)?;
        let asked = command.query_async(&mut connection).await;
        node.watch();
        let Err(error) = asked else { return asked.map_err(|_| ToldError::Unavailable) };
        if error.to_string().contains("WRONGTYPE") {
            return Err(ToldError::Corrupt);
        }
        match self.place.redirected(&error, &node) {
            Ok(Some(owner)) => self.place.moved(slot, &owner),
            _ => {
                self.connections.forget(&node);
                if self.place.is_cluster() {
                    let _ = self.connections.learn().await;
                }
            }
        }
        Err(ToldError::Unavailable)
    }
}

impl ToldStore for RedisToldStore {
    fn find<'a>(&'a self, question: &'a QueryDigest) -> BoxFuture<'a, Result<Option<Told>, ToldError>> {
        Box::pin(self.find_now(question))
    }

    fn keep<'a>(&'a self, question: &'a QueryDigest, told: Told) -> BoxFuture<'a, Result<Told, ToldError>> {
        Box::pin(self.keep_now(question, told))
    }
}

impl fmt::Debug for RedisToldStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisToldStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
