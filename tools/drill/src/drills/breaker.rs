//! The reference's load test of the circuit breaker: vaccine becomes slow, and later dies, while 100
//! users book.

use std::{ops::Range, time::Duration};

use clap::Args;
use serde_json::json;
use tokio::time::{interval, sleep};

use super::context::{Context, Entries, Trial};
use crate::{
    audit::Acknowledged,
    chart::{Chart, Mark, Series, Style, steps},
    error::DrillError,
    http::send,
    load::summary::{Outcome, Summary},
    observations::{Observations, Recorder},
    reference::{booking_request, set_faults},
    report::{Report, milliseconds, seconds},
    request::Request,
    service::ServiceProcess,
    system::System,
    target::Target,
};

/// The delay of a slow vaccine.
const SLOW_MS: u32 = 5_000;

/// How long the breaker may take to open once there is no booking any more, since doses that booking has in hand need no
/// call: two calls of a second each, and some slack.
const OPEN_WITHIN: Duration = Duration::from_secs(3);

/// The p95 of refusals once it is open: this, or the p99 of the bookings before, which on a busy machine is
/// longer. A release build takes a tenth. The others are probes, five a second, which wait for vaccine.
const PROMPT: Duration = Duration::from_millis(200);

/// The share of the earlier rate at which bookings have recovered.
const RECOVERED_SHARE: f64 = 0.25;

const POLL_EVERY: Duration = Duration::from_millis(100);

const BREAKERS: &str = "/actuator/circuitbreakers";

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Seconds of load: available, slow, available, dead and available for a fifth each
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(SECONDS_MIN..=600))]
    seconds: u64,
    /// Users who reconnect for each request, as siege's do
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    users: u16,
}

/// Each fifth is longer than the breaker needs to open and to close.
const SECONDS_MIN: u64 = 20;

impl Options {
    fn load_duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// The outages of vaccine, since the beginning.
struct Outages {
    slow: Range<Duration>,
    dead: Range<Duration>,
}

/// The highest state of booking's breakers at each poll.
type States = Vec<(Duration, State)>;

pub(super) async fn run(options: &Options, context: &Context) -> Result<Report, DrillError> {
    context.require_own_system("watch /actuator/circuitbreakers of yours while it is loaded")?;
    let mut system = context.start(context.environment.clone().with_faults(), 1).await?;
    let trial = Trial::unlimited(context, Entries::of(&system, 1)?).await?;
    if context.without_protection {
        disable_breakers(trial.entry(), trial.vaccine_id).await?;
    }
    let duration = options.load_duration();
    let mut states = Vec::new();
    let load = async {
        tokio::join!(
            trial.book(trial.entry(), options.users, duration),
            inject_faults(duration / 5, context, &mut system, &trial)
        )
    };
    let (summary, outages) = tokio::select! {
        ended = load => ended,
        () = watch(trial.entry(), &trial.recorder, &mut states) => return Err("the breaker is no longer watched".into()),
    };
    let (outages, audit) = (outages?, trial.audit(&Acknowledged::default()).await?);
    let observations = trial.recorder.take();
    let mut report = verdict(options, &observations, &outages, &states);
    report.charts.push(state_chart(&states, &marks(&outages)));
    availability(&mut report, &summary);
    let figures = json!({
        "users": options.users,
        "seconds": options.seconds,
        "bookings_per_second_before": rate_before(&observations, &outages),
        "availability_percent_of_siege": summary.availability_percent(),
    });
    report.conclude(&observations, Some(&audit), &marks(&outages), figures);
    Ok(report)
}

/// A breaker exists from the first call on.
async fn disable_breakers(booking: &Target, vaccine_id: i64) -> Result<(), DrillError> {
    send(booking, &booking_request(vaccine_id)).await?;
    let all = send(booking, &Request::get(BREAKERS)).await?.json()?;
    for name in all["circuitBreakers"].as_object().into_iter().flat_map(|all| all.keys()) {
        let disable = json!({"updateState": "DISABLE"});
        let request = Request::post_json(&format!("{BREAKERS}/{name}"), &disable);
        let response = send(booking, &request).await?;
        if response.status != 200 {
            return Err(format!("cannot disable the breaker: {}", response.text()).into());
        }
    }
    Ok(())
}

/// Available, slow, available, dead, available.
async fn inject_faults(
    phase: Duration,
    context: &Context,
    system: &mut System,
    trial: &Trial<'_>,
) -> Result<Outages, DrillError> {
    let elapsed = || trial.recorder.elapsed();
    context.show("vaccine is available");
    sleep(phase).await;
    context.show("vaccine is slow: every response after 5 s");
    let began = elapsed();
    set_faults(&trial.vaccine, &json!({"mode": "slow", "delayMs": SLOW_MS})).await?;
    sleep(phase).await;
    set_faults(&trial.vaccine, &json!({"mode": "none"})).await?;
    let slow = began..elapsed();
    context.show("vaccine is available again");
    sleep(phase).await;
    context.show("vaccine is dead (kill -9)");
    let began = elapsed();
    system.kill(ServiceProcess::vaccine(0))?;
    sleep(phase).await;
    system.start_service(ServiceProcess::vaccine(0)).await?;
    let dead = began..elapsed();
    context.show("vaccine is available again");
    Ok(Outages { slow, dead })
}

/// Polls booking's breakers until it is dropped.
async fn watch(booking: &Target, recorder: &Recorder, states: &mut States) {
    let mut ticks = interval(POLL_EVERY);
    loop {
        ticks.tick().await;
        let response = send(booking, &Request::get(BREAKERS)).await;
        let Some(body) = response.ok().and_then(|response| response.json().ok()) else { continue };
        let breakers = body["circuitBreakers"].as_object().into_iter().flat_map(|all| all.values());
        let state = breakers.filter_map(|one| State::parse(one["state"].as_str()?)).max();
        states.push((recorder.elapsed(), state.unwrap_or(State::Closed)));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Closed,
    HalfOpen,
    Open,
}

impl State {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "CLOSED" | "DISABLED" | "METRICS_ONLY" => Some(Self::Closed),
            "HALF_OPEN" => Some(Self::HalfOpen),
            "OPEN" | "FORCED_OPEN" => Some(Self::Open),
            _ => None,
        }
    }

    fn height(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::HalfOpen => 1.0,
            Self::Open => 2.0,
        }
    }
}

fn verdict(
    options: &Options,
    observations: &Observations,
    outages: &Outages,
    states: &States,
) -> Report {
    let mut report = Report::new(
        "breaker",
        format!(
            "{} users book for {} s, reconnecting for each request, as the reference's siege does. Vaccine \
             becomes slow (every response after 5 s), available, dead (kill -9), and available again.",
            options.users, options.seconds
        ),
    );
    report.check_responses(observations);
    let before = rate_before(observations, outages);
    let booked_before =
        observations.percentile(99, &before_outages(outages), |it| it == Outcome::Status(201));
    let prompt = booked_before.unwrap_or_default().max(PROMPT);
    for (name, outage, until) in [
        ("slow", &outages.slow, outages.dead.start),
        ("dead", &outages.dead, options.load_duration()),
    ] {
        check_breaker(&mut report, observations, states, (name, outage), prompt);
        let recovered = observations.recovered_after(outage.end, before * RECOVERED_SHARE, until);
        report.check_time(recovered, format!("after {name}, bookings recover"), "they do not");
    }
    report.fact("bookings per second before", format!("{before:.0}"));
    report
}

/// The breaker opens, refusals are prompt, and it closes.
fn check_breaker(
    report: &mut Report,
    observations: &Observations,
    states: &States,
    (name, outage): (&str, &Range<Duration>),
    prompt: Duration,
) {
    let opened = states.iter().find(|(at, state)| outage.contains(at) && *state == State::Open);
    let after = opened.map(|(at, _)| {
        let booked = observations.last_booked(&(outage.start..*at));
        at.saturating_sub(booked.unwrap_or(outage.start))
    });
    report.check(
        after.is_some_and(|after| after <= OPEN_WITHIN),
        format!(
            "the breaker opens within {} of the last booking when vaccine is {name}",
            seconds(OPEN_WITHIN)
        ),
        after.map_or("it does not".to_owned(), |after| format!("after {}", seconds(after))),
    );
    let p95 = opened
        .and_then(|(at, _)| observations.percentile(95, &(*at..outage.end), Outcome::is_refusal));
    report.check(
        p95.is_some_and(|p95| p95 <= prompt),
        format!("then 95 % of the refusals take at most {}", milliseconds(prompt)),
        p95.map_or("there is none".to_owned(), milliseconds),
    );
    let closed = states.iter().find(|(at, state)| *at > outage.end && *state == State::Closed);
    let after = opened.and(closed).map(|(at, _)| at.saturating_sub(outage.end));
    let never = "it did not open, or does not close";
    report.check_time(after, "the breaker closes when vaccine is available", never);
}

fn rate_before(observations: &Observations, outages: &Outages) -> f64 {
    observations.rate(before_outages(outages))
}

/// Without the first connections.
fn before_outages(outages: &Outages) -> Range<Duration> {
    outages.slow.start / 4..outages.slow.start
}

fn availability(report: &mut Report, summary: &Summary) {
    let availability = format!("{:.2} %", summary.availability_percent());
    report.fact("availability by siege's definition", availability);
    report.note(
        "Siege counts each 503 as a failure, since it does not know Retry-After. While vaccine is dead no booking \
         is possible; the drill requires that every client learns that at once.",
    );
}

fn marks(Outages { slow, dead }: &Outages) -> Vec<Mark> {
    [(slow.start, "slow"), (slow.end, "available"), (dead.start, "dead"), (dead.end, "available")]
        .map(|(at, name)| Mark::new(at, name))
        .to_vec()
}

fn state_chart(states: &States, marks: &[Mark]) -> Chart {
    let points = steps(states.iter().map(|(at, state)| (at.as_secs_f64(), state.height())));
    let series = vec![Series::new("booking → vaccine", Style::Area, points)];
    let title = "The circuit breaker: 0 closed, 1 half open, 2 open";
    Chart::over_time(title, "state", series, marks)
}
