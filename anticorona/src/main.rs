//! anticorona takes vaccination bookings on the day everybody wants one.

use std::process::ExitCode;

use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use platform_service::{Service, ServiceArgs, run, run_service};
use platform_telemetry::logs;

mod asyncapi;
mod audit;
mod command;
mod config_check;
mod demo;
mod events;
mod health;
mod list_services;
mod openapi;
mod rebuild;
mod serve;
mod services;

use crate::services::SERVICES;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SETTINGS: &str = "Settings from the environment:
  DATABASE_URL   postgres://USER:PASSWORD@HOST:PORT/DATABASE for every service that runs here;
                 VACCINE_DATABASE_URL, BOOKING_DATABASE_URL, … for one. Unless set: SQLite in --data
                 PostgreSQL takes ?sslmode=require, prefer (the default) or disable
  EVENTS_URL     nats://HOST:PORT, tls://HOST:PORT, or http (the default: services publish to each
                 other directly)
  VACCINE_URL, BOOKING_URL, INJECTION_URL, MYPAGE_URL
                 where the other services listen, for a service that runs alone
  SSL_CERT_FILE  the authorities to trust in TLS to PostgreSQL, NATS and a trace collector, as PEM
                 (default: those of the machine)
  RETENTION_DAYS how long what nobody needs any more is kept, 7 to 3650 (default 30)
  BIND_ADDRESS   the address to listen on, unless --bind is given
  RUST_LOG       the filter of the log (default info)";

/// Takes vaccination bookings, never more than there are doses
///
/// Each service also has a command of its own name, which runs it alone.
#[derive(Parser)]
#[command(version, about, after_help = SETTINGS)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs all services in one process, in a temporary folder, with the sites and campaigns of a fictional city to try
    Demo(demo::DemoArgs),
    /// Runs all services in one process, with the data in a folder
    Serve(ServiceArgs),
    /// Lists the services
    Services(list_services::ServicesArgs),
    /// Lists, retries and dismisses the events that services of a running system could not apply
    Events {
        #[command(subcommand)]
        command: events::EventsCommand,
    },
    /// Asks services on this machine whether they accept requests; ends with 1 if one does not
    Health(health::HealthArgs),
    /// Compares the ledgers of all services; ends with 1 if anything is oversold, leaked, lost, double or overcommitted
    Audit(audit::AuditArgs),
    /// Runs a drill on a system that it starts itself, or on yours; ends with 0 if it passed, 1 if it failed,
    /// 2 if it could not be run
    Drill(drill::drills::Command),
    /// Checks the settings without starting anything
    Config {
        #[command(subcommand)]
        command: config_check::ConfigCommand,
    },
    /// Prints the `AsyncAPI` document of the events
    Asyncapi,
    /// Prints the `OpenAPI` document of a service
    Openapi {
        /// The service
        #[arg(value_parser = services::named)]
        service: &'static Service,
    },
}

fn main() -> ExitCode {
    let matches = SERVICES.iter().copied().fold(Cli::command(), add_service).get_matches();
    if let Some((name, arguments)) = matches.subcommand()
        && let Ok(service) = services::named(name)
    {
        return run_alone(service, arguments);
    }
    match Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()).task {
        Task::Demo(args) => {
            logs::start(args.listen.log);
            run(|stop| demo::serve(args, stop))
        }
        Task::Serve(args) => {
            logs::start(args.listen.log);
            run(|stop| serve::serve(args, stop))
        }
        Task::Services(args) => list_services::run(&args),
        Task::Events { command } => events::run(command),
        Task::Health(args) => health::run(args),
        Task::Audit(args) => audit::run(&args),
        Task::Drill(command) => drill::drills::main(&command, services::PORTS),
        Task::Config { command } => config_check::run(&command),
        Task::Asyncapi => asyncapi::print(),
        Task::Openapi { service } => openapi::print(service),
    }
}

/// Adds the command that runs a service alone.
fn add_service(cli: Command, service: &'static Service) -> Command {
    let about = format!("Runs {} alone: {} (port {})", service.name, service.summary, service.port);
    let command = ServiceArgs::augment_args(Command::new(service.name)).about(about);
    let command = match service.name {
        rebuild::SERVICE => command.args_conflicts_with_subcommands(true).subcommand(
            ServiceArgs::augment_args(Command::new(rebuild::COMMAND)).about(rebuild::ABOUT),
        ),
        _ => command,
    };
    cli.subcommand(command)
}

fn run_alone(service: &'static Service, matches: &ArgMatches) -> ExitCode {
    let args =
        |matches| ServiceArgs::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
    match matches.subcommand() {
        Some((_, matches)) => rebuild::run(&args(matches)),
        None => run_service(service, SERVICES, &args(matches)),
    }
}
