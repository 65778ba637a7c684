//! A Redis Cluster of three masters, and its slots on the move.

#![expect(clippy::panic, reason = "a test's own server fails the test")]

use std::time::Duration;

use crate::redis_server::{RedisServer, free_port, plain};
use crate::redis_tls::{Certificates, FILES};

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

/// Three masters, each with a third of the slots. They stop when they are dropped.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Node>,
    certificates: Option<Certificates>,
}

#[derive(Debug)]
struct Node {
    server: RedisServer,
    port: u16,
    bus: u16,
    id: String,
}

impl RedisCluster {
    /// Starts them and waits until they are one.
    ///
    /// # Panics
    /// As [`RedisServer::start`], and when they do not find each other.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// The same, with TLS on all connections.
    ///
    /// # Panics
    /// As [`RedisCluster::start`].
    pub async fn start_tls(certificates: Certificates) -> Self {
        Self::start_with(Some(certificates)).await
    }

    async fn start_with(certificates: Option<Certificates>) -> Self {
        let mut nodes = Vec::new();
        for at in 0..MASTERS {
            let node = Node::start(certificates.as_ref()).await;
            node.server.ask(&format!("CLUSTER SET-CONFIG-EPOCH {}", at + 1)).await;
            let (from, to) = (at * SLOTS / MASTERS, (at + 1) * SLOTS / MASTERS - 1);
            node.server.ask(&format!("CLUSTER ADDSLOTSRANGE {from} {to}")).await;
            nodes.push(node);
        }
        let cluster = Self { nodes, certificates };
        for node in cluster.nodes.iter().skip(1) {
            cluster.introduce(node).await;
        }
        cluster.wait(MASTERS).await;
        cluster
    }

    /// The addresses of the masters.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let scheme = if self.certificates.is_some() { "rediss" } else { "redis" };
        format!("{scheme}+cluster://{}", hosts.join(","))
    }

    /// A server by its number.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn server(&self, at: usize) -> &RedisServer {
        &self.node(at).server
    }

    /// Ends a server without warning.
    ///
    /// # Panics
    /// When there are not so many, or it cannot be ended.
    pub async fn kill(&mut self, at: usize) {
        let Some(node) = self.nodes.get_mut(at) else { panic!("no server {at}") };
        node.server.kill().await;
    }

    /// Adds a replica of a master, which takes over when the master is gone.
    ///
    /// # Panics
    /// When it does not follow the master.
    pub async fn add_replica(&mut self, of: usize) {
        let node = Node::start(self.certificates.as_ref()).await;
        self.introduce(&node).await;
        self.nodes.push(node);
        self.wait(self.nodes.len()).await;
        let (master, replica) = (self.node(of), self.node(self.nodes.len() - 1));
        let said = replica.server.ask(&format!("CLUSTER REPLICATE {}", master.id)).await;
        assert!(said == "+OK", "{said}");
        for _ in 0..500 {
            let seen = replica.server.ask_lines("INFO replication").await;
            if seen.iter().any(|line| line == "master_link_status:up") {
                return;
            }
            // Waits for another process, which has no way to tell.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the replica does not follow");
    }

    /// Which server has a slot, as the first one says.
    ///
    /// # Panics
    /// When nobody has it.
    pub async fn owner(&self, slot: u16) -> usize {
        for (at, node) in self.nodes.iter().enumerate() {
            let said = node.server.ask_lines("CLUSTER NODES").await;
            let own = said.iter().find(|line| line.contains("myself")).cloned().unwrap_or_default();
            let has = own.split(' ').skip(8).filter(|range| !range.starts_with('[')).any(|range| {
                let (from, to) = range.split_once('-').unwrap_or((range, range));
                matches!((from.parse::<u16>(), to.parse::<u16>()), (Ok(from), Ok(to)) if from <= slot && slot <= to)
            });
            if has {
                return at;
            }
        }
        panic!("nobody has slot {slot}");
    }

    /// Opens the way of a slot to another server: keys may go from now on, and new ones appear there.
    ///
    /// # Panics
    /// When the servers will not.
    pub async fn begin_move(&self, slot: u16, to: usize) {
        let (from, to) = (self.node(self.owner(slot).await), self.node(to));
        let importing = to.server.ask(&format!("CLUSTER SETSLOT {slot} IMPORTING {}", from.id)).await;
        let migrating = from.server.ask(&format!("CLUSTER SETSLOT {slot} MIGRATING {}", to.id)).await;
        assert!((importing.as_str(), migrating.as_str()) == ("+OK", "+OK"), "{importing} {migrating}");
    }

    /// Moves the keys of a slot, and then the slot.
    ///
    /// # Panics
    /// When the servers will not.
    pub async fn end_move(&self, slot: u16, to: usize) {
        let from = self.node(self.owner(slot).await);
        let target = self.node(to);
        loop {
            let keys = from.server.ask_lines(&format!("CLUSTER GETKEYSINSLOT {slot} 10")).await;
            if keys.is_empty() {
                break;
            }
            let port = target.port;
            let moved = from.server.ask(&format!("MIGRATE 127.0.0.1 {port} \"\" 0 2000 KEYS {}", keys.join(" "))).await;
            assert!(moved == "+OK" || moved == "+NOKEY", "{moved}");
        }
        for node in [target, from].into_iter().chain(&self.nodes) {
            // A replica is told by its master.
            node.server.ask(&format!("CLUSTER SETSLOT {slot} NODE {}", target.id)).await;
        }
    }

    /// Moves a slot to another server.
    ///
    /// # Panics
    /// When the servers will not.
    pub async fn reshard(&self, slot: u16, to: usize) {
        self.begin_move(slot, to).await;
        self.end_move(slot, to).await;
    }

    fn node(&self, at: usize) -> &Node {
        let Some(node) = self.nodes.get(at) else { panic!("no server {at}") };
        node
    }

    async fn introduce(&self, node: &Node) {
        let first = self.node(0);
        first.server.ask(&format!("CLUSTER MEET 127.0.0.1 {} {}", node.port, node.bus)).await;
    }

    async fn wait(&self, count: usize) {
        let known = format!("cluster_known_nodes:{count}");
        for _ in 0..1_000 {
            let mut ready = 0;
            for node in &self.nodes {
                let said = node.server.ask_lines("CLUSTER INFO").await;
                let has = |wanted: &str| said.iter().any(|line| line == wanted);
                ready += usize::from(has("cluster_state:ok") && has(&known) && has("cluster_slots_ok:16384"));
            }
            if ready == self.nodes.len() {
                return;
            }
            // Waits for other processes, which have no way to tell.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the servers do not become a cluster");
    }
}

impl Node {
    async fn start(certificates: Option<&Certificates>) -> Self {
        let ports = || (free_port(), free_port());
        let started = RedisServer::on_ports(ports, |folder, (port, bus)| {
            let (port, bus) = (port.to_string(), bus.to_string());
            let mut more = vec!["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "1000"];
            more.extend(["--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0"]);
            match certificates {
                Some(certificates) => {
                    certificates.write(folder);
                    more.extend(["--port", "0", "--tls-port", &port, "--tls-auth-clients", "optional"]);
                    more.extend(["--tls-cluster", "yes", "--tls-replication", "yes"].into_iter().chain(FILES));
                }
                None => more.extend(["--port", &port]),
            }
            plain(0).into_iter().chain(more.into_iter().map(str::to_owned)).collect()
        });
        let (server, (port, bus)) = started.await;
        let id = server.ask_lines("CLUSTER MYID").await.into_iter().next().unwrap_or_default();
        Self { server, port, bus, id }
    }
}
