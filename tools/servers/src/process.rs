//! A program in the background: its log, its time limits, its end.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    config,
    failure::{Failure, WAY_AROUND},
};

/// Short beside the time that a program takes to start.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// The signal that ends the program in order.
    pub(crate) stop_with: Signal,
    pub(crate) start_within: Duration,
    pub(crate) stop_within: Duration,
}

impl Limits {
    pub(crate) const fn stop_with(stop_with: Signal) -> Self {
        Self {
            stop_with,
            start_within: Duration::from_secs(30),
            stop_within: Duration::from_secs(10),
        }
    }
}

/// Lines of the log that a failure quotes.
const LOG_LINES_MAX: usize = 10;

/// A child process, ended when dropped.
pub(crate) struct Process {
    program: String,
    child: Child,
    log: PathBuf,
    limits: Limits,
}

impl Process {
    pub(crate) fn launch(
        command: &mut Command,
        log: PathBuf,
        limits: Limits,
    ) -> Result<Self, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = File::create(&log).and_then(|file| {
            // The log is searched for English text.
            command.env("PATH", config::search_path()).env("LC_ALL", "C");
            command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()
        });
        match child {
            Ok(child) => Ok(Self { program, child, log, limits }),
            Err(error) => {
                Err(Failure::new(format!("`{program}` could not be started: {error}"), WAY_AROUND))
            }
        }
    }

    /// For a program that ends on its own.
    pub(crate) fn wait_for_success(mut self) -> Result<(), Failure> {
        match poll(self.limits.start_within, || self.exit_status()) {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(self.failure(&format!("failed ({status})"))),
            None => Err(self.failure(&self.too_slow("has not ended"))),
        }
    }

    /// For a server: its log has the line, and its port takes connections.
    pub(crate) fn wait_until_ready(&mut self, ready_line: &str, port: u16) -> Result<(), Failure> {
        let ready = poll(self.limits.start_within, || {
            if let Some(status) = self.exit_status() {
                return Some(Err(self.failure(&format!("ended ({status}) before it was ready"))));
            }
            let is_ready = self.log().contains(ready_line)
                && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            is_ready.then_some(Ok(()))
        });
        ready.unwrap_or_else(|| Err(self.failure(&self.too_slow("is not ready"))))
    }

    pub(crate) fn check_running(&mut self) -> Result<(), Failure> {
        match self.exit_status() {
            None => Ok(()),
            Some(status) => Err(self.failure(&format!("ended ({status}) while it was needed"))),
        }
    }

    fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn log(&self) -> String {
        fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    fn too_slow(&self, state: &str) -> String {
        format!("{state} after {} s", self.limits.start_within.as_secs())
    }

    fn failure(&self, what: &str) -> Failure {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES_MAX)..];
        let last = if last.is_empty() { "nothing".to_owned() } else { last.join("\n    ") };
        let what = format!("`{}` {what}. The end of its log:\n    {last}", self.program);
        Failure::new(what, WAY_AROUND)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exit_status().is_some() {
            return;
        }
        kill_process(Pid::from_child(&self.child), self.limits.stop_with).ok();
        if poll(self.limits.stop_within, || self.exit_status()).is_none() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// Calls `find` until it returns something, or until the time is over.
pub fn poll<T>(within: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = find() {
            return Some(found);
        }
        if start.elapsed() > within {
            return None;
        }
        thread::sleep(POLL_INTERVAL);
    }
}
