//! A server with a temporary folder and a free port of its own; NATS and Redis.

use std::{
    fmt, io,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Command,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    failure::Failure,
    identity::Identity,
    process::{Limits, Process},
};

/// A running server. Dropping it stops the server and then removes its folder.
pub struct ThrowAwayServer {
    address: String,
    process: Process,
    #[cfg_attr(not(test), expect(dead_code, reason = "dropped last: removes the folder"))]
    folder: TempDir,
}

/// What differs between servers, apart from the command.
pub(crate) struct Kind {
    /// In the log once the server takes requests.
    pub(crate) ready_line: &'static str,
    pub(crate) stop_with: Signal,
    /// The address with this in front of `127.0.0.1:PORT`, and this behind.
    pub(crate) url: (&'static str, &'static str),
}

impl ThrowAwayServer {
    /// `command` gets the folder for the data and the port to listen on.
    pub(crate) fn start(
        kind: &Kind,
        folder: TempDir,
        command: impl FnOnce(&Path, &str) -> Command,
    ) -> Result<Self, Failure> {
        let port = free_port()?;
        let mut command = command(folder.path(), &port.to_string());
        command.current_dir(&folder);
        let limits = Limits::stop_with(kind.stop_with);
        let mut process = Process::launch(&mut command, folder.path().join("log"), limits)?;
        process.wait_until_ready(kind.ready_line, port)?;
        let (before, after) = kind.url;
        Ok(Self { address: format!("{before}127.0.0.1:{port}{after}"), process, folder })
    }

    /// The URL for its clients.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// An error if the server ended on its own.
    pub fn check_running(&mut self) -> Result<(), Failure> {
        self.process.check_running()
    }

    #[cfg(test)]
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl fmt::Debug for ThrowAwayServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ThrowAwayServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// NATS with JetStream.
pub fn nats() -> Result<ThrowAwayServer, Failure> {
    start_nats("nats://", None)
}

/// NATS with JetStream, which requires TLS with this certificate.
pub fn nats_with_tls(identity: &Identity) -> Result<ThrowAwayServer, Failure> {
    start_nats("tls://", Some(identity))
}

fn start_nats(
    scheme: &'static str,
    identity: Option<&Identity>,
) -> Result<ThrowAwayServer, Failure> {
    let kind = Kind { ready_line: "Server is ready", stop_with: Signal::TERM, url: (scheme, "") };
    let folder = new_folder(tempfile::tempdir())?;
    let tls = new_folder(identity.map(|identity| identity.write(folder.path())).transpose())?;
    ThrowAwayServer::start(&kind, folder, |folder, port| {
        let mut command = Command::new("nats-server");
        command.args(["--addr", "127.0.0.1", "--port", port, "--jetstream", "--store_dir"]);
        command.arg(folder.join("data"));
        if let Some([certificate, key]) = tls {
            command.arg("--tls").arg("--tlscert").arg(certificate).arg("--tlskey").arg(key);
        }
        command
    })
}

/// Redis with `appendfsync always`: a reply is sent after the write is on disk.
pub fn redis() -> Result<ThrowAwayServer, Failure> {
    let kind = Kind {
        ready_line: "Ready to accept connections",
        stop_with: Signal::TERM,
        url: ("redis://", ""),
    };
    ThrowAwayServer::start(&kind, new_folder(tempfile::tempdir())?, |folder, port| {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", port, "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        // A rewrite of the file would disturb what is measured next.
        command.args(["--auto-aof-rewrite-percentage", "0", "--dir"]).arg(folder);
        command
    })
}

pub(crate) fn new_folder<T>(made: io::Result<T>) -> Result<T, Failure> {
    made.map_err(|error| {
        Failure::new(
            format!("no temporary folder for a server can be made: {error}"),
            "set TMPDIR to a folder with free space that every user may enter, such as /tmp",
        )
    })
}

pub(crate) fn free_port() -> Result<u16, Failure> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|taken| taken.local_addr());
    free.map(|address| address.port()).map_err(|error| {
        Failure::new(format!("no port is free on 127.0.0.1: {error}"), "end what uses them all")
    })
}
