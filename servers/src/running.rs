//! A program in the background: its log, how long it may take, and its end.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{WAY_AROUND, config, failure::Failure};

/// Pause between two looks: short beside how long a program takes to start.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How a program is handled.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    /// Asks it to end soon and in order.
    pub(crate) stop_with: Signal,
    pub(crate) start_within: Duration,
    pub(crate) stop_within: Duration,
}

impl Terms {
    pub(crate) const fn stop_with(stop_with: Signal) -> Self {
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
pub(crate) struct Running {
    program: String,
    child: Child,
    log: PathBuf,
    terms: Terms,
}

impl Running {
    pub(crate) fn launch(
        command: &mut Command,
        log: PathBuf,
        terms: Terms,
    ) -> Result<Self, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = File::create(&log).and_then(|file| {
            // Its messages are looked at, and must not be translated.
            command.env("PATH", config::search_path()).env("LC_ALL", "C");
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
    pub(crate) fn done(mut self) -> Result<(), Failure> {
        match look(self.terms.start_within, || self.ended()) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.failure(&format!("failed ({status})"))),
            None => Err(self.failure(&self.too_long("is not done"))),
        }
    }

    /// For a server: its log says so, and its port takes connections.
    pub(crate) fn up(&mut self, says: &str, port: u16) -> Result<(), Failure> {
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
    pub(crate) fn still_up(&mut self) -> Result<(), Failure> {
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

/// Looks again and again until there is something, or time is up.
pub fn look<T>(within: Duration, mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return Some(found);
        }
        if begun.elapsed() > within {
            return None;
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn takes_connections(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
