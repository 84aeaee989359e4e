#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod admission;
pub mod balance;
pub mod breaker;
pub mod budget;
pub mod codel;
pub mod deadline;
pub mod dice;
pub mod drain;
pub mod layer;
pub mod limiter;
pub mod line;
pub mod stack;
pub mod time;

mod pair;
mod sync;
