//! One server, and how to connect to it.

use std::sync::Arc;

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use redis::aio::MultiplexedConnection;

use crate::PlaceError;
use crate::address::Host;
use crate::sentinel::Sentinels;

/// One server, or whoever the sentinels call the master.
pub struct Node {
    number: usize,
    host: String,
    way: Way,
}

enum Way {
    Server(Pool),
    Master(Box<Sentinels>),
}

impl Node {
    pub(crate) fn new(number: usize, host: &Host) -> Result<Self, PlaceError> {
        Ok(Self { number, host: host.place().0, way: Way::Server(pool(host)?) })
    }

    pub(crate) fn of_sentinels(sentinels: &[Host], name: String, server: Host) -> Result<Self, PlaceError> {
        let way = Way::Master(Box::new(Sentinels::new(sentinels, name, server)?));
        Ok(Self { number: 0, host: String::new(), way })
    }

    /// Which of the servers of its place it is. No other one ever has this number.
    pub fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// A new connection, and its turn.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect(&self) -> Result<(u64, MultiplexedConnection), PlaceError> {
        match &self.way {
            Way::Server(pool) => connect(pool).await.map(|made| (0, made)),
            Way::Master(sentinels) => sentinels.connect().await,
        }
    }

    /// Connections that were made in another turn lead to somebody who is the master no more.
    pub fn turn(&self) -> u64 {
        if let Way::Master(sentinels) = &self.way { sentinels.turn() } else { 0 }
    }

    /// Asks the sentinels who is the master now, and gives the turn; without them there is nobody to ask.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn look(&self) -> Result<u64, PlaceError> {
        match &self.way {
            Way::Server(_) => Ok(0),
            Way::Master(sentinels) => sentinels.look().await.map(|(turn, _)| turn),
        }
    }

    /// Looks now and then whether there is another master, beside all calls.
    pub fn watch(self: &Arc<Self>) {
        if matches!(&self.way, Way::Master(sentinels) if sentinels.is_due()) {
            let node = self.clone();
            tokio::spawn(async move {
                let _ = node.look().await;
            });
        }
    }
}

impl std::fmt::Debug for Node {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("number", &self.number).finish_non_exhaustive()
    }
}

const UNUSABLE: &str = "the address cannot be connected to";

/// A supplier of connections to one server. Its manager takes the address as redis knows it, certificates
/// included; the pool's own settings and the pools for sentinels and clusters have no place for those.
pub(crate) fn pool(host: &Host) -> Result<Pool, PlaceError> {
    let manager = Manager::new(host.info()).map_err(|_| PlaceError::Settings(UNUSABLE))?;
    Pool::builder(manager).runtime(Runtime::Tokio1).build().map_err(|_| PlaceError::Settings(UNUSABLE))
}

pub(crate) async fn connect(pool: &Pool) -> Result<MultiplexedConnection, PlaceError> {
    pool.get().await.map(Connection::take).map_err(|error| match error {
        PoolError::Backend(error) => PlaceError::from(&error),
        _ => PlaceError::Unavailable,
    })
}
