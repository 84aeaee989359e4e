#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

use std::{
    fmt, io,
    net::{Ipv4Addr, TcpListener},
};

use tempfile::TempDir;

use self::running::Running;
pub use self::{config::search_path, failure::Failure, postgres::Durability, running::look};

mod config;
mod failure;
mod nats;
mod postgres;
mod redis;
mod running;

/// For when a server does not do what it should.
pub const WAY_AROUND: &str = "do what the reason above asks for, or do without: \
                              `cargo xtask test --embedded-only` leaves those tests out, `cargo xtask \
                              bench --only a,b` those measurements, and a drill takes a PostgreSQL of \
                              yours with --database";

/// A PostgreSQL: as fast as it gets, since what it holds is thrown away, or as it is installed.
pub fn postgres(durability: Durability) -> Result<Service, Failure> {
    postgres::start(durability)
}

/// A NATS with its streams.
pub fn nats() -> Result<Service, Failure> {
    nats::start()
}

/// A Redis that answers once the disk has it: `appendfsync always`.
pub fn redis() -> Result<Service, Failure> {
    redis::start()
}

/// A server that is up. It ends, before its folder is removed, when this goes.
pub struct Service {
    address: String,
    server: Running,
    #[cfg_attr(not(test), expect(dead_code, reason = "held to be removed in the end"))]
    folder: TempDir,
}

fn free_port() -> Result<u16, Failure> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|taken| taken.local_addr());
    free.map(|address| address.port()).map_err(|error| {
        Failure::new(format!("no port is free on 127.0.0.1: {error}"), "end what holds them all")
    })
}

fn no_folder(error: &io::Error) -> Failure {
    Failure::new(
        format!("no temporary folder can be made for a server: {error}"),
        "set TMPDIR to a folder that has space and that everybody may enter, as in /tmp",
    )
}

impl Service {
    /// Where it listens, as programs are told.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A server that ended on its own may be why something failed.
    pub fn still_up(&mut self) -> Result<(), Failure> {
        self.server.still_up()
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Service").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
