//! Measures the release build under load. Built only with the feature `bench`.
#![expect(clippy::print_stderr, reason = "a command line tool talks on its terminal")]

use std::process::ExitCode;

fn main() -> ExitCode {
    eprintln!("error: there is nothing to measure yet");
    ExitCode::FAILURE
}
