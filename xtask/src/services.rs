//! Servers for tests and measurements: in temporary folders on free ports, stopped at the end.
//!
//! They live in a process of their own, the keeper. Its input ends when we do, in whatever way we
//! end, even killed; then it stops them. Ctrl-C at the terminal does not reach it.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::Duration,
};

use clap::ValueEnum;
use servers::{Durability, Failure, Service, WAY_AROUND, look};

/// What can be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// PostgreSQL for tests: it answers before the disk has it.
    Postgres,
    /// PostgreSQL as it is installed: `fsync=on`, `synchronous_commit=on`.
    DurablePostgres,
    /// NATS with its streams.
    Nats,
    /// Redis that answers once the disk has it: `appendfsync always`.
    Redis,
}

impl Kind {
    /// The variable in which its address is found.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres | Self::DurablePostgres => "ANTICORONA_TEST_POSTGRES",
            Self::Nats => "ANTICORONA_TEST_NATS",
            Self::Redis => "ANTICORONA_BENCH_REDIS",
        }
    }

    /// On the command line of the keeper.
    fn word(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::DurablePostgres => "durable-postgres",
            Self::Nats => "nats",
            Self::Redis => "redis",
        }
    }

    fn start(self) -> Result<Service, Failure> {
        match self {
            Self::Postgres => servers::postgres(Durability::None),
            Self::DurablePostgres => servers::postgres(Durability::Full),
            Self::Nats => servers::nats(),
            Self::Redis => servers::redis(),
        }
    }
}

/// How long the keeper may take to stop them all. Longer than it takes to kill each of them.
const KEEPER_STOPS_WITHIN: Duration = Duration::from_secs(30);

/// The servers, as long as this lives.
#[derive(Debug)]
pub struct Services {
    keeper: Child,
    variables: Vec<(String, String)>,
}

impl Services {
    /// Starts them, and waits until each is up. This program must know the command `services`, which
    /// calls [`keep`].
    pub fn start(kinds: &[Kind]) -> Result<Self, Failure> {
        let this = env::current_exe().map_err(|error| {
            Failure::new(format!("this program does not find itself: {error}"), "build it again")
        })?;
        Self::kept_by(Command::new(this).arg("services").args(kinds.iter().map(|kind| kind.word())))
    }

    /// Where each is, under the name of its variable, as tests find it in their environment.
    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    /// Where that one is; none if it was not started.
    pub fn address(&self, kind: Kind) -> Option<&str> {
        let found = self.variables.iter().find(|(name, _)| name == kind.variable());
        found.map(|(_, address)| address.as_str())
    }

    fn kept_by(keeper: &mut Command) -> Result<Self, Failure> {
        // In a process group of its own, since a terminal sends Ctrl-C to all of ours.
        keeper.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let keeper = keeper.spawn().map_err(|error| {
            let what = format!("what keeps the servers could not be started: {error}");
            Failure::new(what, WAY_AROUND)
        })?;
        let mut services = Self { keeper, variables: Vec::new() };
        services.variables = variables(&services.first_line());
        if services.variables.is_empty() {
            return Err(Failure::new("the servers are not up", WAY_AROUND));
        }
        Ok(services)
    }

    /// Empty if the keeper ends before it has one; it has said why.
    fn first_line(&mut self) -> String {
        let mut line = String::new();
        if let Some(output) = &mut self.keeper.stdout {
            BufReader::new(output).read_line(&mut line).ok();
        }
        line
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let keeper = &mut self.keeper;
        let ended = look(KEEPER_STOPS_WITHIN, || keeper.try_wait().ok().flatten());
        if ended.is_none() {
            eprintln!("xtask: the servers do not stop; look for them with `ps`");
            keeper.kill().ok();
            keeper.wait().ok();
        }
    }
}

fn variables(line: &str) -> Vec<(String, String)> {
    let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The keeper: starts the servers, says where they are, and stops them when its input ends.
pub fn keep(kinds: &[Kind]) -> Result<(), Failure> {
    let mut services = Vec::new();
    let mut variables = Vec::new();
    for kind in kinds {
        let service = kind.start()?;
        variables.push(format!("{}={}", kind.variable(), service.address()));
        services.push(service);
    }
    // Nobody may be left to hear it. Then the input has ended too.
    writeln!(io::stdout(), "{}", variables.join(" ")).ok();
    io::copy(&mut io::stdin().lock(), &mut io::sink()).ok();
    services.iter_mut().try_for_each(Service::still_up)
}

#[cfg(test)]
mod tests;
