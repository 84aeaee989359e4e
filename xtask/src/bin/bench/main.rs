//! Measures the release build under load, beside others in the same run.
//!
//! Everything is one run on one machine: the generator shares its cores with the servers, so that a
//! noisy machine disturbs all of them. Read the ratios, not the rates.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks on its terminal"
)]

mod cost;
mod emulation;
mod machine;
mod outage;
mod overload;
mod performance;
mod server;
mod siege;
mod system;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};
use xtask::services::{self, Kind};

/// The allocator of the system, so that what is measured beside it has the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures durable bookings of the release build beside an answer that costs nothing, PostgreSQL and
/// Redis; or, as a subcommand, something else
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
    /// Kills vaccine, and makes it slow, flapping, silent and unreachable, under the seed's load
    Outage(outage::Options),
    /// Offers several times more than can be served, beside emulations of other protections
    Overload(overload::Options),
    /// Measures what a call costs in the circuit breaker and its neighbours, beside other crates
    Resilience(cost::Options),
    /// Compares our load generator with the real siege: counts and rate
    Siege(siege::Options),
    /// Takes bookings with another protection than ours, until it is killed; for `overload`
    #[command(hide = true)]
    Emulate(emulation::Options),
    /// Keeps servers in the background, until its input ends
    #[command(hide = true)]
    Services { kinds: Vec<Kind> },
}

fn main() -> ExitCode {
    let Cli { what, performance } = Cli::parse();
    let done = match &what {
        None => performance::run(&performance),
        Some(What::Outage(options)) => outage::run(options),
        Some(What::Overload(options)) => overload::run(options),
        Some(What::Resilience(options)) => cost::run(options),
        Some(What::Siege(options)) => siege::run(options),
        Some(What::Emulate(options)) => emulation::run(options),
        Some(What::Services { kinds }) => services::keep(kinds).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One core for the generator, the others for what it measures.
fn on_one_thread<T>(measuring: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(measuring))
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
    fn alone_it_measures_everything_that_has_an_aim() {
        let cli = Cli::try_parse_from(["bench", "--turns", "2"]).map_err(|error| error.to_string());
        assert!(cli.is_ok_and(|cli| cli.what.is_none()));
        let cli = Cli::try_parse_from(["bench", "overload"]).map_err(|error| error.to_string());
        assert!(cli.is_ok_and(|cli| matches!(cli.what, Some(What::Overload(_)))));
    }
}
