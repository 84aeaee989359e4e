//! `anticorona config check`: what each service would do with its settings, or what is wrong.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use platform_service::{EXIT_USAGE, Env, Service, ServiceArgs, Settings};

use crate::{
    serve::with_local_urls,
    services::{SERVICES, named},
};

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Prints what each service would do with the settings of this environment, without passwords; ends
    /// with 64 if one of them could not start
    Check(CheckArgs),
}

#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The services, each as it runs alone; without any, all of them as `serve` runs them
    #[arg(value_parser = named, value_name = "SERVICE")]
    services: Vec<&'static Service>,
    #[command(flatten)]
    args: ServiceArgs,
}

pub(crate) fn run(ConfigCommand::Check(CheckArgs { services, args }): &ConfigCommand) -> ExitCode {
    let env = Env::of_process();
    let (services, env) = if services.is_empty() {
        (SERVICES, with_local_urls(args, env))
    } else {
        (&services[..], env)
    };
    let mut all_valid = true;
    for service in services {
        let settings = Settings { service, services: SERVICES, args, env: &env };
        let printed = match (service.configure)(&settings) {
            Ok(configured) => {
                let line = |(name, value): &(_, String)| format!("  {name:<10} {value}\n");
                let listens = ("listens on", settings.address().to_string());
                let lines: String = [listens].iter().chain(&configured.summary).map(line).collect();
                writeln!(io::stdout(), "{}\n{lines}", service.name)
            }
            Err(error) => {
                all_valid = false;
                writeln!(io::stderr(), "{} cannot start: {error}", service.name)
            }
        };
        if printed.is_err() {
            return ExitCode::FAILURE;
        }
    }
    if all_valid { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) }
}
