#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod actuator;
pub mod client;
pub mod clock;
pub mod config;
pub mod fault;
pub mod hal;
pub mod health;
mod ingress;
pub mod isolation;
pub mod json;
pub mod listen;
pub mod metrics;
pub mod page;
pub mod problem;
pub mod process;
pub mod telemetry;
pub mod trace;
