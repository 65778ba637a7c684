//! How batches are sent: over the connections of a runtime, once, to whichever server has the slot.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind};
use redis_place::{Connections, Node, RedisPlace};

use crate::LimiterError;
use crate::redis::batch::{Batch, Way};
use crate::redis::breaker::Breaker;
use crate::redis::config::RedisConfig;
use crate::redis::keys::is_in_the_way;
use crate::redis::takes::{self, MOST_QUOTAS};
use crate::redis::{of_place, reason};

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
/// Before a slot that is on its way is asked for again.
const PAUSE: Duration = Duration::from_millis(5);
/// Redirections of one call.
const REDIRECTIONS: usize = 8;

/// What all links have in common.
pub(crate) struct Server {
    pub(crate) place: Arc<RedisPlace>,
    /// By the number of their server.
    breakers: Mutex<HashMap<usize, Arc<Breaker>>>,
    script: Known,
    /// For buckets with one quota, with two, and so on.
    takes: Vec<Known>,
    pub(crate) prefix: String,
    pub(crate) deadline: Duration,
}

pub(crate) struct Link {
    server: Arc<Server>,
    connections: Arc<Connections>,
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
    Moved(Arc<Node>),
    /// Nothing ran there; the keys are elsewhere, or will be.
    Ask(Arc<Node>),
    Again,
    Fail(LimiterError),
}

impl Server {
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, LimiterError> {
        if is_in_the_way(&config.prefix) {
            return Err(LimiterError::Settings("a prefix has no braces"));
        }
        let clock = config.clock.as_deref();
        let login = config.sentinel_login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
        let place = RedisPlace::new(&config.url, &config.tls, login).map_err(of_place)?;
        Ok(Self {
            place: Arc::new(place),
            breakers: Mutex::default(),
            script: Known::new(SCRIPT, clock),
            takes: (1..=MOST_QUOTAS).map(|quotas| Known::new(&takes::script(quotas), clock)).collect(),
            prefix: config.prefix.clone(),
            deadline: config.deadline,
        })
    }

    /// The breaker of a server, for all runtimes; lets go of those whose servers are not `known` any more.
    pub(crate) fn breaker(&self, node: &Node, known: &HashSet<usize>) -> Arc<Breaker> {
        let mut breakers = self.breakers.lock().unwrap_or_else(PoisonError::into_inner);
        breakers.retain(|number, _| known.contains(number));
        breakers.entry(node.number()).or_default().clone()
    }

    fn script(&self, way: Way) -> &Known {
        let short = if let Way::Short(quotas) = way { self.takes.get(quotas.wrapping_sub(1)) } else { None };
        short.unwrap_or(&self.script)
    }
}

impl Link {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        let connections = Arc::new(Connections::new(server.place.clone()));
        Self { server, connections }
    }

    /// Lets go of all connections but those to these servers.
    pub(crate) fn keep(&self, numbers: &HashSet<usize>) {
        self.connections.keep(numbers);
    }

    /// How long a decision may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.server.deadline
    }

    /// Sends a batch once, to this server or where it says the slot is now. A call without an answer may have
    /// run, so it is never sent again.
    pub(crate) async fn call(&self, node: &Arc<Node>, slot: u16, batch: &Batch) -> Result<Vec<u8>, Fault> {
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

    async fn follow(&self, node: &Arc<Node>, slot: u16, batch: &Batch) -> Result<Vec<u8>, Fault> {
        let (mut to, mut is_asking) = (node.clone(), false);
        // Who waits for it should hear that nothing ran.
        let until = Instant::now() + self.server.deadline * 3 / 4;
        let mut redirections = 0;
        while redirections < REDIRECTIONS {
            let next = match self.ask(&to, is_asking, batch).await {
                Ok(bytes) => return Ok(bytes),
                Err(next) => next,
            };
            let place = &self.server.place;
            if !place.is_cluster() {
                return Err(next.fault());
            }
            (to, is_asking) = match next {
                Next::Moved(moved) => {
                    place.moved(slot, &moved);
                    self.look_around();
                    redirections += 1;
                    (moved, false)
                }
                Next::Ask(node) => {
                    redirections += 1;
                    (node, true)
                }
                // Several acts go better one by one.
                Next::Again if batch.is_several() || Instant::now() > until => return Err(Fault::Moving),
                Next::Again => {
                    tokio::time::sleep(PAUSE).await;
                    (place.node(slot).unwrap_or(to), false)
                }
                Next::Fail(error) => return Err(Fault::Failed(error)),
            };
        }
        Err(Fault::Moving)
    }

    async fn ask(&self, node: &Node, is_asking: bool, batch: &Batch) -> Result<Vec<u8>, Next> {
        let asked = tokio::time::timeout(self.server.deadline + PATIENCE, async {
            let mut connection = self.connections.to(node).await.map_err(|error| Next::Fail(of_place(error)))?;
            let way = batch.way();
            let mut ran = self.run(&mut connection, is_asking, way, batch).await;
            // The short way has done nothing, as something else is stored.
            if way != Way::Long && ran.as_ref().is_ok_and(Vec::is_empty) {
                ran = self.run(&mut connection, is_asking, Way::Long, batch).await;
            }
            ran.map_err(|error| {
                if is_of_connection(&error) {
                    self.connections.forget(node);
                }
                Next::of(&error, node, &self.server.place)
            })
        });
        asked.await.unwrap_or_else(|_| {
            self.connections.forget(node);
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
    pub(crate) async fn probe(&self, slot: u16, take: &Batch, undo: &Batch) -> Result<(), LimiterError> {
        let node = self.server.place.node(slot).ok_or(LimiterError::Unavailable)?;
        let mut connection = self.connections.to(&node).await.map_err(of_place)?;
        let script = &self.server.script(Way::Long).script;
        match self.send(&mut connection, false, ("EVAL", script), Way::Long, take).await {
            Ok(_) => {}
            Err(error) if is_of_cluster(&error) && !self.server.place.is_cluster() => {
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
    pub(crate) fn look_around(&self) {
        self.connections.look_around();
    }

    /// Connects; asks a cluster which server has what.
    pub(crate) async fn learn(&self) -> Result<(), LimiterError> {
        self.connections.learn().await.map_err(of_place)
    }
}

impl Next {
    fn of(error: &RedisError, node: &Node, place: &RedisPlace) -> Self {
        match (error.kind(), place.redirected(error, node)) {
            (_, Err(error)) => Self::Fail(of_place(error)),
            (ErrorKind::Server(ServerErrorKind::Moved), Ok(Some(node))) => Self::Moved(node),
            (ErrorKind::Server(ServerErrorKind::Ask), Ok(Some(node))) => Self::Ask(node),
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
