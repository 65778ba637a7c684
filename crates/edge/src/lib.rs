#![doc = include_str!("../README.md")]

mod framing;
mod proxies;
mod proxy_header;

pub use framing::{Framing, Next, Refusal, without_expect};
pub use proxies::{InvalidForwardedFor, Proxies};
pub use proxy_header::read_proxy_header;
