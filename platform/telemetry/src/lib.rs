#![doc = include_str!("../README.md")]

pub mod clock;
mod error;
pub mod logs;
pub mod metrics;
pub mod trace;

pub use error::{BoxError, error_chain};
