#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod inbox;
pub mod outbox;
pub mod rows;
pub mod sqlite;
pub mod writer;
