//! The way to the servers: one long-lived connection to each, that all callers of a runtime share.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;

use crate::sentinel::first;
use crate::{Node, PlaceError, RedisPlace};

/// How long a server is asked for the map.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks at a cluster.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// One long-lived connection to each server of a place, made when it is asked for.
pub struct Connections {
    place: Arc<RedisPlace>,
    /// By the number of their server, with the turn in which they were made.
    made: Mutex<HashMap<usize, (u64, MultiplexedConnection)>>,
    is_looking: AtomicBool,
}

impl Connections {
    /// There is none yet.
    pub fn new(place: Arc<RedisPlace>) -> Self {
        Self { place, made: Mutex::default(), is_looking: AtomicBool::new(false) }
    }

    /// The shared connection; a new one after [`forget`](Self::forget), or when there is another master.
    ///
    /// # Errors
    /// As [`Node::connect`].
    pub async fn to(&self, node: &Node) -> Result<MultiplexedConnection, PlaceError> {
        let turn = node.turn();
        let known = self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&node.number()).cloned();
        if let Some((_, connection)) = known.filter(|(made, _)| *made == turn) {
            return Ok(connection);
        }
        let made = node.connect().await?;
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(node.number(), made.clone());
        Ok(made.1)
    }

    /// Lets go of a connection that does not work: the next call asks for a new one, and by it
    /// whoever is the master then.
    pub fn forget(&self, node: &Node) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(&node.number());
    }

    /// Lets go of all connections but those to these servers.
    pub fn keep(&self, numbers: &HashSet<usize>) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|number, _| numbers.contains(number));
    }

    /// Connects; asks a cluster which server has what.
    ///
    /// # Errors
    /// Why nobody could be asked.
    pub async fn learn(&self) -> Result<(), PlaceError> {
        let Some(cluster) = self.place.cluster() else {
            let node = self.place.node(0).ok_or(PlaceError::Unavailable)?;
            return self.to(&node).await.map(drop);
        };
        let ask = |node: Arc<Node>| async move {
            let asked = async {
                let mut connection = self.to(&node).await?;
                cluster.learn(&node, &mut connection).await
            };
            let asked = tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(PlaceError::Unavailable));
            asked.inspect_err(|_| self.forget(&node))
        };
        first(cluster.some().into_iter().map(ask)).await
    }

    /// Learns anew which server of a cluster has what, beside all calls.
    pub fn look_around(self: &Arc<Self>) {
        if !self.place.is_cluster() || self.is_looking.swap(true, Ordering::Relaxed) {
            return;
        }
        let connections = self.clone();
        tokio::spawn(async move {
            let _ = connections.learn().await;
            tokio::time::sleep(BETWEEN_LOOKS).await;
            connections.is_looking.store(false, Ordering::Relaxed);
        });
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("place", &self.place).finish_non_exhaustive()
    }
}
