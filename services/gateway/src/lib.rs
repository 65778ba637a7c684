//! Portcullis: a security gateway in front of AI inference APIs.
//!
//! The library is what the binary and its tests share: [`Gateway::bind`] opens every part and binds
//! both listeners, [`Gateway::run_until`] answers until it is told to stop.

mod admin;
mod app;
pub mod cli;
pub mod config;
mod data_dir;
mod disclosure;
mod edge;
mod http;
mod judge;
mod key_form;
mod key_store;
mod models;
mod monitors;
mod protected;
mod quotas;
mod redis;
mod release;
mod request_id;
mod rules;
mod screening;
mod telemetry;
mod tls;
mod trail;
mod upkeep;

pub use admin::Reloader;
pub use app::{Gateway, StartError};
pub use data_dir::{DataDir, DataDirError};
pub use tls::TlsError;
