//! Which server has what.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use redis::RedisError;

use crate::address::{Address, parse};
use crate::cluster::{Cluster, read_place};
use crate::node::Node;
use crate::{PlaceError, RedisTls};

/// Where Redis is. The addresses are in the table on the front page.
pub struct RedisPlace(Kind);

enum Kind {
    /// All on one server, directly or by way of sentinels.
    One(Arc<Node>),
    Cluster(Box<Cluster>),
}

impl RedisPlace {
    /// Reads the address and the certificates, without connecting. `sentinel_login` is a user and a password, what
    /// the sentinels themselves ask for; an empty user is the default one.
    ///
    /// If the process has no default crypto provider for rustls and the address begins with `rediss`, it gets
    /// aws-lc-rs; install another one before, if you want it.
    ///
    /// # Errors
    /// [`PlaceError::Settings`], with the reason.
    pub fn new(url: &str, tls: &RedisTls, sentinel_login: Option<(&str, &str)>) -> Result<Self, PlaceError> {
        Ok(Self(match parse(url, tls, sentinel_login)? {
            Address::Server(host) => Kind::One(Arc::new(Node::new(0, &host)?)),
            Address::Sentinels { sentinels, name, server } => {
                Kind::One(Arc::new(Node::of_sentinels(&sentinels, name, server)?))
            }
            Address::Cluster(hosts) => Kind::Cluster(Box::new(Cluster::new(&hosts)?)),
        }))
    }

    /// Whether keys lie in slots, and the slots on several servers.
    pub fn is_cluster(&self) -> bool {
        self.cluster().is_some()
    }

    /// The server of a slot, as far as that is known; where there is one server, it has all.
    pub fn node(&self, slot: u16) -> Option<Arc<Node>> {
        match &self.0 {
            Kind::One(node) => Some(node.clone()),
            Kind::Cluster(cluster) => cluster.node(slot),
        }
    }

    /// The numbers of all servers that are known.
    pub fn numbers(&self) -> HashSet<usize> {
        match &self.0 {
            Kind::One(node) => HashSet::from([node.number()]),
            Kind::Cluster(cluster) => cluster.numbers(),
        }
    }

    /// The server to which a server of a cluster sends its caller on; none for another error.
    ///
    /// # Errors
    /// [`PlaceError::Settings`] when there is no way to that server.
    pub fn redirected(&self, error: &RedisError, by: &Node) -> Result<Option<Arc<Node>>, PlaceError> {
        let place = error.redirect_node().and_then(|(place, _)| read_place(place, by.host()));
        match (self.cluster(), place) {
            (Some(cluster), Some(place)) => cluster.at(&place).map(Some),
            _ => Ok(None),
        }
    }

    /// Notes that a slot has moved to another server.
    pub fn moved(&self, slot: u16, node: &Arc<Node>) {
        if let Some(cluster) = self.cluster() {
            cluster.moved(slot, node);
        }
    }

    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        if let Kind::Cluster(cluster) = &self.0 { Some(cluster) } else { None }
    }
}

impl fmt::Debug for RedisPlace {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPlace").field("is_cluster", &self.is_cluster()).finish_non_exhaustive()
    }
}
