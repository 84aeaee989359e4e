//! How much of a processor a process uses, and how it is held to a share.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use crate::system::Broken;

/// The kernel counts in these, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where control groups of the second kind are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The period in which a share is counted, in microseconds, as Kubernetes has it.
const PERIOD_US: u32 = 100_000;

/// How far back a look goes: one tick in a shorter time would look like work.
const WINDOW: Duration = Duration::from_secs(2);

/// Reads how much of a core a process used lately.
#[derive(Debug)]
pub(crate) struct Meter {
    pid: u32,
    /// What it had used by when, from the beginning of the window on.
    looks: VecDeque<(Instant, Duration)>,
}

impl Meter {
    /// From now on.
    pub(crate) fn of(pid: u32) -> Result<Self, Broken> {
        Ok(Self { pid, looks: VecDeque::from([(Instant::now(), used(pid)?)]) })
    }

    /// In cores, since the last look or for [`WINDOW`], whichever is longer: 0.5 is half of one.
    pub(crate) fn cores(&mut self) -> Result<f64, Broken> {
        let (now, used) = (Instant::now(), used(self.pid)?);
        let is_old = |(at, _): &(Instant, Duration)| now.duration_since(*at) >= WINDOW;
        while self.looks.get(1).is_some_and(is_old) {
            self.looks.pop_front();
        }
        let (since, before) = self.looks.front().copied().unwrap_or((now, used));
        self.looks.push_back((now, used));
        let elapsed = now.duration_since(since).as_secs_f64();
        Ok(used.saturating_sub(before).as_secs_f64() / elapsed.max(f64::EPSILON))
    }
}

fn used(pid: u32) -> Result<Duration, Broken> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    ticks(&stat)
        .map(|ticks| Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
        .ok_or_else(|| format!("/proc/{pid}/stat reads {stat}").into())
}

/// In user mode and in the kernel: the 14th and 15th field. The second one may contain anything.
fn ticks(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let [user, kernel] = [fields.next()?, fields.next()?];
    Some(user.parse::<f64>().ok()? + kernel.parse::<f64>().ok()?)
}

/// Groups of processes, each held to a share of a core. They are removed when this goes.
#[derive(Debug)]
pub(crate) struct Limit {
    cores: f64,
    groups: Vec<PathBuf>,
}

impl Limit {
    /// None yet.
    pub(crate) fn of(cores: f64) -> Self {
        Self { cores, groups: Vec::new() }
    }

    /// Holds a process to the share, if this machine has control groups of the second kind and lets
    /// us make one.
    pub(crate) fn hold(&mut self, pid: u32) -> io::Result<()> {
        let root = Path::new(CGROUPS);
        let none = |_| io::Error::other(format!("{CGROUPS} is not of version 2"));
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).map_err(none)?;
        if !controllers.split_whitespace().any(|controller| controller == "cpu") {
            return Err(io::Error::other("its control groups do not limit processors"));
        }
        let group = root.join(format!("anticorona-drill-{pid}"));
        fs::create_dir(&group)?;
        self.groups.push(group.clone());
        let quota = f64::from(PERIOD_US) * self.cores;
        fs::write(group.join("cpu.max"), format!("{quota:.0} {PERIOD_US}"))?;
        fs::write(group.join("cgroup.procs"), pid.to_string())
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // Those whose process is still there cannot be removed; the processes end first.
        self.groups.iter().for_each(|group| drop(fs::remove_dir(group)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_odd_name_is_read_all_the_same() {
        let stat = "42 (a) b (c) S 1 1 1 0 -1 4194304 9 0 0 0 120 30 0 0 20 0 8 0 100 0";
        assert_eq!(ticks(stat), Some(150.0));
        assert_eq!(ticks("nonsense"), None);
    }

    #[test]
    fn we_use_some_of_a_core() {
        assert!(used(std::process::id()).is_ok());
        assert!(used(u32::MAX).is_err());
    }
}
