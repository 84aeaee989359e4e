//! Servers for tests and measurements.
//!
//! They run in a process of their own, whose standard input is a pipe from this one. The pipe closes
//! when this process ends in any way, even killed; then that process stops the servers. Ctrl-C at the
//! terminal does not reach it.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::ValueEnum;
use servers::{Durability, Failure, ThrowAwayServer, WAY_AROUND, poll};

/// A server that can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ServerKind {
    /// PostgreSQL for tests, with `fsync=off`.
    Postgres,
    /// PostgreSQL with its default durability.
    DurablePostgres,
    /// NATS with JetStream.
    Nats,
    /// Redis with `appendfsync always`.
    Redis,
}

impl ServerKind {
    /// The environment variable with its address.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres | Self::DurablePostgres => "ANTICORONA_TEST_POSTGRES",
            Self::Nats => "ANTICORONA_TEST_NATS",
            Self::Redis => "ANTICORONA_BENCH_REDIS",
        }
    }

    fn start(self) -> Result<ThrowAwayServer, Failure> {
        match self {
            Self::Postgres => servers::postgres(Durability::None),
            Self::DurablePostgres => servers::postgres(Durability::Full),
            Self::Nats => servers::nats(),
            Self::Redis => servers::redis(),
        }
    }
}

/// Longer than it takes to kill each server.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// The process that runs the servers. Dropping it stops them.
#[derive(Debug)]
pub struct BackgroundServers {
    process: Child,
    variables: Vec<(String, String)>,
}

impl BackgroundServers {
    /// Starts the servers and waits until all are ready. The current program must have a command
    /// `servers` that calls [`run`].
    pub fn start(kinds: &[ServerKind]) -> Result<Self, Failure> {
        let this = env::current_exe().map_err(|error| {
            Failure::new(format!("the path of this program is unknown: {error}"), "build it again")
        })?;
        let kinds = kinds.iter().filter_map(ValueEnum::to_possible_value);
        let mut command = Command::new(this);
        command.arg("servers").args(kinds.map(|kind| kind.get_name().to_owned()));
        Self::start_with(&mut command)
    }

    /// The environment variables with the addresses.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// The address of a server, if it was started.
    pub fn address(&self, kind: ServerKind) -> Option<&str> {
        let found = self.variables.iter().find(|(name, _)| name == kind.variable());
        found.map(|(_, address)| address.as_str())
    }

    fn start_with(command: &mut Command) -> Result<Self, Failure> {
        // In a process group of its own, since a terminal sends Ctrl-C to our group.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let process = command.spawn().map_err(|error| {
            let what = format!("the process for the servers could not be started: {error}");
            Failure::new(what, WAY_AROUND)
        })?;
        let mut this = Self { process, variables: Vec::new() };
        // Empty if a server did not start; that process has printed why.
        let mut line = String::new();
        if let Some(output) = &mut this.process.stdout {
            BufReader::new(output).read_line(&mut line).ok();
        }
        let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
        this.variables = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if this.variables.is_empty() {
            return Err(Failure::new("the servers did not start", WAY_AROUND));
        }
        Ok(this)
    }
}

impl Drop for BackgroundServers {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let process = &mut self.process;
        if poll(STOP_WITHIN, || process.try_wait().ok().flatten()).is_none() {
            eprintln!("xtask: the servers do not stop; find them with `ps`");
            process.kill().ok();
            process.wait().ok();
        }
    }
}

/// Starts the servers, prints their variables on one line, and stops them when the input ends.
pub fn run(kinds: &[ServerKind]) -> Result<(), Failure> {
    let mut servers = Vec::new();
    let mut variables = Vec::new();
    for kind in kinds {
        let server = kind.start()?;
        variables.push(format!("{}={}", kind.variable(), server.address()));
        servers.push(server);
    }
    // Fails if the reader has ended; then the input has ended too.
    writeln!(io::stdout(), "{}", variables.join(" ")).ok();
    io::copy(&mut io::stdin().lock(), &mut io::sink()).ok();
    servers.iter_mut().try_for_each(ThrowAwayServer::check_running)
}

#[cfg(test)]
mod tests;
