#![doc = include_str!("../README.md")]

pub mod distinct;
mod perturb;
mod secret;

pub use perturb::{Input, NotFinite, Perturb, PerturbBuilder, PerturbError, PerturbVectors};
pub use secret::PrivacySecret;
