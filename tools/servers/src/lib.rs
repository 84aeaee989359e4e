#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub use self::{
    config::search_path,
    failure::{Failure, WAY_AROUND},
    postgres::{Durability, postgres},
    process::poll,
    server::{ThrowAwayServer, nats, redis},
};

mod config;
mod failure;
mod postgres;
mod process;
mod server;

#[cfg(test)]
mod tests;
