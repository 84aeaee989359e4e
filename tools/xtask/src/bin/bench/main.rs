//! Measures the program as it is shipped under load, beside others in the same run.
//!
//! Everything is one run on one machine: the generator shares its cores with the servers, so that
//! other load on the machine affects all of them. Read the ratios, not the rates.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool prints to its terminal"
)]

mod hostile;
mod machine;
mod outage;
mod overload;
mod performance;
mod report;
mod siege;
mod system;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::background::{self, ServerKind};

/// Measures durable bookings beside a constant response, PostgreSQL and Redis; or, as a subcommand,
/// something else
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    performance: performance::Options,
}

#[derive(Subcommand)]
enum What {
    /// Kills vaccine, and makes it slow, flapping, silent and unreachable, under the reference's load
    Outage(outage::Options),
    /// Offers several times the capacity
    Overload(overload::Options),
    /// Attacks the gateway in several ways while citizens book
    Hostile(hostile::Options),
    /// Compares our load generator with the real siege: counts and rate
    Siege(siege::Options),
    /// Runs servers in the background until its input ends
    #[command(hide = true)]
    Servers { kinds: Vec<ServerKind> },
}

/// One core for the load generator, the others for what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Cli { what, performance } = Cli::parse();
    let done = match &what {
        None => performance::run(&performance).await,
        Some(What::Outage(options)) => outage::run(options).await,
        Some(What::Overload(options)) => overload::run(options).await,
        Some(What::Hostile(options)) => hostile::run(options).await,
        Some(What::Siege(options)) => siege::run(options).await,
        Some(What::Servers { kinds }) => background::run(kinds).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn without_a_subcommand_it_measures_performance() {
        let cli = Cli::try_parse_from(["bench", "--turns", "2"]).map_err(|error| error.to_string());
        assert!(cli.is_ok_and(|cli| cli.what.is_none()));
        let cli = Cli::try_parse_from(["bench", "overload"]).map_err(|error| error.to_string());
        assert!(cli.is_ok_and(|cli| matches!(cli.what, Some(What::Overload(_)))));
    }
}
