//! Faults of vaccine under the reference's load: the longest response, how soon bookings are answered
//! with 503 and Retry-After, and how soon bookings succeed again.

mod network;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use drill::{DrillError, Load, Outcome, Reconnect, Recorder, ServiceProcess, Stop};
use serde_json::{Value, json};

use self::network::Network;
use crate::{
    machine::{self, count_of},
    report::{self, Cell, Row, Source},
    system::{self, TestSystem},
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Killed,
    Slow,
    Flapping,
    Silent,
    BlackHoled,
}

const FAULTS: [Fault; 5] =
    [Fault::Killed, Fault::Slow, Fault::Flapping, Fault::Silent, Fault::BlackHoled];

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Killed => "killed, and started again",
            Self::Slow => "slow: every response after 5 s",
            Self::Flapping => "flapping: fails half of every second",
            Self::Silent => "silent: accepts requests, never responds",
            Self::BlackHoled => "black-holed: packets dropped",
        }
    }

    fn setting(self) -> Option<Value> {
        match self {
            Self::Slow => Some(json!({"mode": "slow", "delayMs": 5_000})),
            Self::Flapping => Some(json!({"mode": "bursts", "everyMs": 1_000, "forMs": 500})),
            Self::Silent => Some(json!({"mode": "silent"})),
            Self::Killed | Self::BlackHoled => None,
        }
    }
}

/// Measures and reports.
pub(crate) fn run(options: &Options) -> Result<(), DrillError> {
    system::build()?;
    let source = Source::of(format!("cargo xtask bench outage --seconds {}", options.seconds))?;
    let mut outages = Vec::new();
    for fault in FAULTS {
        eprintln!("{}", fault.name());
        let lasting = Duration::from_secs(options.seconds);
        outages.push(machine::on_one_thread(measure(fault, lasting))??);
    }
    println!("\n{}\n{USERS} users who reconnect for every request\n", source.line());
    println!("{}", report::table(&outages));
    report::write_json(options.json.as_deref(), &source, &outages)
}

async fn measure(fault: Fault, lasting: Duration) -> Result<Row, DrillError> {
    let mut vaccine = TestSystem::vaccine().await?;
    let id = vaccine.stock().await?;
    let network = match fault {
        Fault::BlackHoled => Some(Network::around(&mut vaccine.system).await?),
        Fault::Killed | Fault::Slow | Fault::Flapping | Fault::Silent => None,
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
        set(fault, true, &mut vaccine, network.as_ref()).await?;
        tokio::time::sleep(lasting).await;
        set(fault, false, &mut vaccine, network.as_ref()).await?;
        Ok::<_, DrillError>(from..recorder.elapsed())
    };
    let (summary, outage) = tokio::join!(running, control);
    let (seen, outage) = (recorder.take(), outage?);
    let [booked, no_response] = [201.into(), Outcome::Socket].map(|it: Outcome| summary.count(it));
    let before = seen.rate(WARM_UP..outage.start);
    let recovered = seen.recovered_after(outage.end, before * RECOVERED_SHARE, Duration::MAX);
    let other = summary.sent - booked - summary.retry_later() - no_response;
    let [open, recovered] = [seen.opened_after(&outage), recovered].map(|it| it.map(in_seconds));
    let cells = vec![
        Cell("201", Some(count_of(booked)), ""),
        Cell("503 with `Retry-After`", Some(count_of(summary.retry_later())), ""),
        Cell("other responses", Some(count_of(other)), ""),
        Cell("none", Some(count_of(no_response)), ""),
        Cell("longest response (≤ 3.2 s)", Some(in_seconds(seen.longest())), " s"),
        Cell("circuit open after", open, " s"),
        Cell("p99 of 503 while open (≤ 20 ms)", seen.p99_of_refusals(&outage).map(millis), " ms"),
        Cell("bookings before", Some(before), "/s"),
        Cell("95 % of that after (≤ 2 s)", recovered, " s"),
    ];
    Ok(Row { name: fault.name().to_owned(), cells })
}

/// Begins or ends the fault.
async fn set(
    fault: Fault,
    begins: bool,
    vaccine: &mut TestSystem,
    network: Option<&Network>,
) -> Result<(), DrillError> {
    match (fault.setting(), network) {
        (Some(setting), _) => {
            let setting = if begins { setting } else { json!({"mode": "none"}) };
            drill::set_faults(&vaccine.entry, &setting).await
        }
        (None, Some(network)) if begins => network.drop_packets(),
        (None, Some(network)) => network.pass_packets(),
        (None, None) if begins => vaccine.system.kill(VACCINE),
        (None, None) => vaccine.system.start_service(VACCINE).await,
    }
}

fn in_seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
