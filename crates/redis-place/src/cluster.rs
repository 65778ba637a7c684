//! Which server of a cluster has which slots.
//!
//! redis has a connection for clusters, too. After an error of a connection it sends a call again, up to sixteen
//! times, although it may have run: a charge would be taken twice. Without retries it does not follow a slot that
//! moves, either. And while it looks for one server that is gone, it serves no other. So here are only a map and
//! plain connections; the callers follow redirections, which say that nothing ran.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue as _, Value};

use crate::PlaceError;
use crate::address::Host;
use crate::node::Node;
use crate::slot::SLOTS;

/// Servers that are asked for the map at once.
const ASKED: usize = 4;

pub(crate) struct Cluster {
    /// Where to ask at first, and when nobody else is left.
    seeds: Vec<(String, u16)>,
    /// Login and certificates of every server.
    like: Host,
    map: RwLock<Map>,
}

struct Map {
    nodes: HashMap<(String, u16), Arc<Node>>,
    /// Slot by slot.
    slots: Vec<Option<Arc<Node>>>,
    /// How many servers there were, and how many were asked.
    count: usize,
    asked: usize,
}

impl Cluster {
    pub(crate) fn new(hosts: &[Host]) -> Result<Self, PlaceError> {
        let like = hosts.first().ok_or(PlaceError::Settings("the address names no server"))?.clone();
        let seeds = hosts.iter().map(Host::place).collect();
        let map = Map { nodes: HashMap::new(), slots: vec![None; SLOTS], count: 0, asked: 0 };
        let cluster = Self { seeds, like, map: RwLock::new(map) };
        for place in &cluster.seeds {
            cluster.at(place)?;
        }
        Ok(cluster)
    }

    pub(crate) fn node(&self, slot: u16) -> Option<Arc<Node>> {
        self.read().slots.get(usize::from(slot)).cloned().flatten()
    }

    /// The numbers of all servers that are known.
    pub(crate) fn numbers(&self) -> HashSet<usize> {
        self.read().nodes.values().map(|node| node.number()).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Map> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Map> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server at a place.
    pub(crate) fn at(&self, place: &(String, u16)) -> Result<Arc<Node>, PlaceError> {
        let mut map = self.write();
        if let Some(node) = map.nodes.get(place) {
            return Ok(node.clone());
        }
        let node = Arc::new(Node::new(map.count, &self.like.at(place))?);
        map.count += 1;
        map.nodes.insert(place.clone(), node.clone());
        Ok(node)
    }

    /// Notes that a slot has moved.
    pub(crate) fn moved(&self, slot: u16, node: &Arc<Node>) {
        let mut map = self.write();
        if let Some(place) = map.slots.get_mut(usize::from(slot)) {
            *place = Some(node.clone());
        }
    }

    /// Some servers to ask for the map, others every time.
    pub(crate) fn some(&self) -> Vec<Arc<Node>> {
        let mut map = self.write();
        map.asked = map.asked.wrapping_add(ASKED);
        let count = map.nodes.len();
        let from = map.asked.checked_rem(count).unwrap_or_default();
        map.nodes.values().cycle().skip(from).take(count.min(ASKED)).cloned().collect()
    }

    /// Learns the map from one server.
    pub(crate) async fn learn(&self, node: &Node, connection: &mut MultiplexedConnection) -> Result<(), PlaceError> {
        let mut question = redis::cmd("CLUSTER");
        let asked: Result<Vec<Vec<Value>>, _> = question.arg("SLOTS").query_async(connection).await;
        let ranges = asked.map_err(|error| PlaceError::from(&error))?;
        let mut slots = vec![None; SLOTS];
        let mut masters = HashSet::new();
        for range in ranges {
            let (from, to, place) = read_range(range, node.host()).ok_or(PlaceError::Unavailable)?;
            let master = self.at(&place)?;
            for slot in slots.iter_mut().take(usize::from(to) + 1).skip(usize::from(from)) {
                *slot = Some(master.clone());
            }
            masters.insert(place);
        }
        // One that was thrown out of the cluster knows nothing.
        if masters.is_empty() {
            return Err(PlaceError::Unavailable);
        }
        let mut map = self.write();
        map.slots = slots;
        map.nodes.retain(|place, _| masters.contains(place) || self.seeds.contains(place));
        Ok(())
    }
}

/// First and last slot of a range, and where its master is.
fn read_range(range: Vec<Value>, asked: &str) -> Option<(u16, u16, (String, u16))> {
    let mut range = range.into_iter();
    let (from, to, master) = (range.next()?, range.next()?, range.next()?);
    let mut master = Vec::<Value>::from_redis_value(master).ok()?.into_iter();
    let host = Option::<String>::from_redis_value(master.next()?).ok()?;
    let port = u16::from_redis_value(master.next()?).ok()?;
    let number = |value| u16::from_redis_value(value).ok();
    Some((number(from)?, number(to)?, (host_or(host.as_deref().unwrap_or_default(), asked), port)))
}

/// A server that does not know its own name means the one by which it was asked.
fn host_or(host: &str, asked: &str) -> String {
    if host.is_empty() || host == "?" { asked.to_owned() } else { host.to_owned() }
}

/// Where a redirection leads to.
pub(crate) fn read_place(text: &str, asked: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    Some((host_or(host, asked), port.parse().ok()?))
}
