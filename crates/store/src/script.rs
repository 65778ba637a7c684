//! One Lua script, on whichever Redis server holds its keys.

use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, FromRedisValue, RedisError, ServerErrorKind};
use redis_place::{Connections, PlaceError, RedisPlace, RedisTls, key_slot};

/// A script that may run twice: what it did once, it does no second time.
pub(crate) struct Script {
    place: Arc<RedisPlace>,
    connections: Connections,
    source: &'static str,
    /// SHA-1 of the source.
    digest: String,
}

/// A call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The keys are in several slots of a cluster.
    Slots,
    /// The server is away, too slow, or refuses.
    Unavailable,
    /// A key holds what somebody else wrote.
    Corrupt,
}

enum Fault {
    /// It is sent once more.
    Again,
    Final(NoAnswer),
}

impl Script {
    /// At an address as [`RedisPlace::new`] reads it, for keys that begin with `prefix`. Connects to nobody yet.
    pub(crate) fn new(
        source: &'static str,
        url: &str,
        tls: &RedisTls,
        sentinel_login: Option<(&str, &str)>,
        prefix: &str,
    ) -> Result<Self, PlaceError> {
        if prefix.contains('{') {
            return Err(PlaceError::Settings("the prefix of the keys has a brace"));
        }
        let place = Arc::new(RedisPlace::new(url, tls, sentinel_login)?);
        let digest = redis::Script::new(source).get_hash().to_owned();
        Ok(Self { connections: Connections::new(place.clone()), place, source, digest })
    }

    /// Runs it with these keys, and the arguments that `add` adds, within `deadline`.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        keys: &[String],
        add: impl Fn(&mut redis::Cmd),
        deadline: Duration,
    ) -> Result<T, NoAnswer> {
        let slot = self.slot(keys)?;
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(keys);
            add(&mut command);
            command
        };
        let both = [command("EVALSHA", &self.digest), command("EVAL", self.source)];
        let asked = tokio::time::timeout(deadline, self.ask_twice(slot, &both)).await;
        asked.unwrap_or(Err(NoAnswer::Unavailable))
    }

    /// The one slot of all keys.
    fn slot(&self, keys: &[String]) -> Result<u16, NoAnswer> {
        if !self.place.is_cluster() {
            return Ok(0);
        }
        let mut slots = keys.iter().map(|key| key_slot(key));
        let first = slots.next().ok_or(NoAnswer::Slots)?;
        if slots.all(|slot| slot == first) { Ok(first) } else { Err(NoAnswer::Slots) }
    }

    async fn ask_twice<T: FromRedisValue>(&self, slot: u16, commands: &[redis::Cmd; 2]) -> Result<T, NoAnswer> {
        match self.ask(slot, commands).await {
            Err(Fault::Again) => {}
            Err(Fault::Final(error)) => return Err(error),
            Ok(answer) => return Ok(answer),
        }
        self.ask(slot, commands).await.map_err(|fault| match fault {
            Fault::Again => NoAnswer::Unavailable,
            Fault::Final(error) => error,
        })
    }

    async fn ask<T: FromRedisValue>(&self, slot: u16, [by_digest, whole]: &[redis::Cmd; 2]) -> Result<T, Fault> {
        let away = Fault::Final(NoAnswer::Unavailable);
        if self.place.node(slot).is_none() && self.connections.learn().await.is_err() {
            return Err(away);
        }
        let Some(node) = self.place.node(slot) else { return Err(away) };
        let Ok(mut connection) = self.connections.to(&node).await else { return Err(away) };
        let mut asked = by_digest.query_async(&mut connection).await;
        let is_unknown = |error: &RedisError| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript);
        if asked.as_ref().is_err_and(is_unknown) {
            asked = whole.query_async(&mut connection).await;
        }
        node.watch();
        let error = match asked {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if error.to_string().contains("WRONGTYPE") {
            return Err(Fault::Final(NoAnswer::Corrupt));
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
        Err(Fault::Again)
    }
}
