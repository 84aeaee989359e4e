//! Where and when something was measured.

use drill::Broken;
use std::{fs, pin::pin, process::Command, time::Duration};

use tokio::{select, time::interval};
use xtask::{child, tools};

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

/// What a program says of itself with `--version`, without the words around it.
pub(crate) fn version(program: &str) -> Result<String, Broken> {
    // Siege begins with writing its settings there.
    let home = tempfile::tempdir()?;
    let mut command = child::program(program);
    command.arg("--version").env("PATH", tools::search_path()).env("HOME", home.path());
    let said = command.output()?;
    let said = String::from_utf8([said.stdout, said.stderr].concat())?;
    let mut words = said.split_whitespace().map(|word| word.trim_start_matches("v="));
    let number = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    Ok(number.ok_or_else(|| format!("{program} has no version:\n{said}"))?.to_owned())
}

/// Today, as 2026-11-25.
pub(crate) fn today() -> Result<String, Broken> {
    let said = Command::new("date").args(["--utc", "+%F"]).output()?;
    Ok(String::from_utf8(said.stdout)?.trim().to_owned())
}

/// The work, and the highest of what was read again and again meanwhile.
pub(crate) async fn highest_while<T>(
    work: impl Future<Output = T>,
    every: Duration,
    read: impl Fn() -> Result<f64, Broken>,
) -> Result<(T, f64), Broken> {
    let mut highest = read()?;
    let mut look = interval(every);
    let mut work = pin!(work);
    loop {
        select! {
            done = &mut work => return Ok((done, highest)),
            _ = look.tick() => highest = read()?.max(highest),
        }
    }
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
