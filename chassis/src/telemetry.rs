//! The log: one line per thing that somebody should know, readable or as JSON, on standard error.

use std::{
    error::Error,
    io::{self, IsTerminal},
};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::config::{self, Env};

/// How the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object per line, for collectors.
    Json,
}

/// Starts the log. `RUST_LOG` chooses what is in it (default `info`).
pub fn start(format: LogFormat) {
    let filter = EnvFilter::new(config::log_filter(&Env::of_process()));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Fails only when a log was started before (two tests in one process): that one goes on.
    drop(match format {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Pretty => {
            log.with_ansi(io::stderr().is_terminal()).with_target(false).try_init()
        }
    });
}

/// An error and all its causes in one line.
pub fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}
