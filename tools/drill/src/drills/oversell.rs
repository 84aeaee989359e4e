//! More clients than doses, each sending twice at once, while responses are delayed: exactly as many
//! bookings as doses.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::context::{Context, Entries, Trial};
use crate::{
    clients::{ClientResults, Clients},
    error::DrillError,
    open::schedule::Schedule,
    reference::set_faults,
    report::{Report, seconds},
};

/// How long it takes until every client has started.
const START_DURATION: Duration = Duration::from_secs(1);

/// How long a client retries.
const TIMEOUT: Duration = Duration::from_mins(1);

/// For a moment of every five seconds, responses of vaccine come later than booking waits for a hold, so
/// that booking does not know whether a dose is held.
const DELAY_EVERY_MS: u32 = 5_000;
const DELAY_FOR_MS: u32 = 200;
const DELAY_MS: u32 = 1_200;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Clients that each want a booking
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Doses
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    doses: u32,
    /// Booking processes, in a system of the drill's own
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=8))]
    replicas: u16,
}

pub(super) async fn run(options: &Options, context: &Context) -> Result<Report, DrillError> {
    let Options { clients, doses, replicas } = *options;
    if context.without_protection {
        return Err(
            "overselling cannot be switched on: drill a system without the guard with --target"
                .into(),
        );
    }
    if let Some(external) = context.external.clone() {
        let trial = Trial::new(context, external, doses.into()).await?;
        context.show(format!("{clients} clients, {doses} doses"));
        let results = load(options, context, &trial).await;
        return verdict(options, &trial, results).await;
    }
    let system = context.start(context.environment.clone().with_faults(), replicas).await?;
    let trial = Trial::new(context, Entries::of(&system, replicas)?, doses.into()).await?;
    context.show(format!("{clients} clients, {doses} doses"));
    // Immediately before the load: the first delay begins now.
    let delays = json!({"mode": "bursts", "everyMs": DELAY_EVERY_MS, "forMs": DELAY_FOR_MS, "delayMs": DELAY_MS});
    set_faults(&trial.vaccine, &delays).await?;
    let results = load(options, context, &trial).await;
    set_faults(&trial.vaccine, &json!({"mode": "none"})).await?;
    let mut report = verdict(options, &trial, results).await?;
    report.note(format!(
        "Vaccine responded {DELAY_MS} ms late for {DELAY_FOR_MS} of every {DELAY_EVERY_MS} ms: booking cannot know \
         then whether a dose is held, and must resolve that."
    ));
    Ok(report)
}

async fn load(options: &Options, context: &Context, trial: &Trial<'_>) -> ClientResults {
    let rate = f64::from(options.clients) / START_DURATION.as_secs_f64();
    let clients = Clients {
        schedule: Schedule::constant(rate, START_DURATION),
        timeout: TIMEOUT,
        sends_twice: true,
        vaccine: trial.vaccine_id,
    };
    clients.run(&trial.bookings, &context.progress).await
}

async fn verdict(
    options: &Options,
    trial: &Trial<'_>,
    results: ClientResults,
) -> Result<Report, DrillError> {
    let Options { clients, doses, .. } = *options;
    let audit = trial.audit(&results.acknowledged).await?;
    let mut report = Report::new(
        "oversell",
        format!(
            "{clients} clients want one of {doses} doses at the same moment. Each sends twice at once with the same \
             Idempotency-Key, and retries after Retry-After."
        ),
    );
    let ClientResults { booked, sold_out, timed_out, observations, .. } = &results;
    let expected = u64::from(doses.min(clients));
    let what = format!("exactly {expected} clients have a booking");
    report.check(*booked == expected, what, booked.to_string());
    let others = results.clients - expected.min(results.clients);
    let found = format!("{sold_out}, and {timed_out} without a final response");
    report.check(*sold_out == others, format!("the other {others} received \"sold out\""), found);
    report.check_responses(observations);
    report.fact("last client served after", seconds(results.last_finished_at()));
    report.fact("longest wait", seconds(results.longest_wait));
    let figures = json!({
        "clients": results.clients,
        "doses": doses,
        "booked": booked,
        "sold_out": sold_out,
        "timed_out": timed_out,
    });
    report.conclude(observations, Some(&audit), &[], figures);
    Ok(report)
}
