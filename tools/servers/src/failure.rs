//! Why a task failed, and what to do about it.

use std::fmt;

/// For a server that does not start or stops early.
pub const WAY_AROUND: &str = "fix the cause above, or skip what needs the server: `cargo xtask test \
                              --embedded-only` skips such tests, `cargo xtask bench --only a,b` such \
                              measurements, and a drill uses a PostgreSQL of yours with --database";

/// An error with advice.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub what: String,
    /// What the reader does next.
    pub do_this: String,
}

impl Failure {
    /// Both are sentences without a full stop.
    pub fn new(what: impl Into<String>, do_this: impl Into<String>) -> Self {
        Self { what: what.into(), do_this: do_this.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}\n  what to do: {}", self.what, self.do_this)
    }
}

impl std::error::Error for Failure {}
