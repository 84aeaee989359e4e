#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod admission;
pub mod balance;
pub mod breaker;
pub mod codel;
pub mod config;
pub mod deadline;
pub mod limiter;
pub mod retry_budget;
pub mod throughput;
pub mod time;
pub mod wait_queue;

mod window;
