//! What one call costs in the circuit breaker, the limiter, the admission and the whole stacks,
//! beside other crates' circuit breakers.
//!
//! Contestants take turns, so that a noisy machine disturbs all of them. The figure is processor
//! time (of the process and of the kernel on its behalf) of the calling threads for each call:
//! others on the machine do not count into it. Nor does the wait for a lock that another thread
//! has, which flatters those who lock.

mod breakers;
mod contest;
mod gates;
mod services;
mod stacks;
mod table;

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use drill::Broken;

use crate::cost::{contest::Contestant, table::Table};

/// Where `--write` puts the table.
const PAGE: &str = "docs/resilience-cost.md";

/// Callers at the same time.
const THREADS: [u32; 4] = [1, 2, 4, 16];

/// How the cost is measured
#[derive(Args)]
pub(crate) struct Options {
    /// Turns of each contestant
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u8).range(1..=99))]
    turns: u8,
    /// Milliseconds per turn
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    millis: u64,
    /// Measures only contestants with this in their name
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Writes every figure to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the table to docs/resilience-cost.md
    #[arg(long)]
    write: bool,
}

/// Measures, and shows the table.
pub(crate) fn run(options: &Options) -> Result<(), Broken> {
    // Nothing runs on it: but one of the others' crates asks its runtime for a timer.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut contestants = contestants()?;
    contestants.retain(|contestant| contestant.name.contains(&options.only));
    let mut table = Table::new(options.turns, options.millis)?;
    for turn in 1..=options.turns {
        eprintln!("turn {turn} of {}", options.turns);
        for threads in THREADS {
            for contestant in &contestants {
                let lasting = Duration::from_millis(options.millis);
                let cost = contestant.turn(threads, lasting, runtime.handle())?;
                table.enter(contestant, threads, cost);
            }
        }
    }
    println!("{table}");
    if let Some(file) = &options.json {
        fs::write(file, table.json())?;
        println!("Every figure is in {}.", file.display());
    }
    if options.write {
        fs::write(PAGE, table.page())?;
        println!("The table is in {PAGE}.");
    }
    Ok(())
}

fn contestants() -> Result<Vec<Contestant>, Broken> {
    let mut all = breakers::contestants()?;
    all.extend(gates::contestants()?);
    all.extend(services::contestants()?);
    all.extend(stacks::contestants()?);
    Ok(all)
}
