//! Runs inside the namespaces: starts the program, checks and measures it, and stops it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::{WORKAROUND, dns, failure};
use servers::{Failure, poll};
use xtask::child;

/// For a debug build on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(10);

/// Without requests in flight.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

#[derive(Args)]
pub(crate) struct Options {
    /// The folder that becomes the program's root
    root: PathBuf,
}

/// The running program. Dropping it kills the process.
struct Running<'a> {
    root: &'a Path,
    child: Child,
}

pub(crate) fn run(Options { root }: &Options) -> Result<(), Failure> {
    child::succeed(child::program("ip").args(["link", "set", "lo", "up"]), WORKAROUND)?;
    let devices = root.join("dev");
    let mut mount = child::program("mount");
    child::succeed(mount.args(["--rbind", "/dev"]).arg(devices), WORKAROUND)?;
    dns::serve().map_err(|error| failure(&error))?;

    let started = Instant::now();
    let mut program = Running::start(root)?;
    program.wait_until_ready()?;
    let ready_after = started.elapsed();
    let resident = program.resident_kib()?;
    let url = format!("http://{}:8081", dns::SERVICE);
    child::printed(in_root(root).args(["health", "--url", &url]), WORKAROUND)?;
    program.shut_down()?;
    println!(
        "image: ready after {} ms, {resident} KiB resident; DNS lookups and graceful shutdown work",
        ready_after.as_millis()
    );
    Ok(())
}

impl<'a> Running<'a> {
    fn start(root: &'a Path) -> Result<Self, Failure> {
        let mut command = in_root(root);
        // As in the Dockerfile.
        command.env("BIND_ADDRESS", "0.0.0.0");
        command.args(["vaccine", "--data", "/data", "--log", "json"]);
        let child = command.spawn().map_err(|error| failure(&error))?;
        Ok(Self { root, child })
    }

    fn wait_until_ready(&mut self) -> Result<(), Failure> {
        let result = poll(READY_TIMEOUT, || match self.child.try_wait() {
            Ok(Some(status)) => Some(Err(not(&format!("start ({status})")))),
            Ok(None) | Err(_) => self.is_ready().then_some(Ok(())),
        });
        result.unwrap_or_else(|| Err(not("become ready")))
    }

    /// Includes the pages of the program itself.
    fn resident_kib(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.map_err(|error| failure(&error))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
        kib.ok_or_else(|| not("report its memory"))
    }

    /// As the health check of the image does.
    fn is_ready(&self) -> bool {
        let output = in_root(self.root).args(["health", "vaccine"]).output();
        output.is_ok_and(|output| output.status.success())
    }

    fn shut_down(mut self) -> Result<(), Failure> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|error| failure(&error.into()))?;
        match poll(SHUTDOWN_TIMEOUT, || self.child.try_wait().ok().flatten()) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(not(&format!("shut down cleanly ({status})"))),
            None => Err(not("shut down")),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn in_root(root: &Path) -> Command {
    let mut command = Command::new("chroot");
    command.arg(root).arg("/anticorona").env("RUST_LOG", "warn");
    command
}

fn not(what: &str) -> Failure {
    Failure::new(format!("in an empty root the program does not {what}"), WORKAROUND)
}
