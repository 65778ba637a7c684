//! Real parts for tests.
//!
//! [`FakeServer`] is a model server on a free port that says exactly what a test tells it to, over a
//! real socket: whole answers, streams with pauses, broken answers, silence. It keeps what it was
//! asked and counts the connections that are open. [`RedisServer`] and [`PostgresServer`]
//! are real ones on a socket of their own; [`RedisTls`], [`RedisSentinels`] and [`RedisCluster`] are Redis
//! servers on free ports of this machine.

mod fake_server;
mod postgres_server;
mod redis_cluster;
mod redis_sentinel;
mod redis_server;
mod redis_tls;

pub use fake_server::{Asked, FakeServer, Say};
pub use postgres_server::PostgresServer;
pub use redis_cluster::RedisCluster;
pub use redis_sentinel::RedisSentinels;
pub use redis_server::RedisServer;
pub use redis_tls::{Certificates, RedisTls};
