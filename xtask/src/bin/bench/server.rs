//! The servers that are measured: built once, started in temporary folders, ended at the end.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use drill::{Broken, Request, Target};
use serde_json::Value;
use tempfile::TempDir;
use xtask::child;

use crate::emulation;

/// How long a server may take to come up.
const START_WITHIN: Duration = Duration::from_secs(10);

/// Pause between two looks at a server that comes up.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Pause between two questions to a server that has work to do.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// A running server.
pub(crate) struct Server {
    child: Child,
    command: Command,
    /// Takes the load.
    pub(crate) entry: Target,
    /// From its start to its first healthy answer on every port.
    pub(crate) ready_after: Duration,
    folder: TempDir,
}

/// The system, as it is shipped.
pub(crate) const ANTICORONA: &[&str] = &["--package", "anticorona", "--bins"];

/// A server that does nothing, on the same chassis.
pub(crate) const ECHO: &[&str] = &["--package", "chassis", "--example", "echo"];

/// Builds what is measured as it is shipped.
pub(crate) fn build(what: &[&[&str]]) -> Result<(), Broken> {
    for arguments in what {
        let mut build = child::cargo(["build", "--release", "--quiet"]);
        child::succeed(build.args(*arguments), "read what it says above")?;
    }
    Ok(())
}

/// What is started, and how.
#[derive(Default)]
struct Start<'a> {
    program: &'a str,
    arguments: &'a [&'a str],
    settings: &'a [(&'a str, &'a str)],
    /// Before the offset; the first one takes the load.
    ports: &'a [u16],
    /// A free one unless it is given.
    offset: Option<u16>,
    keeps_data: bool,
}

impl Server {
    /// A server that does nothing, on the same chassis.
    pub(crate) async fn echo() -> Result<Self, Broken> {
        let ports = &[8090];
        Self::start(Start { program: "examples/echo", ports, keeps_data: true, ..Start::default() })
            .await
    }

    /// The stock ledger alone, with the switch that makes it fail.
    pub(crate) async fn vaccine() -> Result<Self, Broken> {
        Self::part(&["vaccine", "--faults"], &[], &[8081], None).await
    }

    /// Bookings alone.
    pub(crate) async fn booking(vaccine: &str) -> Result<Self, Broken> {
        Self::part(&["booking"], &[("VACCINE_URL", vaccine)], &[8082], None).await
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) -> Result<(), Broken> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it as it was started, with its data, after it was killed.
    pub(crate) async fn start_again(&mut self) -> Result<(), Broken> {
        self.child = self.command.spawn()?;
        let entry = self.entry.clone();
        self.up(&entry, Instant::now()).await
    }

    /// Starts it by another program and with more arguments, with its data, after it was killed.
    pub(crate) fn wrap(&mut self, by: &[&str], more: &[&str]) -> Result<(), Broken> {
        let (program, before) = by.split_first().ok_or("no program")?;
        let mut command = Command::new(program);
        command.args(before).arg(self.command.get_program()).args(self.command.get_args());
        command.args(more).env("RUST_LOG", "warn").stdout(Stdio::null());
        self.command = command;
        self.child = self.command.spawn()?;
        Ok(())
    }

    /// This program as another way to take bookings.
    pub(crate) async fn emulation(policy: &str, vaccine: &Target) -> Result<Self, Broken> {
        Self::start(Start {
            program: "bench",
            arguments: &["emulate", policy, "--vaccine", vaccine.authority()],
            ports: &[emulation::PORT],
            ..Start::default()
        })
        .await
    }

    /// The program as it is shipped; the first port takes the load, and an offset is found unless
    /// one is given.
    pub(crate) async fn part(
        arguments: &[&str],
        settings: &[(&str, &str)],
        ports: &[u16],
        offset: Option<u16>,
    ) -> Result<Self, Broken> {
        let program = "anticorona";
        Self::start(Start { program, arguments, settings, ports, offset, keeps_data: true }).await
    }

    async fn start(what: Start<'_>) -> Result<Self, Broken> {
        let folder = tempfile::tempdir()?;
        let offset = what.offset.map_or_else(|| free_offset(what.ports), Ok)?;
        let targets = what.ports.iter().map(|port| local(port + offset));
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        let start = Instant::now();
        let mut command = Command::new(release_folder()?.join(what.program));
        command.args(what.arguments).args(["--port-offset", &offset.to_string()]);
        if what.keeps_data {
            command.arg("--data").arg(folder.path());
        }
        command.env("RUST_LOG", "warn").envs(what.settings.iter().copied()).stdout(Stdio::null());
        let child = command.spawn()?;
        let entry = targets.first().cloned().ok_or("a server without a port")?;
        let mut server = Self { child, command, entry, ready_after: Duration::ZERO, folder };
        for target in &targets {
            server.up(target, start).await?;
        }
        server.ready_after = start.elapsed();
        Ok(server)
    }

    async fn up(&mut self, target: &Target, start: Instant) -> Result<(), Broken> {
        while drill::send(target, &Request::get("/actuator/health")).await.is_err() {
            if let Some(ended) = self.child.try_wait()? {
                return Err(format!("the server ended: {ended}").into());
            }
            if start.elapsed() > START_WITHIN {
                return Err("the server does not come up".into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Resident memory.
    pub(crate) fn memory_mib(&self) -> Result<f64, Broken> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")).ok_or("no VmRSS")?;
        Ok(kib.trim().parse::<f64>()? / 1024.0)
    }

    /// Where it keeps its data.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// Waits until vaccine has heard what became of every hold.
pub(crate) async fn nothing_unsettled(vaccine: &Target, within: Duration) -> Result<(), Broken> {
    let settled = |held: &Value| held["reservationIds"].as_array().is_some_and(Vec::is_empty);
    eventually(vaccine, "/holds?heldForMs=0", within, settled).await
}

/// Asks again and again until the answer is as it should be.
pub(crate) async fn eventually(
    target: &Target,
    path: &str,
    within: Duration,
    is_so: impl Fn(&Value) -> bool,
) -> Result<(), Broken> {
    let start = Instant::now();
    loop {
        let answer = get(target, path).await?;
        if is_so(&answer) {
            return Ok(());
        }
        if start.elapsed() > within {
            return Err(format!("{target}{path} is not as it should be: {answer}").into());
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Registers a vaccine that does not run out; its id.
pub(crate) async fn stock(vaccine: &Target) -> Result<i64, Broken> {
    drill::register(vaccine, 1_000_000_000).await
}

/// A server of this machine.
pub(crate) fn local(port: u16) -> Result<Target, Broken> {
    Ok(Target::parse(&format!("http://127.0.0.1:{port}"))?)
}

/// What it answers there.
pub(crate) async fn get(target: &Target, path: &str) -> Result<Value, Broken> {
    Ok(drill::send(target, &Request::get(path)).await?.json()?)
}

fn release_folder() -> Result<PathBuf, Broken> {
    let this = std::env::current_exe()?;
    this.parent().map(Path::to_owned).ok_or_else(|| "this program lies in no folder".into())
}

/// An offset at which every port is free.
pub(crate) fn free_offset(ports: &[u16]) -> Result<u16, Broken> {
    let free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (1_000..20_000)
        .step_by(10)
        .find(|offset| ports.iter().all(|port| free(port + offset)))
        .ok_or_else(|| "no free ports".into())
}
