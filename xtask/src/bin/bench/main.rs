//! Measures the release build under load, beside a server that does nothing on the same chassis.
//!
//! Everything is one run on one machine: the generator shares its cores with the server, and the
//! contestants take turns, so that a noisy machine disturbs both. Read the ratios, not the rates.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line tool talks on its terminal"
)]

mod report;
mod server;

use std::{error::Error, process::ExitCode, time::Duration};

use clap::Parser;
use drill::{Load, Reconnect, Request, Stop, Summary, Target};
use serde_json::json;

use crate::{report::Report, server::Server};

/// Connections that are kept while the rate is measured: as many users as the larger siege has.
const CLIENTS: u16 = 200;

/// Measures durable bookings per second, start-up time and memory of the release build
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Options {
    /// Turns of each contestant
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    turns: u8,
    /// Seconds per turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// Bookings stored before memory is read again; 0 leaves this out
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(..=5_000_000))]
    bookings: u64,
    /// Writes every figure to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    server::build()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(contest(options))?;
    println!("{report}");
    if let Some(file) = &options.json {
        std::fs::write(file, report.json())?;
        println!("Every figure is in {}.", file.display());
    }
    Ok(())
}

async fn contest(options: &Options) -> Result<Report, Box<dyn Error>> {
    let echo = Server::echo().await?;
    let ours = Server::anticorona().await?;
    let mut report = Report::new(options.turns, options.seconds);
    report.idle_memory_mib = ours.memory_mib()?;
    let vaccine = stock(&ours).await?;
    for turn in 1..=options.turns {
        eprintln!("turn {turn} of {}", options.turns);
        let lasting = Stop::after(Duration::from_secs(options.seconds));
        report.echo.push(rate(&echo.entry, lasting.clone(), 200, vaccine).await?);
        report.booking.push(rate(&ours.entry, lasting, 201, vaccine).await?);
    }
    report.settled_within = Some(ours.caught_up(vaccine).await?);
    if options.bookings > 0 {
        eprintln!("booking until there are {}", options.bookings);
        let missing = options.bookings.saturating_sub(ours.booked().await?);
        if missing > 0 {
            let enough = Stop::requests(missing).or_after(Duration::from_mins(10));
            rate(&ours.entry, enough, 201, vaccine).await?;
        }
        report.full = Some((ours.booked().await?, ours.memory_mib()?));
    }
    drop((echo, ours));
    for _ in 0..5 {
        report.start_ms.push(Server::anticorona().await?.ready_after.as_secs_f64() * 1_000.0);
    }
    Ok(report)
}

/// Registers a vaccine that does not run out.
async fn stock(ours: &Server) -> Result<i64, Box<dyn Error>> {
    let body = json!({"vcName": "FIZER", "stock": 1_000_000_000});
    let reply = drill::send(&ours.vaccine, &Request::post_json("/vaccines", &body)).await?;
    reply.json()?["vaccineId"].as_i64().ok_or_else(|| "the vaccine has no id".into())
}

/// One load; every answer must be the expected one, or the rate would mean nothing.
async fn rate(
    target: &Target,
    stop: Stop,
    expected: u16,
    vaccine: i64,
) -> Result<Summary, Box<dyn Error>> {
    let body = json!({"vaccineId": vaccine, "vcName": "FIZER", "userId": 5, "status": "BOOCKED"});
    let load = Load {
        users: CLIENTS,
        reconnect: Reconnect::Never,
        stop,
        request: Request::post_json("/bookings", &body).into(),
    };
    let summary = load.run(target).await;
    if summary.count(expected) != summary.sent {
        return Err(format!("not every answer was {expected}:\n{summary}").into());
    }
    Ok(summary)
}
