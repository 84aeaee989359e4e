//! The log on standard error: one event per line, as text or JSON.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// The filter without `RUST_LOG`; the NATS client logs its own reconnects at info.
const DEFAULT_FILTER: &str = "info,async_nats=warn";

/// The format of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text for terminals
    Pretty,
    /// One JSON object per line, for log collectors
    Json,
}

/// Starts the log. `RUST_LOG` is its filter (default `info`).
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| DEFAULT_FILTER.into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Fails only if this process already has a log, which then stays.
    drop(match format {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Pretty => {
            log.with_ansi(io::stderr().is_terminal()).with_target(false).try_init()
        }
    });
}
