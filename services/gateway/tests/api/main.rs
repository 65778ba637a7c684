//! The gateway through its listeners: one binary, real sockets, real files, scripted model servers.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod acme;
mod acme_authority;
mod acme_request;
mod admin;
mod admin_keys;
mod admit;
mod attacks;
mod audit_trail;
mod auth;
mod canaries;
mod claims;
mod cli;
mod cli_audit;
mod cli_keys;
mod cluster;
mod codes;
mod config;
mod connections;
mod disclosure;
mod edge;
mod errors;
mod helpers;
mod known_answers;
mod known_failures;
mod limit_reports;
mod messages;
mod messages_head;
mod monitors;
mod one_by_one;
mod packed;
mod quotas;
mod redis_places;
mod releases;
mod respond;
mod revocation;
mod screen;
mod screening_reports;
mod screening_rules;
mod servers;
mod shutdown;
mod specs;
mod stream;
mod tensors;
mod tls;
mod trail_cluster;
mod trail_keeping;
mod trail_kills;
mod trail_outages;
mod votes;
