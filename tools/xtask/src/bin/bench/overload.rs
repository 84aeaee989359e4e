//! A load above the capacity: how much is still served, how fast the rest is rejected, and how soon
//! everything is accepted again when the load falls.
//!
//! The store of vaccine is delayed for each command so that it is the bottleneck, and neither the load
//! generator nor a processor.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use drill::{
    Chart, DrillError, Load, Mark, Measurement, OpenLoad, Reconnect, Scale, Schedule, Series, Stop,
    Style,
};
use serde::Serialize;
use serde_json::json;

use crate::{
    machine::{self, count_of},
    report::{self, Cell, Row, Source},
    system::{self, STOCK, TestSystem},
};

/// Closed loops that measure the capacity; the best rate counts.
const PEAK_USERS: [u16; 3] = [25, 50, 100];
const PEAK_DURATION: Duration = Duration::from_secs(3);

/// Offered load, as multiples of the capacity.
const FACTORS: [u32; 3] = [2, 5, 10];

/// The share of the capacity that is offered before and after, and for how many seconds.
const NORMAL_SHARE: f64 = 0.5;
const BEFORE: u64 = 3;
const AFTER: u64 = 6;

/// How long a user waits. A later response is useless; soon after, the client closes the connection.
const USEFUL_WITHIN: Duration = Duration::from_secs(3);
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(3_200);

const MEMORY_INTERVAL: Duration = Duration::from_millis(250);

/// How long requests of a load may be processed after its end.
const IDLE_WITHIN: Duration = Duration::from_mins(1);

/// A faster response shows that no request waits.
const IDLE_RESPONSE: Duration = Duration::from_millis(200);

const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The arguments of `cargo xtask bench overload`.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds of overload for each multiple
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=60))]
    seconds: u64,
    /// Microseconds added to each command in the store of vaccine
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    store_delay_us: u32,
    /// Writes every figure to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Updates overload.md and its charts in this folder
    #[arg(long, value_name = "FOLDER")]
    docs: Option<PathBuf>,
}

/// A load of a multiple of the capacity.
#[derive(Serialize)]
struct Overload {
    #[serde(flatten)]
    row: Row,
    /// Of each second, in percent of the capacity.
    goodput_percent: Vec<f64>,
    /// Likewise; NaN without an accepted booking.
    accepted_p99_ms: Vec<f64>,
}

/// Measures and reports.
pub(crate) async fn run(options: &Options) -> Result<(), DrillError> {
    let Options { seconds, store_delay_us, json, docs } = options;
    system::build(&system::PROGRAM)?;
    let source = Source::of_this_run()?;
    let (peak, overloads) = measure(options).await?;
    let measured = format!(
        "{}\nCapacity: {peak:.0} bookings per second, the best of closed loops of {PEAK_USERS:?} users, \
         with vaccine's store delayed by {store_delay_us} µs per command. The overload lasts \
         {seconds} s.\n\n{}",
        source.line(),
        report::table(overloads.iter().map(|overload| &overload.row))
    );
    println!("\n{measured}");
    let figures = json!({"peak_per_second": peak, "overloads": overloads});
    report::write_json(json.as_deref(), &source, &figures)?;
    let Some(folder) = docs else { return Ok(()) };
    report::write_page(folder, "overload.md", &measured, &charts(&overloads, *seconds))
}

/// The capacity, and the loads of its multiples.
async fn measure(options: &Options) -> Result<(f64, Vec<Overload>), DrillError> {
    let (booking, vaccine) = TestSystem::pair(options.store_delay_us).await?;
    let id = vaccine.register(STOCK).await?;
    let peak = peak(&booking, id).await?;
    let mut overloads = Vec::new();
    for factor in FACTORS {
        eprintln!("{factor} times {peak:.0}/s");
        wait_until_idle(&booking, id).await?;
        vaccine.no_open_holds(IDLE_WITHIN).await?;
        overloads.push(overload(&booking, id, (peak, factor), options.seconds).await?);
    }
    Ok((peak, overloads))
}

/// Bookings per second of the best of several closed loops.
async fn peak(booking: &TestSystem, id: i64) -> Result<f64, DrillError> {
    let mut peak: f64 = 0.0;
    for users in PEAK_USERS {
        let (reconnect, stop) = (Reconnect::Never, Stop::after(PEAK_DURATION));
        let request = drill::booking_request(id).into();
        let summary = Load { users, reconnect, stop, request }.run(&booking.entry).await;
        eprintln!("{users} users: {:.0}/s", summary.rate_per_second(201));
        peak = peak.max(summary.rate_per_second(201));
    }
    if peak > 0.0 { Ok(peak) } else { Err("no booking succeeds without overload".into()) }
}

async fn wait_until_idle(booking: &TestSystem, id: i64) -> Result<(), DrillError> {
    let since = Instant::now();
    loop {
        match drill::send(&booking.entry, &drill::booking_request(id)).await {
            Ok(response) if response.status == 201 && response.took < IDLE_RESPONSE => {
                return Ok(());
            }
            Ok(_) | Err(_) if since.elapsed() > IDLE_WITHIN => {
                return Err("it is still busy a minute after the load".into());
            }
            Ok(_) | Err(_) => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}

/// Offers a share of the capacity, then a multiple of it, then the share again.
async fn overload(
    booking: &TestSystem,
    id: i64,
    (peak, factor): (f64, u32),
    seconds: u64,
) -> Result<Overload, DrillError> {
    let offer =
        |times: f64, seconds| Schedule::constant(peak * times, Duration::from_secs(seconds));
    let normal = offer(NORMAL_SHARE, BEFORE).then(offer(f64::from(factor), seconds));
    let load = OpenLoad {
        response_timeout: RESPONSE_TIMEOUT,
        useful_within: USEFUL_WITHIN,
        ..OpenLoad::new(normal.then(offer(NORMAL_SHARE, AFTER)), drill::booking_request(id))
    };
    let before = booking.memory_mib()?;
    let running = load.run(&booking.entry);
    let (measured, highest) =
        machine::highest_while(running, MEMORY_INTERVAL, || booking.memory_mib()).await?;
    let mut cells = cells(&measured, peak, seconds)?;
    cells.extend([
        Cell("memory before", Some(before), " MiB"),
        Cell("highest", Some(highest), " MiB"),
        Cell("after", Some(booking.memory_mib()?), " MiB"),
    ]);
    let each = || measured.seconds.iter();
    Ok(Overload {
        row: Row { name: format!("{factor} times the capacity"), cells },
        goodput_percent: each().map(|it| 100.0 * count_of(it.goodput) / peak).collect(),
        accepted_p99_ms: each().map(|it| it.accepted_ms(99.0).unwrap_or(f64::NAN)).collect(),
    })
}

fn cells(measured: &Measurement, peak: f64, seconds: u64) -> Result<Vec<Cell>, DrillError> {
    let [rise, fall, end] = [BEFORE, BEFORE + seconds, BEFORE + seconds + AFTER];
    let span = |from: u64, to: u64| {
        Ok::<_, DrillError>(measured.during(usize::try_from(from)?..usize::try_from(to)?))
    };
    let high = span(rise, fall)?;
    let per_second = |count| count_of(count) / count_of(seconds);
    let percent = |count| Some(100.0 * count_of(count) / count_of(high.offered));
    // None if a request of the last second was rejected.
    let last = span(fall, end)?.last_rejected.unwrap_or_default();
    let recovered = last.saturating_sub(Duration::from_secs(fall)).as_secs_f64();
    let recovered = (last < Duration::from_secs(end - 1)).then_some(recovered);
    let goodput = per_second(high.goodput);
    Ok(vec![
        Cell("offered", Some(per_second(high.offered)), "/s"),
        Cell("goodput", Some(goodput), "/s"),
        Cell("of the capacity (≥ 90 %)", Some(100.0 * goodput / peak), " %"),
        Cell("p99 of accepted (≤ 1,000 ms)", high.accepted_ms(99.0), " ms"),
        Cell("p99 of rejected (≤ 20 ms)", high.refused_ms(99.0), " ms"),
        Cell("503 with `Retry-After`", percent(high.retry_later), " %"),
        Cell("503 without", percent(high.refused), " %"),
        Cell("failed", percent(high.failed), " %"),
        Cell("not sent", percent(high.not_sent), " %"),
        Cell("recovery after (≤ 2 s)", recovered, " s"),
        Cell("p99 of how late requests were sent", Some(measured.lateness_ms(99.0)), " ms"),
    ])
}

fn charts(overloads: &[Overload], seconds: u64) -> [(&'static str, Chart); 2] {
    let mark = |second: u64, name: &str| Mark { x: count_of(second), name: name.to_owned() };
    let chart = |title: &str, y: &str, values: fn(&Overload) -> &[f64]| Chart {
        title: title.to_owned(),
        x_label: "time (s)".to_owned(),
        y_label: y.to_owned(),
        series: overloads
            .iter()
            .map(|overload| {
                // In the middle of its second.
                let middles = (0..BEFORE + seconds + AFTER).map(|second| count_of(second) + 0.5);
                let points = middles.zip(values(overload).iter().copied()).collect();
                Series { name: overload.row.name.clone(), style: Style::Line, points }
            })
            .collect(),
        marks: vec![mark(BEFORE, "load rises"), mark(BEFORE + seconds, "load falls")],
        ..Chart::default()
    };
    let goodput =
        chart("Goodput over time", "goodput (% of the capacity)", |it| &it.goodput_percent);
    let title = "99th percentile of accepted bookings over time";
    let latency = chart(title, "latency (ms)", |it| &it.accepted_p99_ms);
    let latency = Chart { y_scale: Scale::Logarithmic, ..latency };
    [("overload-goodput", goodput), ("overload-latency", latency)]
}
