//! Commands that ask a running system and print what they find: they are no service, so they write no log.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use platform_telemetry::{BoxError, error_chain};
use tokio::runtime;

/// Runs the command to its end. Its error is one line on standard error, and exit code 1.
pub(crate) fn run(work: impl Future<Output = Result<(), BoxError>>) -> ExitCode {
    match complete(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error does not change the exit code.
            drop(writeln!(io::stderr(), "{}", error_chain(&*error)));
            ExitCode::FAILURE
        }
    }
}

fn complete(work: impl Future<Output = Result<(), BoxError>>) -> Result<(), BoxError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // A DNS lookup that hangs must not keep the process from ending.
    runtime.shutdown_background();
    result
}
