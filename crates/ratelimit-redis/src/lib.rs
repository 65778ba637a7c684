#![doc = include_str!("../README.md")]

mod bucket;
mod headers;
mod limiter;
mod memory;
mod quota;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "testing")]
pub mod testing;

pub use headers::{rate_limit, rate_limit_policy, retry_after};
pub use limiter::{Actual, BoxFuture, Charge, Decision, Denial, Limiter, LimiterError, Reservation, Standing, TooDear};
pub use memory::MemoryLimiter;
pub use quota::{Quota, Window};
#[cfg(feature = "redis")]
pub use redis::{RedisConfig, RedisLimiter};
