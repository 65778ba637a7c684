//! Commands to whichever Redis server holds their keys, within a deadline, and once more where a connection broke or
//! another server has the keys by now.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ServerErrorKind};
use redis_place::{Connections, PlaceError, RedisPlace, RedisTls, key_slot};

/// Sends commands that may run twice: what they did once, they do no second time.
pub(crate) struct Caller {
    place: Arc<RedisPlace>,
    connections: Connections,
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

impl Caller {
    /// At an address as [`RedisPlace::new`] reads it. Connects to nobody yet.
    pub(crate) fn new(url: &str, tls: &RedisTls, sentinel_login: Option<(&str, &str)>) -> Result<Self, PlaceError> {
        let place = Arc::new(RedisPlace::new(url, tls, sentinel_login)?);
        Ok(Self { connections: Connections::new(place.clone()), place })
    }

    /// The answer to a command about these keys; to `whole` if the server does not know the script that the command
    /// names.
    pub(crate) async fn call<T: FromRedisValue>(
        &self,
        keys: &[String],
        command: &Cmd,
        whole: Option<&Cmd>,
        deadline: Duration,
    ) -> Result<T, NoAnswer> {
        let slot = self.slot(keys)?;
        let twice = async {
            let asked = match self.ask(slot, command, whole).await {
                Err(Fault::Again) => self.ask(slot, command, whole).await,
                asked => asked,
            };
            asked.map_err(|fault| match fault {
                Fault::Again => NoAnswer::Unavailable,
                Fault::Final(error) => error,
            })
        };
        tokio::time::timeout(deadline, twice).await.unwrap_or(Err(NoAnswer::Unavailable))
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

    async fn ask<T: FromRedisValue>(&self, slot: u16, command: &Cmd, whole: Option<&Cmd>) -> Result<T, Fault> {
        let away = Fault::Final(NoAnswer::Unavailable);
        if self.place.node(slot).is_none() && self.connections.learn().await.is_err() {
            return Err(away);
        }
        let Some(node) = self.place.node(slot) else { return Err(away) };
        let Ok(mut connection) = self.connections.to(&node).await else { return Err(away) };
        let mut asked = command.query_async(&mut connection).await;
        let is_unknown = |error: &RedisError| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript);
        if let Some(whole) = whole.filter(|_| asked.as_ref().is_err_and(is_unknown)) {
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
