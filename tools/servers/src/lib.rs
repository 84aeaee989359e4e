#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

#[cfg(feature = "tls")]
pub use self::tls::Authority;
pub use self::{
    config::search_path,
    failure::{Failure, WAY_AROUND},
    identity::Identity,
    postgres::{Durability, postgres, postgres_with_tls},
    process::poll,
    server::{ThrowAwayServer, nats, nats_with_tls, redis},
};

mod config;
mod failure;
mod identity;
mod postgres;
mod process;
mod server;
#[cfg(feature = "tls")]
mod tls;

#[cfg(test)]
mod tests;
