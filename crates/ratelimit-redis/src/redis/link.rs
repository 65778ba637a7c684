//! The way to the server: one long-lived connection that all callers of a runtime share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_redis::{Config, Connection, Pool, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind};

use crate::LimiterError;
use crate::redis::RedisConfig;
use crate::redis::batch::Batch;

/// The whole arithmetic of a batch, on the server and by its clock.
const SCRIPT: &str = include_str!("script.lua");

/// How long an answer is waited for that nobody needs in time, to give back what was taken; and a
/// connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// What all links have in common.
pub(crate) struct Server {
    pool: Pool,
    script: String,
    digest: String,
    pub(crate) prefix: String,
    pub(crate) deadline: Duration,
}

pub(crate) struct Link {
    server: Arc<Server>,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Server {
    pub(crate) fn new(config: &RedisConfig) -> Result<Self, LimiterError> {
        let pool = Config::from_url(&config.url).create_pool(Some(Runtime::Tokio1));
        let script = match &config.clock {
            Some(key) => SCRIPT.replace("redis.call('TIME')", &format!("redis.call('HMGET', '{key}', 's', 'us')")),
            None => SCRIPT.to_owned(),
        };
        Ok(Self {
            pool: pool.map_err(|_| LimiterError::Settings)?,
            digest: Script::new(&script).get_hash().to_owned(),
            script,
            prefix: config.prefix.clone(),
            deadline: config.deadline,
        })
    }
}

impl Link {
    pub(crate) fn new(server: Arc<Server>) -> Self {
        Self { server, connection: Mutex::new(None) }
    }

    /// The shared connection; the pool makes a new one after an error.
    pub(crate) async fn connection(&self) -> Result<MultiplexedConnection, LimiterError> {
        if let Some(connection) = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(connection);
        }
        let made = self.server.pool.get().await.map(Connection::take).map_err(|_| LimiterError::Unavailable)?;
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
        Ok(made)
    }

    /// Lets go of a connection that does not work: the next call asks for a new one, and by it
    /// whoever is the master then.
    fn disconnect(&self) {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How long a decision may take.
    pub(crate) fn deadline(&self) -> Duration {
        self.server.deadline
    }

    /// Sends a batch once. A call without an answer may have run, so it is never sent again.
    pub(crate) async fn call(&self, batch: &Batch) -> Result<Vec<u8>, LimiterError> {
        let answered = tokio::time::timeout(self.server.deadline + PATIENCE, self.ask(batch)).await;
        answered.unwrap_or_else(|_| {
            self.disconnect();
            Err(LimiterError::Unavailable)
        })
    }

    async fn ask(&self, batch: &Batch) -> Result<Vec<u8>, LimiterError> {
        let mut connection = self.connection().await?;
        let (keys, arguments) = batch.encode(&self.server.prefix);
        let command = |name: &str, script: &str| -> Cmd {
            let mut command = redis::cmd(name);
            command.arg(script).arg(keys.len()).arg(&keys).arg(&arguments);
            command
        };
        let reply = match command("EVALSHA", &self.server.digest).query_async(&mut connection).await {
            Err(error) if is_without_script(&error) => {
                command("EVAL", &self.server.script).query_async(&mut connection).await
            }
            other => other,
        };
        reply.map_err(|error| {
            if is_of_connection(&error) {
                self.disconnect();
            }
            LimiterError::Unavailable
        })
    }
}

fn is_without_script(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Errors after which the connection is no good, or leads to a server that is not the master.
fn is_of_connection(error: &RedisError) -> bool {
    let is_elsewhere = matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown)
    );
    is_elsewhere || error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}
