//! `kill -9` at random moments: every acknowledged booking is kept, and no dose is leaked.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use clap::Args;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use super::context::{Context, Entries, Trial};
use crate::{
    audit::Acknowledged,
    chart::Mark,
    error::DrillError,
    ledgers::CONVERGE_WITHIN,
    load::{Load, Requests, stop::Stop},
    reference::booking_request,
    report::{Report, seconds},
    request::{Reconnect, Request},
    response::{RequestError, Response},
    service::ServiceProcess,
    system::System,
};

/// Users who send without pause.
const USERS: u16 = 40;

/// A process is killed after so many responses at most,
const RESPONSES_MAX: u64 = 3_000;

/// and after this time, should there be no responses any more.
const ROUND_MAX: Duration = Duration::from_secs(20);

/// Killed in turn.
const VICTIMS: [ServiceProcess; 2] = [ServiceProcess::booking(0), ServiceProcess::vaccine(0)];

#[derive(Debug, Args)]
pub(super) struct Options {
    /// How many times a process is killed
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Of the random moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(super) async fn run(options: &Options, context: &Context) -> Result<Report, DrillError> {
    context.require_own_system("kill processes of yours, then run `anticorona audit`")?;
    context.show("starting every service");
    let mut system = System::start_each(context.environment.clone()).await?;
    let trial = Trial::unlimited(context, Entries::of(&system, 1)?).await?;
    let acknowledged = Arc::<Mutex<Acknowledged>>::default();
    let mut random = fastrand::Rng::with_seed(options.seed);
    let mut kills = Vec::new();
    for (round, victim) in (1..=options.rounds).zip(VICTIMS.into_iter().cycle()) {
        let after = random.u64(1..=RESPONSES_MAX);
        context.show(format!("round {round}: kill {victim} after {after} responses"));
        load_and_kill(&trial, &mut system, (victim, after), &acknowledged).await?;
        kills.push(Mark::new(trial.recorder.elapsed(), ""));
        if context.without_protection && victim == ServiceProcess::booking(0) {
            // As with a database in memory.
            fs::remove_dir_all(system.data(victim))?;
        }
        system.start_service(victim).await?;
    }
    context.show("comparing the ledgers");
    let began = trial.recorder.elapsed();
    let acknowledged = acknowledged.lock().clone();
    let audit = system.ledgers()?.audit(&acknowledged, CONVERGE_WITHIN).await?;
    let converged = trial.recorder.elapsed().saturating_sub(began);

    let mut report = Report::new(
        "crash",
        format!(
            "{USERS} users book and cancel while booking and vaccine are killed in turn (kill -9) at random \
             moments, {} times, and restarted with their data.",
            options.rounds
        ),
    );
    let what = "bookings were made before, between and after the kills";
    report.check(!acknowledged.is_empty(), what, acknowledged.len().to_string());
    report.fact("kills", options.rounds.to_string());
    report.fact("bookings kept", audit.bookings.to_string());
    report.fact("the ledgers converged after", seconds(converged));
    report.note("While a process is dead its requests end without a response, or in 503.");
    let figures = json!({
        "rounds": options.rounds,
        "seed": options.seed,
        "acknowledged": acknowledged.len(),
    });
    report.conclude(&trial.recorder.take(), Some(&audit), &kills, figures);
    Ok(report)
}

/// Loads the system, and kills the victim after so many responses.
async fn load_and_kill(
    trial: &Trial<'_>,
    system: &mut System,
    (victim, after): (ServiceProcess, u64),
    acknowledged: &Arc<Mutex<Acknowledged>>,
) -> Result<(), DrillError> {
    let (is_over, reached) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let (stop, vaccine_id) = (Arc::clone(&is_over), trial.vaccine_id);
    let load = Load {
        users: USERS,
        reconnect: Reconnect::Never,
        stop: Stop::after(ROUND_MAX).or_when(move || stop.load(Relaxed)),
        request: Requests::made(move |number| request(vaccine_id, number)),
    };
    let (observe, count, notify) = (trial.observer(), AtomicU64::new(0), Arc::clone(&reached));
    let acknowledged = Arc::clone(acknowledged);
    let on_end = move |ended: Result<&Response, &RequestError>| {
        observe(ended);
        if let Ok(response) = ended
            && response.status == 201
            && let Some(booking) = response.json().ok().and_then(|it| it["bookingId"].as_i64())
        {
            let mut acknowledged = acknowledged.lock();
            // Each request is a client of its own.
            let client = u64::try_from(acknowledged.len()).unwrap_or(u64::MAX);
            acknowledged.record(client, 0, booking);
        }
        if count.fetch_add(1, Relaxed) >= after {
            notify.notify_one();
        }
    };
    let kill = async {
        reached.notified().await;
        let killed = system.kill(victim);
        is_over.store(true, Relaxed);
        killed
    };
    let load = async {
        load.run_observed(trial.entry(), on_end).await;
        reached.notify_one(); // Also after a round without enough responses.
    };
    let ((), killed) = tokio::join!(load, kill);
    killed
}

/// A booking, or every tenth time the cancellation of an early one.
fn request(vaccine_id: i64, number: u64) -> Request {
    if number % 10 == 9 {
        let body = json!({"status": "BOOKING_CANCELLED"});
        return Request::patch_json(&format!("/bookings/{}", number / 10 + 1), &body);
    }
    booking_request(vaccine_id)
}
