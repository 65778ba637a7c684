//! The way to the servers: one long-lived connection to each, that all callers of a runtime share.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind};

use crate::LimiterError;
use crate::redis::batch::{Batch, Way};
use crate::redis::cluster::read_place;
use crate::redis::config::RedisConfig;
use crate::redis::keys::is_in_the_way;
use crate::redis::place::{Node, Place, reason};
use crate::redis::sentinel::first;
use crate::redis::takes::{self, MOST_QUOTAS};

/// The whole arithmetic of a batch, on the server and by its clock.
const SCRIPT: &str = include_str!("script.lua");

/// A script, and the name that the server gives it.
struct Known {
    script: String,
    digest: String,
}

impl Known {
    fn new(script: &str, clock: Option<&str>) -> Self {
        let script = match clock {
            Some(key) => script.replace("redis.call('TIME')", &format!("redis.call('HMGET', '{key}', 's', 'us')")),
            None => script.to_owned(),
        };
        Self { digest: Script::new(&script).get_hash().to_owned(), script }
    }
}

/// How long an answer is waited for that nobody needs in time, to give back what was taken; and a
/// connection.
const PATIENCE: Duration = Duration::from_secs(1);
/// Before a slot that is on its way is asked for again, and between two looks at a cluster.
const PAUSE: Duration = Duration::from_millis(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// Redirections of one call.
const REDIRECTIONS: usize = 8;

/// What all links have in common.
pub(crate) struct Server {
    pub(crate) place: Place,
    script: Known,
    /// For buckets with one quota, with two, and so on.
    takes: Vec<Known>,
    pub(crate) prefix: String,
    pub(crate) deadline: Duration,
}

pub(crate) struct Link {
    server: Arc<Server>,
    /// By the number of their server, with the turn in which they were made.
    connections: Mutex<HashMap<usize, (u64, MultiplexedConnection)>>,
    is_looking: AtomicBool,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// It may have run.
    Failed(LimiterError),
    /// Nothing ran: some keys of the slot are on another server already.
    Moving,
}

/// What to do after an error.
enum Next {
    /// Nothing ran there; the slot is elsewhere for good.
    Moved((String, u16)),
    /// Nothing ran there; the keys are elsewhere, or will be.
    Ask((String, u16)),
    Again,
    Fail(LimiterError),
}

impl Server {
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, LimiterError> {
        if is_in_the_way(&config.prefix) {
            return Err(LimiterError::Settings("a prefix has no braces"));
        }
        let clock = config.clock.as_deref();
        Ok(Self {
            place: Place::new(config)?,
            script: Known::new(SCRIPT, clock),
            takes: (1..=MOST_QUOTAS).map(|quotas| Known::new(&takes::script(quotas), clock)).collect(),
            prefix: config.prefix.clone(),
            deadline: config.deadline,
        })
    }

    fn script(&self, way: Way) -> &Known {
        let short = if let Way::Short(quotas) = way { self.takes.get(quotas.wrapping_sub(1)) } else { None };
        short.unwrap_or(&self.script)
    }
}

impl Link {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self { server, connections: Mutex::default(), is_looking: AtomicBool::new(false) }
    }

    /// The shared connection; a new one after an error.
    async fn connection(&self, node: &Node) -> Result<MultiplexedConnection, LimiterError> {
        let turn = node.turn();
        let known = self.connections.lock().unwrap_or_else(PoisonError::into_inner).get(&node.number).cloned();
        if let Some((_, connection)) = known.filter(|(made, _)| *made == turn) {
            return Ok(connection);
        }
        let made = node.connect().await?;
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).insert(node.number, made.clone());
        Ok(made.1)
    }

    /// Lets go of a connection that does not work: the next call asks for a new one, and by it
    /// whoever is the master then.
    fn disconnect(&self, node: &Node) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).remove(&node.number);
    }

    /// Lets go of all connections but those to these servers.
    pub(crate) fn keep(&self, numbers: &HashSet<usize>) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|number, _| numbers.contains(number));
    }

    /// How long a decision may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.server.deadline
    }

    /// Sends a batch once, to this server or where it says the slot is now. A call without an answer may have
    /// run, so it is never sent again.
    pub(crate) async fn call(self: &Arc<Self>, node: &Arc<Node>, slot: u16, batch: &Batch) -> Result<Vec<u8>, Fault> {
        let called = self.follow(node, slot, batch).await;
        node.watch();
        if let Err(Fault::Failed(error)) = called {
            self.look_around();
            if error == LimiterError::Refused {
                tracing::error!("the server refuses the limiter's user, password or rights");
            }
        }
        called
    }

    async fn follow(self: &Arc<Self>, node: &Arc<Node>, slot: u16, batch: &Batch) -> Result<Vec<u8>, Fault> {
        let (mut to, mut is_asking) = (node.clone(), false);
        // Who waits for it should hear that nothing ran.
        let until = Instant::now() + self.server.deadline * 3 / 4;
        let mut redirections = 0;
        while redirections < REDIRECTIONS {
            let next = match self.ask(&to, is_asking, batch).await {
                Ok(bytes) => return Ok(bytes),
                Err(next) => next,
            };
            let Place::Cluster(cluster) = &self.server.place else { return Err(next.fault()) };
            (to, is_asking) = match next {
                Next::Moved(place) => {
                    let moved = cluster.at(&place).map_err(Fault::Failed)?;
                    cluster.moved(slot, &moved);
                    self.look_around();
                    redirections += 1;
                    (moved, false)
                }
                Next::Ask(place) => {
                    redirections += 1;
                    (cluster.at(&place).map_err(Fault::Failed)?, true)
                }
                // Several acts go better one by one.
                Next::Again if batch.is_several() || Instant::now() > until => return Err(Fault::Moving),
                Next::Again => {
                    tokio::time::sleep(PAUSE).await;
                    (cluster.node(slot).unwrap_or(to), false)
                }
                Next::Fail(error) => return Err(Fault::Failed(error)),
            };
        }
        Err(Fault::Moving)
    }

    async fn ask(&self, node: &Node, is_asking: bool, batch: &Batch) -> Result<Vec<u8>, Next> {
        let asked = tokio::time::timeout(self.server.deadline + PATIENCE, async {
            let mut connection = self.connection(node).await.map_err(Next::Fail)?;
            let way = batch.way();
            let mut ran = self.run(&mut connection, is_asking, way, batch).await;
            // The short way has done nothing, as something else is stored.
            if way != Way::Long && ran.as_ref().is_ok_and(Vec::is_empty) {
                ran = self.run(&mut connection, is_asking, Way::Long, batch).await;
            }
            ran.map_err(|error| {
                if is_of_connection(&error) {
                    self.disconnect(node);
                }
                Next::of(&error, node)
            })
        });
        asked.await.unwrap_or_else(|_| {
            self.disconnect(node);
            Err(Next::Fail(LimiterError::Unavailable))
        })
    }

    /// By the digest of the script, or by the script where it is not known.
    async fn run(
        &self,
        connection: &mut MultiplexedConnection,
        is_asking: bool,
        way: Way,
        batch: &Batch,
    ) -> RedisResult<Vec<u8>> {
        let script = self.server.script(way);
        match self.send(connection, is_asking, ("EVALSHA", &script.digest), way, batch).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(connection, is_asking, ("EVAL", &script.script), way, batch).await
            }
            other => other,
        }
    }

    async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        is_asking: bool,
        (name, script): (&str, &str),
        way: Way,
        batch: &Batch,
    ) -> RedisResult<Vec<u8>> {
        let (keys, arguments) = (batch.keys(&self.server.prefix), batch.encode(way));
        let bytes = keys.iter().map(String::len).chain(arguments.iter().map(Vec::len)).sum::<usize>();
        // In one piece of memory.
        let mut command = Cmd::with_capacity(3 + keys.len() + arguments.len(), 16 + script.len() + bytes);
        command.arg(name).arg(script).arg(keys.len()).arg(&keys).arg(arguments);
        if !is_asking {
            return command.query_async(connection).await;
        }
        let mut both = Pipeline::with_capacity(2);
        both.add_command(Cmd::new().arg("ASKING").to_owned()).ignore().add_command(command);
        both.query_async(connection).await.map(|(answer,): (Vec<u8>,)| answer)
    }

    /// Does a batch in a script that is sent along, and another by its digest: whether all is permitted.
    pub(crate) async fn probe(self: &Arc<Self>, slot: u16, take: &Batch, undo: &Batch) -> Result<(), LimiterError> {
        let node = self.server.place.node(slot).ok_or(LimiterError::Unavailable)?;
        let mut connection = self.connection(&node).await?;
        let script = &self.server.script(Way::Long).script;
        match self.send(&mut connection, false, ("EVAL", script), Way::Long, take).await {
            Ok(_) => {}
            Err(error) if is_of_cluster(&error) && matches!(self.server.place, Place::One(_)) => {
                return Err(LimiterError::Cluster);
            }
            // The map that was just learnt is old, but this server let us in.
            Err(error) if error.is_cluster_error() => {}
            Err(error) => return Err(reason(&error)),
        }
        let undone = self.call(&node, slot, undo).await;
        undone
            .map(drop)
            .map_err(|fault| if let Fault::Failed(error) = fault { error } else { LimiterError::Unavailable })
    }

    /// Learns anew which server of a cluster has what, beside all calls.
    pub(crate) fn look_around(self: &Arc<Self>) {
        let is_cluster = matches!(self.server.place, Place::Cluster(_));
        if !is_cluster || self.is_looking.swap(true, Ordering::Relaxed) {
            return;
        }
        let link = self.clone();
        tokio::spawn(async move {
            let _ = link.learn().await;
            tokio::time::sleep(BETWEEN_LOOKS).await;
            link.is_looking.store(false, Ordering::Relaxed);
        });
    }

    /// Connects; asks a cluster which server has what.
    pub(crate) async fn learn(&self) -> Result<(), LimiterError> {
        let cluster = match &self.server.place {
            Place::One(node) => return self.connection(node).await.map(drop),
            Place::Cluster(cluster) => cluster,
        };
        let ask = |node: Arc<Node>| async move {
            let asked = async {
                let mut connection = self.connection(&node).await?;
                cluster.learn(&node, &mut connection).await
            };
            let asked = tokio::time::timeout(PATIENCE, asked).await.unwrap_or(Err(LimiterError::Unavailable));
            asked.inspect_err(|_| self.disconnect(&node))
        };
        first(cluster.some().into_iter().map(ask)).await
    }
}

impl Next {
    fn of(error: &RedisError, node: &Node) -> Self {
        let place = || error.redirect_node().and_then(|(place, _)| read_place(place, &node.host));
        match (error.kind(), place()) {
            (ErrorKind::Server(ServerErrorKind::Moved), Some(place)) => Self::Moved(place),
            (ErrorKind::Server(ServerErrorKind::Ask), Some(place)) => Self::Ask(place),
            (ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::TryAgain), _) => Self::Again,
            _ => Self::Fail(reason(error)),
        }
    }

    fn fault(self) -> Fault {
        if let Self::Fail(error) = self { Fault::Failed(error) } else { Fault::Failed(LimiterError::Unavailable) }
    }
}

/// What only nodes of a cluster say.
fn is_of_cluster(error: &RedisError) -> bool {
    error.is_cluster_error() || error.kind() == ErrorKind::Server(ServerErrorKind::CrossSlot)
}

/// Errors after which the connection is no good, or leads to a server that is not the master.
fn is_of_connection(error: &RedisError) -> bool {
    let is_elsewhere = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
    );
    is_elsewhere || error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}
