//! What happens in the network of its own: the program is started, asked, measured and ended.

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::{WAY_AROUND, names};
use servers::{Failure, look};
use xtask::child;

/// Where vaccine listens.
const VACCINE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// How long it may take to be ready, in a debug build on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// How long it may take to end when nobody asks anything.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

#[derive(Args)]
pub(crate) struct Options {
    /// The folder that becomes its root
    root: PathBuf,
}

/// The program, running in its root. Killed when this goes.
struct Running<'a> {
    root: &'a Path,
    child: Child,
}

pub(crate) fn run(Options { root }: &Options) -> Result<(), Failure> {
    child::succeed(child::program("ip").args(["link", "set", "lo", "up"]), WAY_AROUND)?;
    let devices = root.join("dev");
    let mut mount = child::program("mount");
    child::succeed(mount.args(["--rbind", "/dev"]).arg(devices), WAY_AROUND)?;
    names::answer().map_err(|error| failure(&error))?;

    let started = Instant::now();
    let mut program = Running::start(root)?;
    program.is_ready()?;
    let ready_after = started.elapsed();
    let resident = program.resident_kib()?;
    program.says_that_it_is_up(&["health", "vaccine"])?;
    program.says_that_it_is_up(&["health", "--url", &format!("http://{}:8081", names::SERVICE)])?;
    program.ends_in_order()?;
    println!(
        "image: alone in an empty root it was ready after {} ms, with {resident} KiB in memory; it \
         finds others by name, and ends in order",
        ready_after.as_millis()
    );
    Ok(())
}

impl<'a> Running<'a> {
    fn start(root: &'a Path) -> Result<Self, Failure> {
        let mut command = in_root(root);
        // As the Dockerfile does.
        command.args(["vaccine", "--bind", "0.0.0.0", "--data", "/data", "--log", "json"]);
        let child = command.spawn().map_err(|error| failure(&error))?;
        Ok(Self { root, child })
    }

    fn is_ready(&mut self) -> Result<(), Failure> {
        let looked = look(READY_WITHIN, || match self.child.try_wait() {
            Ok(Some(status)) => Some(Err(not(&format!("start ({status})")))),
            Ok(None) | Err(_) => answers_ready().unwrap_or(false).then_some(Ok(())),
        });
        looked.unwrap_or_else(|| Err(not("become ready")))
    }

    /// What it holds in memory, what was read of the program itself included.
    fn resident_kib(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.map_err(|error| failure(&error))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
        kib.ok_or_else(|| not("show its memory"))
    }

    /// As the image's health check does.
    fn says_that_it_is_up(&self, arguments: &[&str]) -> Result<(), Failure> {
        let said = child::printed(in_root(self.root).args(arguments), WAY_AROUND)?;
        if said.trim_end().ends_with("is up") { Ok(()) } else { Err(not("say that it is up")) }
    }

    fn ends_in_order(mut self) -> Result<(), Failure> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|error| failure(&error.into()))?;
        match look(ENDS_WITHIN, || self.child.try_wait().ok().flatten()) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(not(&format!("end in order ({status})"))),
            None => Err(not("end")),
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

fn answers_ready() -> io::Result<bool> {
    let mut connection = TcpStream::connect(VACCINE)?;
    connection.write_all(
        b"GET /actuator/health/readiness HTTP/1.1\r\nHost: vaccine\r\nConnection: close\r\n\r\n",
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}

fn failure(error: &io::Error) -> Failure {
    Failure::new(format!("the program cannot be run alone: {error}"), WAY_AROUND)
}

fn not(what: &str) -> Failure {
    Failure::new(format!("alone in an empty root the program does not {what}"), WAY_AROUND)
}
