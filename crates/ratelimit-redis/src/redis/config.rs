//! Where Redis is, and how it is asked.

use std::fmt;
use std::time::Duration;

use redis_place::RedisTls;

use crate::LimiterError;
use crate::redis::link::Server;

/// Where Redis is, and how it is asked.
#[non_exhaustive]
#[derive(Clone)]
pub struct RedisConfig {
    /// One of
    ///
    /// - `redis://[user:password@]host[:port][/database]`, or `redis+unix:///path`,
    /// - `redis+sentinel://[user:password@]host[:port][,host[:port]...]/name[/database]`: the sentinels, and
    ///   the name under which they know the master. The user is the one of the servers,
    /// - `redis+cluster://[user:password@]host[:port][,host[:port]...]`: some servers of a cluster.
    ///
    /// With `rediss` in the place of `redis` all connections are TLS.
    pub url: String,
    /// Before every key, so that several users can share a server; without braces. Default `rl1:`.
    pub prefix: String,
    /// How long one decision may take; beyond it there is none. Default 50 ms.
    pub deadline: Duration,
    /// Calls under way at once, each with all decisions that waited for it. Default 2.
    pub in_flight: usize,
    /// Whether what was denied is denied again, for at most 50 ms, without asking. Default true.
    pub remember_denials: bool,
    pub(crate) tls: RedisTls,
    pub(crate) sentinel_login: Option<(String, String)>,
    pub(crate) clock: Option<String>,
}

impl RedisConfig {
    /// The server at `url`, with the defaults.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: "rl1:".to_owned(),
            deadline: Duration::from_millis(50),
            in_flight: 2,
            remember_denials: true,
            tls: RedisTls::default(),
            sentinel_login: None,
            clock: None,
        }
    }

    /// Certificates for an address with `rediss`. If the process has no default crypto provider for rustls when it
    /// connects, it gets aws-lc-rs; install another one before, if you want it.
    #[must_use]
    pub fn tls(mut self, tls: RedisTls) -> Self {
        self.tls = tls;
        self
    }

    /// What the sentinels themselves ask for. An empty user is the default one.
    #[must_use]
    pub fn sentinel_login(mut self, user: &str, password: &str) -> Self {
        self.sentinel_login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Reads the address, the certificates and the prefix, without connecting.
    ///
    /// # Errors
    /// [`LimiterError::Settings`], with the reason.
    pub fn check(&self) -> Result<(), LimiterError> {
        Server::new(self).map(drop)
    }

    /// Takes the time from the fields `s` and `us` of a hash in Redis, which a test sets.
    #[cfg(feature = "testing")]
    #[must_use]
    pub fn clock(mut self, key: &str) -> Self {
        self.clock = Some(key.to_owned());
        self
    }
}

impl fmt::Debug for RedisConfig {
    /// Without the address, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
