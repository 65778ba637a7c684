#![doc = include_str!("../README.md")]

pub mod distinct;
mod perturb;

pub use perturb::{Input, NoiseSecret, NotFinite, Perturb, PerturbBuilder, PerturbError, PerturbVectors};
