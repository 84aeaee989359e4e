//! The programs from outside that tests and measurements need: which, why, and how they get here.
//! A further one is one row here, and for tests in [`TOOLS`]; a server also is one file in
//! `services/`. What comes as a Python package is one line in `deploy/check/requirements.txt`.

pub mod python;

use std::{env, ffi::OsString, process::Stdio};

use servers::{Failure, WAY_AROUND};

use self::python::Environment;
use crate::child;

/// Every tool that some test needs.
pub const TOOLS: &[Tool] = &[SIEGE, POSTGRES, NATS, PYTHON, NETWORKS];

/// What installs and runs the tools that are Python packages.
pub const PYTHON: Tool = Tool {
    programs: &["python3", "pip3"],
    package: "python3-pip",
    needed_for: "the tests that check the files of deploy/, and that put a mesh's proxy between \
                 parts",
    skipped_tests: &["kubectl", "jsonschema", "promql", "envoy"],
};

/// Networks of one's own.
pub const NETWORKS: Tool = Tool {
    programs: &["ip"],
    package: "iproute2",
    needed_for: "running the program alone in an empty root and a network of its own",
    skipped_tests: &[],
};

/// The seed's load generator.
pub const SIEGE: Tool = Tool {
    programs: &["siege"],
    package: "siege",
    needed_for: "the loads that type the same siege lines as an operator does",
    skipped_tests: &["siege"],
};

/// A database, and what measures it.
pub const POSTGRES: Tool = Tool {
    programs: &["initdb", "postgres", "pgbench"],
    package: "postgresql",
    needed_for: "what keeps its data in PostgreSQL",
    skipped_tests: &["postgres"],
};

/// A broker of events.
pub const NATS: Tool = Tool {
    programs: &["nats-server"],
    package: "nats-server",
    needed_for: "the tests that send their events over NATS",
    skipped_tests: &["nats"],
};

/// A store in memory, and what measures it.
pub const REDIS: Tool = Tool {
    programs: &["redis-server", "redis-cli", "redis-benchmark"],
    package: "redis-server",
    needed_for: "the measurement beside Redis",
    skipped_tests: &[],
};

/// What something here needs, and one package brings.
#[derive(Debug)]
pub struct Tool {
    /// All of them must be there.
    pub programs: &'static [&'static str],
    /// The Debian package that holds them.
    pub package: &'static str,
    /// Completes the sentence "it is needed for …".
    pub needed_for: &'static str,
    /// Parts of test names, as `--skip` takes them: the tests that cannot run without it. None if
    /// it is needed for something else.
    pub skipped_tests: &'static [&'static str],
}

/// Where programs are found and started: this machine, or a scripted one in tests.
pub trait Machine {
    /// Whether it would find that program.
    fn has(&self, program: &str) -> bool;
    /// Whether we are root here.
    fn is_root(&self) -> bool;
    /// Runs it to its end. An error holds what the program said last.
    fn run(&mut self, command: &[&str]) -> Result<(), String>;
}

/// Installs the tool unless it is there.
pub fn provide(tool: &Tool, machine: &mut impl Machine) -> Result<(), Failure> {
    let Some(program) = lacking(tool, machine) else { return Ok(()) };
    if !machine.has("apt-get") {
        return Err(missing(tool, program, "there is no apt-get here to install it with"));
    }
    println!("`{program}` is missing, installing package {}", tool.package);
    install(tool, machine).map_err(|why| missing(tool, program, &why))?;
    let Some(program) = lacking(tool, machine) else { return Ok(()) };
    Err(missing(tool, program, "its package is installed, but the program is still not on PATH"))
}

fn lacking(tool: &Tool, machine: &impl Machine) -> Option<&'static str> {
    tool.programs.iter().copied().find(|program| !machine.has(program))
}

fn install(tool: &Tool, machine: &mut impl Machine) -> Result<(), String> {
    let install = ["apt-get", "install", "--yes", "--no-install-recommends", tool.package];
    if as_root(machine, &install).is_ok() {
        return Ok(());
    }
    // A fresh machine has no package lists, an old one has lists of packages that are gone.
    as_root(machine, &["apt-get", "update"])?;
    as_root(machine, &install)
}

fn as_root(machine: &mut impl Machine, command: &[&str]) -> Result<(), String> {
    if machine.is_root() {
        return machine.run(command);
    }
    if !machine.has("sudo") {
        return Err("installing needs root, and there is no sudo".to_owned());
    }
    machine.run(&[&["sudo", "-n"], command].concat())
}

fn missing(tool: &Tool, program: &str, why: &str) -> Failure {
    let Tool { programs: _, package, needed_for, skipped_tests: _ } = tool;
    Failure::new(
        format!("`{program}` is missing. It is needed for {needed_for}.\n  {why}"),
        format!("install it (on Debian: `apt-get install {package}` as root); {WAY_AROUND}"),
    )
}

/// The machine that we run on.
#[derive(Debug)]
pub struct ThisMachine;

impl Machine for ThisMachine {
    fn has(&self, program: &str) -> bool {
        env::split_paths(&search_path()).any(|folder| folder.join(program).is_file())
    }

    fn is_root(&self) -> bool {
        child::printed(child::program("id").arg("-u"), "").is_ok_and(|id| id.trim() == "0")
    }

    fn run(&mut self, command: &[&str]) -> Result<(), String> {
        let [program, args @ ..] = command else { return Ok(()) };
        let output = child::program(program)
            .args(args)
            .env("PATH", search_path())
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("`{program}` could not be started: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given");
        Err(format!("`{}` failed: {last}", command.join(" ")))
    }
}

/// PATH as servers need it, and before it what comes from Python: it holds the very versions that were
/// asked for.
pub fn search_path() -> OsString {
    let path = servers::search_path();
    let ours = Environment::of_tests().programs();
    let folders = std::iter::once(ours).chain(env::split_paths(&path));
    env::join_paths(folders).unwrap_or(path) // Fails only for a folder that PATH cannot hold.
}

#[cfg(test)]
mod tests;
