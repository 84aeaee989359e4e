//! Where and when something was measured.

use std::{fs, process::Command};

use drill::Broken;

/// The processor, its cores, the memory and the kernel, in a line.
pub(crate) fn describe() -> Result<String, Broken> {
    let cores = std::thread::available_parallelism()?;
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib: f64 = memory.trim_end_matches("kB").trim().parse().unwrap_or(f64::NAN);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let gib = kib / 1_024.0 / 1_024.0;
    Ok(format!("{cores} cores of {processor}, {gib:.0} GiB, Linux {}", kernel.trim()))
}

/// Today, as 2026-11-25.
pub(crate) fn today() -> Result<String, Broken> {
    let said = Command::new("date").args(["--utc", "+%F"]).output()?;
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
