//! Durable bookings per second, start-up time and memory, beside a server that does nothing on the
//! same chassis.

mod report;

use std::time::Duration;

use clap::Args;
use drill::{Broken, Load, Reconnect, Stop, Summary, Target};

use self::report::Report;
use crate::server::{self, Server};

/// Connections that are kept while the rate is measured: as many users as the larger siege has.
const CLIENTS: u16 = 200;

/// What `cargo xtask bench` alone takes.
#[derive(Args)]
pub(crate) struct Options {
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

/// Measures and reports.
pub(crate) fn run(options: &Options) -> Result<(), Broken> {
    server::build(&[server::ANTICORONA, server::ECHO])?;
    let report = crate::on_one_thread(contest(options))??;
    println!("{report}");
    if let Some(file) = &options.json {
        std::fs::write(file, report.json())?;
        println!("Every figure is in {}.", file.display());
    }
    Ok(())
}

async fn contest(options: &Options) -> Result<Report, Broken> {
    let echo = Server::echo().await?;
    let ours = Server::anticorona().await?;
    let mut report = Report::new(options.turns, options.seconds);
    report.idle_memory_mib = ours.memory_mib()?;
    let vaccine = server::stock(&ours.vaccine).await?;
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

/// One load; every answer must be the expected one, or the rate would mean nothing.
async fn rate(target: &Target, stop: Stop, expected: u16, vaccine: i64) -> Result<Summary, Broken> {
    let load = Load {
        users: CLIENTS,
        reconnect: Reconnect::Never,
        stop,
        request: drill::book(vaccine).into(),
    };
    let summary = load.run(target).await;
    if summary.count(expected) != summary.sent {
        return Err(format!("not every answer was {expected}:\n{summary}").into());
    }
    Ok(summary)
}
