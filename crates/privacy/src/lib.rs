#![doc = include_str!("../README.md")]

pub mod distinct;
pub mod dp;
mod monitor;
mod perturb;
mod protected;
mod secret;
pub mod vote;

pub use monitor::{
    Calibration, CalibrationError, Change, Monitor, Observed, Projection, Reason, StateError, Suspicion, Trace, Watch,
    Watched, margin,
};
pub use perturb::{Input, NotFinite, Perturb, PerturbBuilder, PerturbError, PerturbVectors};
pub use protected::{Protected, ProtectedBuilder, ProtectedError, ProtectedSecret, ProtectedStream};
pub use secret::PrivacySecret;
