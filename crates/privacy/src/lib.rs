#![doc = include_str!("../README.md")]

mod perturb;

pub use perturb::{Input, NoiseSecret, NotFinite, Perturb, PerturbBuilder, PerturbError, PerturbVectors};
pub mod distinct;
