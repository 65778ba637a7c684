#![doc = include_str!("../README.md")]

pub mod distinct;
mod monitor;
mod perturb;
mod secret;

pub use monitor::{Calibration, CalibrationError, Monitor, Projection, Reason, StateError, Suspicion, Trace, margin};
pub use perturb::{Input, NotFinite, Perturb, PerturbBuilder, PerturbError, PerturbVectors};
pub use secret::PrivacySecret;
