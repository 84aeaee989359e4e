//! `anticorona mypage rebuild`: deletes the read model, which is then built again from the events.

use std::process::ExitCode;

use platform_service::{EXIT_USAGE, Env, ServiceArgs, Settings, run as run_process};
use platform_telemetry::logs;
use tracing::error;

use crate::services::SERVICES;

/// The service that can be rebuilt.
pub(crate) const SERVICE: &str = mypage::SERVICE.name;

/// The name of the command.
pub(crate) const COMMAND: &str = "rebuild";

/// The help of the command.
pub(crate) const ABOUT: &str =
    "Deletes all views; they are built again from the events as soon as mypage runs";

pub(crate) fn run(args: &ServiceArgs) -> ExitCode {
    logs::start(args.listen.log);
    let env = Env::of_process();
    let settings = Settings { service: &mypage::SERVICE, services: SERVICES, args, env: &env };
    match settings.data() {
        Ok(config) => run_process(|_| mypage::rebuild(config)),
        Err(error) => {
            error!("mypage cannot be rebuilt: {error}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}
