//! Faults of vaccine under the reference's load: the longest response, how soon bookings are answered
//! with 503 and Retry-After, and how soon bookings succeed again.

mod network;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use drill::{DrillError, Load, Outcome, Reconnect, Recorder, ServiceProcess, Stop};
use serde_json::{Value, json};

use self::network::Network;
use crate::{
    machine::count_of,
    report::{self, Cell, Row, Source},
    system::{self, STOCK, TestSystem},
};

const VACCINE: ServiceProcess = ServiceProcess::vaccine(0);

/// As many as the smaller siege has.
const USERS: u16 = 100;

/// The load before and after the fault.
const BEFORE: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_secs(6);

/// The start of the load, which is left out of the rate.
const WARM_UP: Duration = Duration::from_secs(1);

/// The share of the earlier rate that counts as recovered.
const RECOVERED_SHARE: f64 = 0.95;

/// The arguments of `cargo xtask bench outage`.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds that each fault lasts
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(4..=60))]
    seconds: u64,
    /// Writes every figure to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

const KILLED: &str = "killed, and started again";
const BLACK_HOLED: &str = "black-holed: packets dropped";

/// Measures and reports.
pub(crate) async fn run(options: &Options) -> Result<(), DrillError> {
    system::build(&system::PROGRAM)?;
    let source = Source::of_this_run()?;
    let lasting = Duration::from_secs(options.seconds);
    let mut outages = Vec::new();
    for (name, faults) in [
        (KILLED, None),
        ("slow: every response after 5 s", Some(json!({"mode": "slow", "delayMs": 5_000}))),
        (
            "flapping: fails half of every second",
            Some(json!({"mode": "bursts", "everyMs": 1_000, "forMs": 500})),
        ),
        ("silent: accepts requests, never responds", Some(json!({"mode": "silent"}))),
        (BLACK_HOLED, None),
    ] {
        eprintln!("{name}");
        outages.push(measure(name, faults, lasting).await?);
    }
    println!("\n{}\n{USERS} users who reconnect for every request\n", source.line());
    println!("{}", report::table(&outages));
    report::write_json(options.json.as_deref(), &source, &outages)
}

/// `faults` are those that vaccine injects itself.
async fn measure(name: &str, faults: Option<Value>, lasting: Duration) -> Result<Row, DrillError> {
    let mut vaccine = TestSystem::vaccine().await?;
    let id = vaccine.register(STOCK).await?;
    let network = match name {
        BLACK_HOLED => Some(Network::around(&mut vaccine.system)?),
        _ => None,
    };
    let url = network.as_ref().map_or_else(|| vaccine.entry.to_string(), Network::url);
    let booking = TestSystem::booking(&url).await?;
    let load = Load {
        users: USERS,
        reconnect: Reconnect::EachRequest,
        stop: Stop::after(BEFORE + lasting + AFTER),
        request: drill::booking_request(id).into(),
    };
    let recorder = Recorder::start();
    let during_load = recorder.clone();
    let running = load.run_observed(&booking.entry, move |ended| during_load.record(ended));
    let control = async {
        tokio::time::sleep(BEFORE).await;
        let from = recorder.elapsed();
        match (&faults, &network) {
            (Some(faults), _) => drill::set_faults(&vaccine.entry, faults).await?,
            (None, Some(network)) => network.drop_packets()?,
            (None, None) => vaccine.system.kill(VACCINE)?,
        }
        tokio::time::sleep(lasting).await;
        match (&faults, &network) {
            (Some(_), _) => drill::set_faults(&vaccine.entry, &json!({"mode": "none"})).await?,
            (None, Some(network)) => network.pass_packets()?,
            (None, None) => vaccine.system.start_service(VACCINE).await?,
        }
        Ok::<_, DrillError>(from..recorder.elapsed())
    };
    let (summary, outage) = tokio::join!(running, control);
    let (seen, outage) = (recorder.take(), outage?);
    let [booked, no_response] = [201.into(), Outcome::Socket].map(|it: Outcome| summary.count(it));
    let before = seen.rate(WARM_UP..outage.start);
    let recovered = seen.recovered_after(outage.end, before * RECOVERED_SHARE, Duration::MAX);
    let other = summary.sent - booked - summary.retry_later() - no_response;
    let [open, recovered] =
        [seen.opened_after(&outage), recovered].map(|it| it.map(|it| it.as_secs_f64()));
    let refused_ms = seen.p99_of_refusals(&outage).map(|it| it.as_secs_f64() * 1_000.0);
    let cells = vec![
        Cell("201", Some(count_of(booked)), ""),
        Cell("503 with `Retry-After`", Some(count_of(summary.retry_later())), ""),
        Cell("other responses", Some(count_of(other)), ""),
        Cell("none", Some(count_of(no_response)), ""),
        Cell("longest response (≤ 3.2 s)", Some(seen.longest().as_secs_f64()), " s"),
        Cell("circuit open after", open, " s"),
        Cell("p99 of 503 while open (≤ 20 ms)", refused_ms, " ms"),
        Cell("bookings before", Some(before), "/s"),
        Cell("95 % of that after (≤ 2 s)", recovered, " s"),
    ];
    Ok(Row { name: name.to_owned(), cells })
}
