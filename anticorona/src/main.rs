//! anticorona takes vaccination bookings on the day everybody wants one.

use std::process::ExitCode;

use chassis::{
    process::{self, NetArgs, PartArgs},
    telemetry,
};
use clap::{Args, Parser, Subcommand};

mod asyncapi;
mod audit;
mod demo;
mod events;
mod health;
mod openapi;
mod part;
mod settings;
mod together;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SETTINGS: &str = "Settings from the environment:
  DATABASE_URL   postgres://USER:PASSWORD@HOST:PORT/DATABASE for every part that runs here;
                 VACCINE_DATABASE_URL, BOOKING_DATABASE_URL, … for one. Unless set: SQLite in --data
  EVENTS_URL     nats://HOST:PORT, or in-process (the default: parts tell each other directly)
  VACCINE_URL, BOOKING_URL, INJECTION_URL, MYPAGE_URL
                 where the other parts listen, for a part that runs alone
  RUST_LOG       what is logged (default info)";

/// Takes vaccination bookings, never more than there are doses.
#[derive(Parser)]
#[command(version, about, after_help = SETTINGS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in one process, in a temporary folder, with sample vaccines to try
    Demo(NetArgs),
    /// Everything in one process, kept in a folder
    Serve(PartArgs),
    /// The stock ledger alone (port 8081)
    Vaccine(PartArgs),
    /// Bookings alone (port 8082); `VACCINE_URL` says where vaccine listens
    Booking(PartArgs),
    /// The injection desk alone (port 8084); `VACCINE_URL`, `BOOKING_URL` and `MYPAGE_URL` say whom it
    /// tells
    Injection(PartArgs),
    /// What citizens see, alone (port 8083)
    Mypage(MypageArgs),
    /// The public edge alone (port 8088); `VACCINE_URL`, `BOOKING_URL`, `INJECTION_URL` and
    /// `MYPAGE_URL` say where the others listen
    Gateway(PartArgs),
    /// Events that the parts of a running system have put aside
    Events {
        #[command(subcommand)]
        what: events::What,
    },
    /// Asks parts on this machine whether they take requests; ends with 1 if one does not
    Health(health::HealthArgs),
    /// Compares the ledgers of all parts; ends with 1 if anything is oversold, leaked, lost or double
    Audit(audit::AuditArgs),
    /// Rehearses a bad day against a system that it starts itself, or yours; ends with 0 if it passed,
    /// 1 if it failed, 2 if it could not be carried out
    Drill(drill::drills::Command),
    /// Looks at the settings without starting anything
    Config {
        #[command(subcommand)]
        what: settings::What,
    },
    /// Prints the `AsyncAPI` document of the events
    Asyncapi,
    /// Prints the `OpenAPI` document of a part
    Openapi {
        /// The part
        part: openapi::Part,
    },
}

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
struct MypageArgs {
    #[command(subcommand)]
    what: Option<MypageWhat>,
    #[command(flatten)]
    part: PartArgs,
}

#[derive(Subcommand)]
enum MypageWhat {
    /// Forgets all of it; it is put together anew from the events
    Rebuild(PartArgs),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Demo(net) => {
            telemetry::start(net.log);
            process::run(|stop| demo::serve(net, stop))
        }
        Command::Serve(args) => {
            telemetry::start(args.net.log);
            process::run(|stop| together::serve(args, stop))
        }
        Command::Vaccine(args) => {
            process::run_part("vaccine", &args, vaccine::Config::from_env, vaccine::serve)
        }
        Command::Booking(args) => {
            process::run_part("booking", &args, booking::Config::from_env, booking::serve)
        }
        Command::Gateway(args) => {
            process::run_part("gateway", &args, gateway::Config::from_env, gateway::serve)
        }
        Command::Injection(args) => {
            process::run_part("injection", &args, injection::Config::from_env, injection::serve)
        }
        Command::Mypage(MypageArgs { what: Some(MypageWhat::Rebuild(args)), .. }) => {
            process::run_part("mypage", &args, mypage::Config::from_env, mypage::rebuild)
        }
        Command::Mypage(MypageArgs { what: None, part }) => {
            process::run_part("mypage", &part, mypage::Config::from_env, mypage::serve)
        }
        Command::Events { what } => events::run(what),
        Command::Health(args) => health::run(args),
        Command::Audit(args) => audit::run(&args),
        Command::Drill(command) => drill::drills::main(&command),
        Command::Config { what } => settings::run(&what),
        Command::Asyncapi => asyncapi::print(),
        Command::Openapi { part } => openapi::print(part),
    }
}
