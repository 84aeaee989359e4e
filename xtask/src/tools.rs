//! The programs from outside that tests need: which, why, and how they get here.
//! A further one is one row in [`TOOLS`]; a server also is one file in `services/`.

use std::{env, process::Stdio};

use servers::{Failure, search_path};

use crate::child;

/// Every tool that some test needs.
pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        programs: &["siege"],
        package: "siege",
        needed_for: "the load tests, which type the same siege lines as an operator does",
        skipped_tests: &["siege"],
    },
    Tool {
        programs: &["initdb", "postgres"],
        package: "postgresql",
        needed_for: "the tests that keep their data in PostgreSQL",
        skipped_tests: &["postgres"],
    },
    Tool {
        programs: &["nats-server"],
        package: "nats-server",
        needed_for: "the tests that send their events over NATS",
        skipped_tests: &["nats"],
    },
];

/// What some tests need, and one package brings.
pub(crate) struct Tool {
    /// All of them must be there.
    pub(crate) programs: &'static [&'static str],
    /// The Debian package that holds them.
    pub(crate) package: &'static str,
    /// Completes the sentence "it is needed for …".
    pub(crate) needed_for: &'static str,
    /// Parts of test names, as `--skip` takes them: the tests that cannot run without it.
    pub(crate) skipped_tests: &'static [&'static str],
}

/// Where programs are found and started: this machine, or a scripted one in tests.
pub(crate) trait Machine {
    fn has(&self, program: &str) -> bool;
    fn is_root(&self) -> bool;
    /// An error holds what the program said last.
    fn run(&mut self, command: &[&str]) -> Result<(), String>;
}

/// Installs the tool unless it is there.
pub(crate) fn provide(tool: &Tool, machine: &mut impl Machine) -> Result<(), Failure> {
    let Some(program) = lacking(tool, machine) else { return Ok(()) };
    if !machine.has("apt-get") {
        return Err(missing(tool, program, "there is no apt-get here to install it with"));
    }
    println!("xtask test: `{program}` is missing, installing package {}", tool.package);
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
        format!(
            "install it (on Debian: `apt-get install {package}` as root), or leave those tests \
             out with `cargo xtask test --embedded-only`"
        ),
    )
}

/// The machine that we run on.
pub(crate) struct ThisMachine;

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

#[cfg(test)]
mod tests;
