#![doc = include_str!("../README.md")]

mod address;
mod cluster;
mod connections;
mod error;
mod node;
mod place;
mod sentinel;
mod slot;
mod tls;

pub use connections::Connections;
pub use error::PlaceError;
pub use node::Node;
pub use place::RedisPlace;
pub use slot::{hash_tag, key_slot, tag_slot};
pub use tls::RedisTls;
