//! CPU usage of processes, and limits by control groups.

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use crate::error::DrillError;

/// `USER_HZ`, the unit of `/proc/…/stat`.
const TICKS_PER_SECOND: f64 = 100.0;

/// Control groups, version 2.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The period of a CPU quota in microseconds, the same as Kubernetes'.
const PERIOD_US: u32 = 100_000;

/// The window of a measurement: in a shorter one, a single tick would count as high usage.
const WINDOW: Duration = Duration::from_secs(2);

/// Measures the recent CPU usage of a process.
#[derive(Debug)]
pub(crate) struct Meter {
    pid: u32,
    /// When, and the CPU time used until then, from the beginning of the window.
    samples: VecDeque<(Instant, Duration)>,
}

impl Meter {
    pub(crate) fn new(pid: u32) -> Result<Self, DrillError> {
        Ok(Self { pid, samples: VecDeque::from([(Instant::now(), used(pid)?)]) })
    }

    /// In cores, since the last call or for [`WINDOW`], whichever is longer: 0.5 is half a core.
    pub(crate) fn cores(&mut self) -> Result<f64, DrillError> {
        let (now, used) = (Instant::now(), used(self.pid)?);
        let is_old = |(at, _): &(Instant, Duration)| now.duration_since(*at) >= WINDOW;
        while self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
        let (since, before) = self.samples.front().copied().unwrap_or((now, used));
        self.samples.push_back((now, used));
        let elapsed = now.duration_since(since).as_secs_f64();
        Ok(used.saturating_sub(before).as_secs_f64() / elapsed.max(f64::EPSILON))
    }
}

fn used(pid: u32) -> Result<Duration, DrillError> {
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

/// Control groups, each limited to a share of a core. They are removed on drop.
#[derive(Debug)]
pub(crate) struct Limit {
    cores: f64,
    groups: Vec<PathBuf>,
}

impl Limit {
    pub(crate) fn new(cores: f64) -> Self {
        Self { cores, groups: Vec::new() }
    }

    /// Limits a process, if this machine has control groups of version 2 and this user may create one.
    pub(crate) fn apply(&mut self, pid: u32) -> io::Result<()> {
        let root = Path::new(CGROUPS);
        let none = |_| io::Error::other(format!("{CGROUPS} is not of version 2"));
        let controllers = fs::read_to_string(root.join("cgroup.controllers")).map_err(none)?;
        if !controllers.split_whitespace().any(|controller| controller == "cpu") {
            return Err(io::Error::other("control groups here do not limit CPU"));
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
        // A group with a running process cannot be removed; the processes end first.
        self.groups.iter().for_each(|group| drop(fs::remove_dir(group)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_contain_parentheses_and_spaces() {
        let stat = "42 (a) b (c) S 1 1 1 0 -1 4194304 9 0 0 0 120 30 0 0 20 0 8 0 100 0";
        assert_eq!(ticks(stat), Some(150.0));
        assert_eq!(ticks("nonsense"), None);
    }

    #[test]
    fn the_usage_of_this_process_is_readable() {
        assert!(used(std::process::id()).is_ok());
        assert!(used(u32::MAX).is_err());
    }
}
