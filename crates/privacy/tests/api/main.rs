//! The crate through its public API.
#![expect(clippy::indexing_slicing, clippy::string_slice, clippy::unwrap_used, reason = "a test fails by panicking")]

mod distinct;
mod dp;
mod mechanisms;
mod monitor;
mod perturb;
mod perturb_noise;
mod perturb_vectors;
mod protected;
mod protected_file;
mod told;
mod vote;
mod watch;
