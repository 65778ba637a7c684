#![doc = include_str!("../README.md")]

mod bucket;
mod charge;
mod decision;
mod headers;
mod ledger;
mod limiter;
mod memory;
mod op;
mod prepaid;
mod quota;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "testing")]
pub mod testing;
mod unit;

pub use charge::{Actual, Charge, MAX_CHARGES, MAX_NAME_BYTES};
pub use decision::{Decision, Denial, Reservation, Standing, TooDear};
pub use headers::{openai_headers, rate_limit, rate_limit_policy, retry_after};
pub use limiter::{BoxFuture, Limiter, LimiterError};
pub use memory::MemoryLimiter;
pub use prepaid::PrepaidLimiter;
pub use quota::{OnOutage, Quota, TooLarge, Window};
#[cfg(all(feature = "redis", feature = "testing"))]
pub use redis::Alone;
#[cfg(feature = "redis")]
pub use redis::{RedisConfig, RedisLimiter, RedisTls};
pub use unit::is_same_unit;
