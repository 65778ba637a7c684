//! Which server has a bucket, and how to connect to it.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, RedisError, ServerError};

use crate::LimiterError;
use crate::charge::Held;
use crate::redis::address::{Address, Host, parse};
use crate::redis::breaker::Breaker;
use crate::redis::cluster::Cluster;
use crate::redis::config::RedisConfig;
use crate::redis::keys::slot;
use crate::redis::sentinel::Sentinels;

/// Where the buckets are.
pub(crate) enum Place {
    /// All on one server, directly or by way of sentinels.
    One(Arc<Node>),
    Cluster(Box<Cluster>),
}

/// One server, or whoever the sentinels call the master.
pub(crate) struct Node {
    pub(crate) number: usize,
    pub(crate) host: String,
    pub(crate) breaker: Breaker,
    way: Way,
}

enum Way {
    Server(Pool),
    Master(Box<Sentinels>),
}

/// Charges of one call that lie in one slot, and where they stood.
pub(crate) struct Group {
    pub(crate) slot: u16,
    pub(crate) charges: Vec<Held>,
    pub(crate) places: Vec<usize>,
}

impl Place {
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, LimiterError> {
        match parse(config)? {
            Address::Server(host) => Ok(Self::One(Arc::new(Node::new(0, &host)?))),
            Address::Sentinels { sentinels, name, server } => {
                let way = Way::Master(Box::new(Sentinels::new(&sentinels, name, server)?));
                Ok(Self::One(Arc::new(Node { number: 0, host: String::new(), breaker: Breaker::default(), way })))
            }
            Address::Cluster(hosts) => Ok(Self::Cluster(Box::new(Cluster::new(&hosts)?))),
        }
    }

    /// The slot of a bucket; always 0 where there is one server.
    pub(crate) fn slot(&self, bucket: &str) -> u16 {
        match self {
            Self::One(_) => 0,
            Self::Cluster(_) => slot(bucket),
        }
    }

    /// The server of a slot, as far as that is known.
    pub(crate) fn node(&self, slot: u16) -> Option<Arc<Node>> {
        match self {
            Self::One(node) => Some(node.clone()),
            Self::Cluster(cluster) => cluster.node(slot),
        }
    }

    /// The charges slot by slot, in the order in which every call goes through them.
    pub(crate) fn split(&self, charges: &[Held]) -> Vec<Group> {
        let mut groups: Vec<Group> = Vec::with_capacity(1);
        for (place, held) in charges.iter().enumerate() {
            let slot = self.slot(&held.bucket);
            match groups.iter_mut().find(|group| group.slot == slot) {
                Some(group) => {
                    group.charges.push(held.clone());
                    group.places.push(place);
                }
                None => groups.push(Group { slot, charges: vec![held.clone()], places: vec![place] }),
            }
        }
        groups.sort_by_key(|group| group.slot);
        groups
    }

    /// The one slot of all charges.
    pub(crate) fn same_slot(&self, charges: &[Held]) -> Option<u16> {
        let Self::Cluster(_) = self else { return Some(0) };
        let mut slots = charges.iter().map(|held| slot(&held.bucket));
        let first = slots.next().unwrap_or_default();
        slots.all(|slot| slot == first).then_some(first)
    }
}

impl Node {
    pub(crate) fn new(number: usize, host: &Host) -> Result<Self, LimiterError> {
        let way = Way::Server(pool(host)?);
        Ok(Self { number, host: host.place().0, breaker: Breaker::default(), way })
    }

    /// A new connection, and its turn.
    pub(crate) async fn connect(&self) -> Result<(u64, MultiplexedConnection), LimiterError> {
        match &self.way {
            Way::Server(pool) => connect(pool).await.map(|made| (0, made)),
            Way::Master(sentinels) => sentinels.connect().await,
        }
    }

    /// Connections that were made in another turn lead to somebody who is the master no more.
    pub(crate) fn turn(&self) -> u64 {
        if let Way::Master(sentinels) = &self.way { sentinels.turn() } else { 0 }
    }

    /// Looks now and then whether there is another master, beside all calls.
    pub(crate) fn watch(self: &Arc<Self>) {
        if matches!(&self.way, Way::Master(sentinels) if sentinels.is_due()) {
            let node = self.clone();
            tokio::spawn(async move {
                if let Way::Master(sentinels) = &node.way {
                    let _ = sentinels.look().await;
                }
            });
        }
    }
}

const UNUSABLE: &str = "the address cannot be connected to";

/// A supplier of connections to one server. Its manager takes the address as redis knows it, certificates
/// included; the pool's own settings and the pools for sentinels and clusters have no place for those.
pub(crate) fn pool(host: &Host) -> Result<Pool, LimiterError> {
    let manager = Manager::new(host.info()).map_err(|_| LimiterError::Settings(UNUSABLE))?;
    Pool::builder(manager).runtime(Runtime::Tokio1).build().map_err(|_| LimiterError::Settings(UNUSABLE))
}

pub(crate) async fn connect(pool: &Pool) -> Result<MultiplexedConnection, LimiterError> {
    pool.get().await.map(Connection::take).map_err(|error| match error {
        PoolError::Backend(error) => reason(&error),
        _ => LimiterError::Unavailable,
    })
}

/// Why a server is of no use.
pub(crate) fn reason(error: &RedisError) -> LimiterError {
    // A script that may not do something ends with a plain error, in other words since Redis 7.2.
    let is_of_rights =
        |text: &str| text.contains("The user executing the script can't") || text.contains("ACL failure");
    let refuses = |said: &(usize, ServerError)| {
        matches!(said.1.code(), "NOAUTH" | "WRONGPASS" | "NOPERM") || said.1.details().is_some_and(is_of_rights)
    };
    let said = error.clone().into_server_errors();
    if error.kind() == ErrorKind::AuthenticationFailed || said.is_some_and(|said| said.iter().any(refuses)) {
        return LimiterError::Refused;
    }
    // Wrapped twice: by the runtime, and to be cloned.
    let io = error.source().and_then(|source| source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>());
    let io = io.and_then(|shared| shared.downcast_ref::<io::Error>());
    let is_of_tls = io.and_then(io::Error::get_ref).is_some_and(|inner| inner.is::<rustls::Error>());
    if is_of_tls { LimiterError::Untrusted } else { LimiterError::Unavailable }
}
