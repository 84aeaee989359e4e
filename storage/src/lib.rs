#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod database;
pub mod inbox;
pub mod migrate;
pub mod outbox;
pub mod postgres;
pub mod rows;
pub mod slowed;
pub mod sql;
mod sqlite;
pub mod store;
pub mod writer;
