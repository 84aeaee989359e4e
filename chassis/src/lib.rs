#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod actuator;
pub mod client;
pub mod clock;
pub mod config;
pub mod hal;
pub mod health;
pub mod json;
pub mod listen;
pub mod metrics;
pub mod problem;
pub mod process;
pub mod telemetry;
pub mod trace;
