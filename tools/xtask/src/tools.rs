//! The installed programs that tests and measurements need, and how they are installed.
//! A new one is one constant here and, for tests, an entry of [`TOOLS`]. A Python package is one line
//! in `deploy/check/requirements.txt`.

pub mod machine;
pub mod python;

use std::{env, ffi::OsString, process::Stdio};

use servers::{Failure, WAY_AROUND};

use self::{machine::Machine, python::Environment};
use crate::child;

/// The tools that tests need.
pub const TOOLS: &[Tool] = &[SIEGE, POSTGRES, NATS, PYTHON, NETWORKS, FAKETIME];

/// Installs and runs the tools that are Python packages.
pub const PYTHON: Tool = Tool {
    programs: &["python3", "pip3"],
    package: "python3-pip",
    needed_for: "the tests that check the files of deploy/ and the OpenAPI documents, and those with a \
                 mesh proxy between services",
    skipped_tests: &["kubectl", "jsonschema", "promql", "envoy", "schemathesis"],
};

/// Network namespaces.
pub const NETWORKS: Tool = Tool {
    programs: &["ip"],
    package: "iproute2",
    needed_for: "running the program alone in an empty root and a network namespace",
    skipped_tests: &[],
};

/// Sets the wall clock of one process.
pub const FAKETIME: Tool = Tool {
    programs: &["faketime"],
    package: "faketime",
    needed_for: "the test whose wall clock is set back",
    skipped_tests: &["faketime"],
};

/// The load generator of the reference.
pub const SIEGE: Tool = Tool {
    programs: &["siege"],
    package: "siege",
    needed_for: "the loads that use the siege command lines of the reference",
    skipped_tests: &["siege"],
};

/// The database and its load generator.
pub const POSTGRES: Tool = Tool {
    programs: &["initdb", "postgres", "pgbench"],
    package: "postgresql",
    needed_for: "tests and measurements on PostgreSQL",
    skipped_tests: &["postgres"],
};

/// The message broker.
pub const NATS: Tool = Tool {
    programs: &["nats-server"],
    package: "nats-server",
    needed_for: "the tests with events over NATS",
    skipped_tests: &["nats"],
};

/// The in-memory store and its load generator.
pub const REDIS: Tool = Tool {
    programs: &["redis-server", "redis-cli", "redis-benchmark"],
    package: "redis-server",
    needed_for: "the measurement beside Redis",
    skipped_tests: &[],
};

/// Programs of one package.
#[derive(Debug)]
pub struct Tool {
    /// All of them are needed.
    pub programs: &'static [&'static str],
    /// The Debian package.
    pub package: &'static str,
    /// Ends the sentence "it is needed for …".
    pub needed_for: &'static str,
    /// Parts of the names of the tests that need it, for `--skip`.
    pub skipped_tests: &'static [&'static str],
}

/// Installs the tool unless all its programs exist.
pub fn provide(tool: &Tool, machine: &mut impl Machine) -> Result<(), Failure> {
    let Some(program) = missing_program(tool, machine) else { return Ok(()) };
    let Tool { package, needed_for, .. } = tool;
    println!("`{program}` is missing, installing package {package}");
    install(tool, machine).map_err(|why| {
        Failure::new(
            format!("`{program}` is missing. It is needed for {needed_for}.\n  {why}"),
            format!("install it (on Debian: `apt-get install {package}` as root); {WAY_AROUND}"),
        )
    })
}

fn missing_program(tool: &Tool, machine: &impl Machine) -> Option<&'static str> {
    tool.programs.iter().copied().find(|program| !machine.has(program))
}

fn install(tool: &Tool, machine: &mut impl Machine) -> Result<(), String> {
    if !machine.has("apt-get") {
        return Err("apt-get, which would install it, is missing too".to_owned());
    }
    let install = ["apt-get", "install", "--yes", "--no-install-recommends", tool.package];
    if as_root(machine, &install).is_err() {
        // The package lists may be missing or out of date.
        as_root(machine, &["apt-get", "update"])?;
        as_root(machine, &install)?;
    }
    let missing = missing_program(tool, machine);
    let error = |it| format!("its package is installed, but `{it}` is still not on PATH");
    missing.map_or(Ok(()), |program| Err(error(program)))
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

/// The machine that this program runs on.
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
        let errors = String::from_utf8_lossy(&output.stderr);
        let last =
            errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason given");
        Err(format!("`{}` failed: {last}", command.join(" ")))
    }
}

/// The Python environment, since it has the required versions, then PATH and the folders of servers.
pub fn search_path() -> OsString {
    let path = servers::search_path();
    let ours = Environment::of_tests().programs();
    let folders = std::iter::once(ours).chain(env::split_paths(&path));
    env::join_paths(folders).unwrap_or(path) // Fails only for a folder that PATH cannot hold.
}

#[cfg(test)]
mod tests;
