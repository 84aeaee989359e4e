//! A load spike on the opening day: how long it takes to serve every client, go or no-go.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::context::{Context, Entries, Trial};
use crate::{
    chart::{Chart, Series, Style},
    clients::{ClientResults, Clients},
    error::DrillError,
    load::{Load, stop::Stop},
    open::schedule::Schedule,
    reference::{booking_request, register_vaccine, set_faults},
    report::{Report, seconds},
    request::Reconnect,
    service::{ServiceProcess, TestEnvironment},
    system::System,
};

/// The closed loop that finds the sustainable rate.
const PROBE_USERS: u16 = 50;
const PROBE_DURATION: Duration = Duration::from_secs(3);
const PROBE_DOSES: i64 = 1_000_000_000;

/// Response times of a system without deadlines.
const NO_DEADLINE_MS: u32 = 4_000;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Clients that each want a booking
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    clients: u32,
    /// Doses
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(0..=500_000))]
    doses: u32,
    /// Seconds in which they start: from none to 20 times the ordinary rate in one second, then fewer
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(3..=600))]
    seconds: u64,
    /// No-go if a client waits longer than that for its final response, in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    max_wait: u64,
}

impl Options {
    /// With as many arrivals as there are clients.
    fn schedule(&self) -> Schedule {
        let duration = Duration::from_secs(self.seconds);
        let of = |rate| Schedule::load_spike(rate, duration / 8, duration);
        of(f64::from(self.clients) / of(1.0).requests())
    }
}

pub(super) async fn run(options: &Options, context: &Context) -> Result<Report, DrillError> {
    if let Some(external) = &context.external {
        return load_spike(options, context, external.clone()).await;
    }
    context.show("starting all services in one process");
    let environment = TestEnvironment::with_faults(context.environment.clone());
    let system = System::start(environment, &[ServiceProcess::ALL]).await?;
    let mut entries = Entries::of(&system, 1)?;
    if context.without_protection {
        let slow = json!({"mode": "slow", "delayMs": NO_DEADLINE_MS});
        set_faults(&entries.bookings[0], &slow).await?;
    } else {
        entries.bookings = vec![system.target(ServiceProcess::new("gateway", 0))?];
    }
    load_spike(options, context, entries).await
}

async fn load_spike(
    options: &Options,
    context: &Context,
    entries: Entries,
) -> Result<Report, DrillError> {
    context.show("measuring the sustainable rate");
    let sustainable = sustainable_rate(&entries).await?;
    let doses = options.doses;
    let trial = Trial::new(context, entries, doses.into()).await?;
    context.show(format!("load spike: {} clients, {doses} doses", options.clients));
    let schedule = options.schedule();
    let peak = (0..options.seconds).map(|at| schedule.per_second(Duration::from_secs(at)));
    let peak = peak.fold(0.0, f64::max);
    let clients = Clients {
        schedule,
        timeout: Duration::from_secs(options.max_wait),
        sends_twice: false,
        vaccine: trial.vaccine_id,
    };
    let results = clients.run(&trial.bookings, &context.progress).await;
    let audit = trial.audit(&results.acknowledged).await?;
    let mut report = verdict(options, &results);
    report.fact("sustainable rate", format!("{sustainable:.0} bookings per second"));
    report.fact("peak of the load spike", format!("{peak:.0} clients per second"));
    let served_after = results.last_finished_at();
    report.fact(format!("time to serve {} clients", results.clients), seconds(served_after));
    report.fact("longest wait of a client", seconds(results.longest_wait));
    report.charts.push(clients_chart(&results));
    let figures = json!({
        "clients": results.clients,
        "doses": doses,
        "booked": results.booked,
        "sold_out": results.sold_out,
        "timed_out": results.timed_out,
        "sustainable_per_second": sustainable,
        "peak_clients_per_second": peak,
        "served_after_ms": served_after.as_millis(),
        "longest_wait_ms": results.longest_wait.as_millis(),
    });
    report.conclude(&results.observations, Some(&audit), &[], figures);
    Ok(report)
}

/// Bookings per second of a closed loop that does not overload.
async fn sustainable_rate(Entries { vaccine, bookings }: &Entries) -> Result<f64, DrillError> {
    let id = register_vaccine(vaccine, PROBE_DOSES).await?;
    let load = Load {
        users: PROBE_USERS,
        reconnect: Reconnect::Never,
        stop: Stop::after(PROBE_DURATION),
        request: booking_request(id).into(),
    };
    Ok(load.run(&bookings[0]).await.rate_per_second(201))
}

fn verdict(options: &Options, results: &ClientResults) -> Report {
    let Options { clients, doses, seconds, max_wait } = *options;
    let mut report = Report::new(
        "opening-day",
        format!(
            "{clients} clients start for {doses} doses within {seconds} s: from none to 20 times the ordinary rate \
             in a second, then fewer and fewer. They retry after Retry-After."
        ),
    );
    report.check(
        results.timed_out == 0,
        format!("every client has a final response within {max_wait} s"),
        format!("{} timed out", results.timed_out),
    );
    let expected = u64::from(doses).min(results.clients);
    let what = format!("{expected} bookings are made");
    report.check(results.booked == expected, what, results.booked.to_string());
    report.check_responses(&results.observations);
    report
}

/// The distance between the lines is the queue.
fn clients_chart(results: &ClientResults) -> Chart {
    let line = |name: &str, style, times: &[Duration]| {
        let count = times.len();
        // A point for each half percent.
        let step = (count / 200).max(1);
        let points = (0..count).step_by(step).chain(count.checked_sub(1));
        let points = points.map(|index| {
            let clients = f64::from(u32::try_from(index + 1).unwrap_or(u32::MAX));
            (times[index].as_secs_f64(), clients)
        });
        Series::new(name, style, points.collect())
    };
    let series = vec![
        line("started", Style::Line, &results.started_at),
        line("with a final response", Style::Area, &results.finished_at),
    ];
    Chart::over_time("Clients", "clients", series, &[])
}
