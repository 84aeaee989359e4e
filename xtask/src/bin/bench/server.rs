//! The servers that are measured: built once, started in temporary folders, ended at the end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use drill::{Broken, Request, Target};
use serde_json::Value;
use tempfile::TempDir;

use crate::emulation;

/// How long a server may take to come up.
const START_WITHIN: Duration = Duration::from_secs(10);

/// How long what bookings tell the ledger may lag behind after a load.
const CATCH_UP_WITHIN: Duration = Duration::from_mins(1);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A running server.
pub(crate) struct Server {
    child: Child,
    command: Command,
    /// Takes the load.
    pub(crate) entry: Target,
    /// The stock ledger; the same as `entry` for a server that has none.
    pub(crate) vaccine: Target,
    /// From its start to its first healthy answer on every port.
    pub(crate) ready_after: Duration,
    _folder: TempDir,
}

/// The system, as it is shipped.
pub(crate) const ANTICORONA: &[&str] = &["--package", "anticorona", "--bins"];

/// A server that does nothing, on the same chassis.
pub(crate) const ECHO: &[&str] = &["--package", "chassis", "--example", "echo"];

/// Builds what is measured as it is shipped.
pub(crate) fn build(what: &[&[&str]]) -> Result<(), Broken> {
    for arguments in what {
        let done = Command::new("cargo")
            .args(["build", "--release", "--quiet"])
            .args(*arguments)
            .status()?;
        if !done.success() {
            return Err("the release build failed; read what it says above".into());
        }
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
    keeps_data: bool,
}

impl Server {
    /// A server that does nothing, on the same chassis.
    pub(crate) async fn echo() -> Result<Self, Broken> {
        let ports = &[8090];
        Self::start(Start { program: "examples/echo", ports, keeps_data: true, ..Start::default() })
            .await
    }

    /// Everything in one process, as an operator starts it.
    pub(crate) async fn anticorona() -> Result<Self, Broken> {
        Self::part(&["serve"], &[], &[8082, 8081, 8088]).await
    }

    /// The stock ledger alone, with the switch that makes it fail.
    pub(crate) async fn vaccine() -> Result<Self, Broken> {
        Self::part(&["vaccine", "--faults"], &[], &[8081]).await
    }

    /// Bookings alone.
    pub(crate) async fn booking(vaccine: &str) -> Result<Self, Broken> {
        Self::part(&["booking"], &[("VACCINE_URL", vaccine)], &[8082]).await
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

    async fn part(
        arguments: &[&str],
        settings: &[(&str, &str)],
        ports: &[u16],
    ) -> Result<Self, Broken> {
        let program = "anticorona";
        Self::start(Start { program, arguments, settings, ports, keeps_data: true }).await
    }

    async fn start(what: Start<'_>) -> Result<Self, Broken> {
        let folder = tempfile::tempdir()?;
        let offset = drill::free_offset()?;
        let target = |port: &u16| Target::parse(&format!("http://127.0.0.1:{}", port + offset));
        let targets = what.ports.iter().map(target).collect::<Result<Vec<_>, _>>()?;
        let start = Instant::now();
        let mut command = Command::new(release_folder()?.join(what.program));
        command.args(what.arguments).args(["--port-offset", &offset.to_string()]);
        if what.keeps_data {
            command.arg("--data").arg(folder.path());
        }
        command.env("RUST_LOG", "warn").envs(what.settings.iter().copied()).stdout(Stdio::null());
        let child = command.spawn()?;
        let first = targets.first().cloned().ok_or("a server without a port")?;
        let vaccine = targets.get(1).unwrap_or(&first).clone();
        let ready_after = Duration::ZERO;
        let mut server =
            Self { child, command, entry: first, vaccine, ready_after, _folder: folder };
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

    /// How many bookings it keeps.
    pub(crate) async fn booked(&self) -> Result<u64, Broken> {
        let list = get(&self.entry, "/bookings?size=1").await?;
        list["page"]["totalElements"].as_u64().ok_or_else(|| "a list without a total".into())
    }

    /// How long it takes until the ledger has heard of every booking, and agrees.
    pub(crate) async fn caught_up(&self, vaccine: i64) -> Result<Duration, Broken> {
        let start = Instant::now();
        let booked = self.booked().await?;
        nothing_unsettled(&self.vaccine).await?;
        let ledger = get(&self.vaccine, &format!("/vaccines/{vaccine}")).await?;
        if ledger["bookQty"].as_u64() != Some(booked) {
            return Err(format!("{booked} bookings, but the ledger says {ledger}").into());
        }
        Ok(start.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// Waits until vaccine has heard what became of every hold.
pub(crate) async fn nothing_unsettled(vaccine: &Target) -> Result<(), Broken> {
    let start = Instant::now();
    loop {
        let unsettled = get(vaccine, "/holds?heldForMs=0").await?;
        if unsettled["reservationIds"].as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        if start.elapsed() > CATCH_UP_WITHIN {
            return Err("the ledger does not catch up".into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Registers a vaccine that does not run out; its id.
pub(crate) async fn stock(vaccine: &Target) -> Result<i64, Broken> {
    drill::register(vaccine, 1_000_000_000).await
}

async fn get(target: &Target, path: &str) -> Result<Value, Broken> {
    Ok(drill::send(target, &Request::get(path)).await?.json()?)
}

fn release_folder() -> Result<PathBuf, Broken> {
    let this = std::env::current_exe()?;
    this.parent().map(Path::to_owned).ok_or_else(|| "this program lies in no folder".into())
}
