//! A program in the background: its log, how long it may take, and its end.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use super::WAY_AROUND;
use crate::{failure::Failure, look::look, tools};

/// How a program is handled.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// Asks it to end soon and in order.
    pub(super) stop_with: Signal,
    pub(super) start_within: Duration,
    pub(super) stop_within: Duration,
}

impl Terms {
    pub(super) const fn stop_with(stop_with: Signal) -> Self {
        Self {
            stop_with,
            start_within: Duration::from_secs(30),
            stop_within: Duration::from_secs(10),
        }
    }
}

/// How much of a log stands in a failure.
const LAST_LINES: usize = 10;

/// Ends with this value.
pub(super) struct Running {
    program: String,
    child: Child,
    log: PathBuf,
    terms: Terms,
}

impl Running {
    pub(super) fn launch(
        command: &mut Command,
        log: PathBuf,
        terms: Terms,
    ) -> Result<Self, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = File::create(&log).and_then(|file| {
            // Its messages are looked at, and must not be translated.
            command.env("PATH", tools::search_path()).env("LC_ALL", "C");
            command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()
        });
        match child {
            Ok(child) => Ok(Self { program, child, log, terms }),
            Err(error) => {
                Err(Failure::new(format!("`{program}` could not be started: {error}"), WAY_AROUND))
            }
        }
    }

    /// For a program that comes to an end by itself.
    pub(super) fn done(mut self) -> Result<(), Failure> {
        match look(self.terms.start_within, || self.ended()) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.failure(&format!("failed ({status})"))),
            None => Err(self.failure(&self.too_long("is not done"))),
        }
    }

    /// For a server: its log says so, and its port takes connections.
    pub(super) fn up(&mut self, says: &str, port: u16) -> Result<(), Failure> {
        let looked = look(self.terms.start_within, || {
            if let Some(status) = self.ended() {
                return Some(Err(self.failure(&format!("ended ({status}) before it was up"))));
            }
            let is_up = self.said().contains(says) && takes_connections(port);
            is_up.then_some(Ok(()))
        });
        looked.unwrap_or_else(|| Err(self.failure(&self.too_long("is not up"))))
    }

    /// A server that ended on its own may be why something else failed.
    pub(super) fn still_up(&mut self) -> Result<(), Failure> {
        match self.ended() {
            None => Ok(()),
            Some(status) => Err(self.failure(&format!("ended ({status}) while it was needed"))),
        }
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn said(&self) -> String {
        fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    fn too_long(&self, is_not: &str) -> String {
        format!("{is_not} after {} s", self.terms.start_within.as_secs())
    }

    fn failure(&self, what: &str) -> Failure {
        let said = self.said();
        let lines: Vec<_> = said.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        let last = if last.is_empty() { "nothing".to_owned() } else { last.join("\n    ") };
        let what = format!("`{}` {what}. It said last:\n    {last}", self.program);
        Failure::new(what, WAY_AROUND)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended().is_some() {
            return;
        }
        kill_process(Pid::from_child(&self.child), self.terms.stop_with).ok();
        if look(self.terms.stop_within, || self.ended()).is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

fn takes_connections(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
