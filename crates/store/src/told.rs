//! What was released under differential privacy, kept for all gateways over Redis.

use std::fmt;
use std::time::Duration;

use privacy::distinct::{BoxFuture, QueryDigest};
use privacy::dp::{Told, ToldError, ToldStore};
use redis_place::{PlaceError, RedisTls};

use crate::caller::{Caller, NoAnswer};

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
    caller: Caller,
    prefix: String,
    deadline: Duration,
}

impl RedisToldStore {
    /// At an address as [`RedisPlace::new`](redis_place::RedisPlace::new) reads it, which see for `sentinel_login`,
    /// too; keys begin with `prefix`. Connects to nobody yet.
    ///
    /// # Errors
    /// [`PlaceError::Settings`], with the reason.
    pub fn new(
        url: &str,
        tls: &RedisTls,
        sentinel_login: Option<(&str, &str)>,
        prefix: &str,
    ) -> Result<Self, PlaceError> {
        let caller = Caller::new(url, tls, sentinel_login)?;
        Ok(Self { caller, prefix: format!("{prefix}told:"), deadline: DEADLINE })
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
        let mut get = redis::cmd("GET");
        get.arg(&key);
        match self.call::<Option<Vec<u8>>>(key, &get).await? {
            Some(bytes) => Told::from_bytes(&bytes).map(Some).ok_or(ToldError::Corrupt),
            None => Ok(None),
        }
    }

    async fn keep_now(&self, question: &QueryDigest, told: Told) -> Result<Told, ToldError> {
        let key = self.key(question);
        let mut set = redis::cmd("SET");
        set.arg(&key).arg(told.to_bytes()).arg("NX").arg("PX").arg(KEPT.as_millis() as u64);
        // Nothing, if there is one already: another gateway's, or this one's, when the first try was not heard.
        self.call::<Option<String>>(key, &set).await?;
        Ok(self.find_now(question).await?.unwrap_or(told))
    }

    async fn call<T: redis::FromRedisValue>(&self, key: String, command: &redis::Cmd) -> Result<T, ToldError> {
        self.caller.call(&[key], command, None, self.deadline).await.map_err(|error| match error {
            NoAnswer::Slots | NoAnswer::Unavailable => ToldError::Unavailable,
            NoAnswer::Corrupt => ToldError::Corrupt,
        })
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
