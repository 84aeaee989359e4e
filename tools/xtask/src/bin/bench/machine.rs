//! Where and when something was measured, and how much memory it took.

use std::{fs, pin::pin, process::Command, time::Duration};

use drill::DrillError;
use tokio::{select, time::interval};
use xtask::{child, tools};

/// The processor, its cores, the memory and the kernel, on one line.
pub(crate) fn describe() -> Result<String, DrillError> {
    let cores = std::thread::available_parallelism()?;
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib: f64 = memory.trim_end_matches("kB").trim().parse().unwrap_or(f64::NAN);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let gib = kib / 1_024.0 / 1_024.0;
    Ok(format!("{cores} cores of {processor}, {gib:.0} GiB, Linux {}", kernel.trim()))
}

/// The version number in what a program prints for `--version`.
pub(crate) fn version(program: &str) -> Result<String, DrillError> {
    // Siege writes its settings to its home.
    let home = tempfile::tempdir()?;
    let mut command = child::program(program);
    command.arg("--version").env("PATH", tools::search_path()).env("HOME", home.path());
    let output = command.output()?;
    let printed = String::from_utf8([output.stdout, output.stderr].concat())?;
    let mut words = printed.split_whitespace().map(|word| word.trim_start_matches("v="));
    let number = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    Ok(number.ok_or_else(|| format!("{program} printed no version:\n{printed}"))?.to_owned())
}

/// Today, as 2026-11-25.
pub(crate) fn today() -> Result<String, DrillError> {
    let output = Command::new("date").args(["--utc", "+%F"]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Resident memory of a process.
pub(crate) fn memory_mib(pid: u32) -> Result<f64, DrillError> {
    let rss = field(&format!("/proc/{pid}/status"), "VmRSS").ok_or("no VmRSS")?;
    Ok(rss.trim_end_matches("kB").trim().parse::<f64>()? / 1_024.0)
}

/// The result of the work, and the highest value that was read meanwhile.
pub(crate) async fn highest_while<T>(
    work: impl Future<Output = T>,
    every: Duration,
    read: impl Fn() -> Result<f64, DrillError>,
) -> Result<(T, f64), DrillError> {
    let mut highest = read()?;
    let mut ticks = interval(every);
    let mut work = pin!(work);
    loop {
        select! {
            done = &mut work => return Ok((done, highest)),
            _ = ticks.tick() => highest = read()?.max(highest),
        }
    }
}

#[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(crate) fn count_of(count: u64) -> f64 {
    count as f64
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
