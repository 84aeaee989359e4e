//! One service hangs, another dies: liveness probes fail, both are restarted, and bookings continue.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::context::{Context, Entries, Trial};
use crate::{
    audit::{Acknowledged, Audit},
    chart::Mark,
    error::DrillError,
    http::send,
    load::summary::Outcome,
    observations::Observations,
    report::{Report, seconds},
    request::Request,
    service::ServiceProcess,
    system::System,
    target::Target,
};

/// The probes of the manifests (every 5 s, within 3 s, three in a row), more often.
const PROBE_EVERY: Duration = Duration::from_millis(500);
const PROBE_WITHIN: Duration = Duration::from_millis(500);
const PROBES_FAILED: u32 = 3;

/// How long it may take from the fault to bookings as before: the probes, a start, a breaker.
const RECOVER_WITHIN: Duration = Duration::from_secs(7);

/// The share of the earlier rate at which bookings have recovered.
const RECOVERED_SHARE: f64 = 0.25;

const VACCINE: ServiceProcess = ServiceProcess::vaccine(0);
const BOOKING: ServiceProcess = ServiceProcess::booking(0);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Seconds of load: vaccine hangs after a sixth, booking dies after a half
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(18..=600))]
    seconds: u64,
    /// Users
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    users: u16,
}

impl Options {
    fn load_duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// A fault, and the restart after it.
#[derive(Clone, Debug)]
struct Fault {
    name: &'static str,
    service: ServiceProcess,
    at: Duration,
    restarted: Option<Duration>,
}

pub(super) async fn run(options: &Options, context: &Context) -> Result<Report, DrillError> {
    let duration = options.load_duration();
    if let Some(external) = &context.external {
        let trial = Trial::unlimited(context, external.clone()).await?;
        context.show("inject a fault now; bookings must have recovered before the end");
        trial.book(trial.entry(), options.users, duration).await;
        let audit = trial.audit(&Acknowledged::default()).await?;
        return Ok(verdict(options, &trial.recorder.take(), &[], Some(&audit)));
    }
    let mut system = context.start(context.environment.clone(), 1).await?;
    let trial = Trial::unlimited(context, Entries::of(&system, 1)?).await?;
    let (faults, _) = tokio::join!(
        inject_and_restart(options, context, &mut system, &trial),
        trial.book(trial.entry(), options.users, duration)
    );
    let faults = faults?;
    // The ledger of a dead process cannot be read.
    let audit = if faults.iter().all(|fault| fault.restarted.is_some()) {
        Some(trial.audit(&Acknowledged::default()).await?)
    } else {
        None
    };
    Ok(verdict(options, &trial.recorder.take(), &faults, audit.as_ref()))
}

/// Injects the faults, and restarts services as a kubelet does.
async fn inject_and_restart(
    options: &Options,
    context: &Context,
    system: &mut System,
    trial: &Trial<'_>,
) -> Result<Vec<Fault>, DrillError> {
    let duration = options.load_duration();
    let plan = [
        ("vaccine hangs (SIGSTOP)", VACCINE, duration / 6),
        ("booking dies (kill -9)", BOOKING, duration / 2),
    ];
    let mut faults: Vec<Fault> = Vec::new();
    let mut probes =
        [LivenessProbe::new(VACCINE, &trial.vaccine), LivenessProbe::new(BOOKING, trial.entry())];
    let mut ticks = interval(PROBE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    context.show("both services are available");
    while trial.recorder.elapsed() < duration {
        ticks.tick().await;
        let elapsed = trial.recorder.elapsed();
        if let Some((name, service, _)) = plan.get(faults.len()).filter(|(.., at)| elapsed >= *at) {
            context.show(*name);
            if *service == VACCINE {
                system.suspend(VACCINE)?;
            } else {
                system.kill(*service)?;
            }
            faults.push(Fault { name, service: *service, at: elapsed, restarted: None });
        }
        if context.without_protection {
            continue;
        }
        let [vaccine, booking] = &mut probes;
        tokio::join!(vaccine.run(), booking.run());
        for probe in probes.iter_mut().filter(|probe| probe.failed >= PROBES_FAILED) {
            probe.failed = 0;
            let service = probe.service;
            context.show(format!("{service} fails its liveness probe: restarting it"));
            if system.running().any(|running| running == service) {
                system.kill(service)?;
            }
            system.start_service(service).await?;
            if let Some(fault) = faults.iter_mut().rfind(|fault| fault.service == service) {
                fault.restarted = Some(trial.recorder.elapsed());
            }
        }
    }
    Ok(faults)
}

struct LivenessProbe {
    service: ServiceProcess,
    target: Target,
    /// In a row.
    failed: u32,
}

impl LivenessProbe {
    fn new(service: ServiceProcess, target: &Target) -> Self {
        Self { service, target: target.clone(), failed: 0 }
    }

    async fn run(&mut self) {
        let request = Request::get("/actuator/health/liveness");
        let response = timeout(PROBE_WITHIN, send(&self.target, &request)).await;
        let is_alive = matches!(response, Ok(Ok(response)) if response.status == 200);
        self.failed = if is_alive { 0 } else { self.failed + 1 };
    }
}

fn verdict(
    options: &Options,
    observations: &Observations,
    faults: &[Fault],
    audit: Option<&Audit>,
) -> Report {
    let Options { users, seconds: load_seconds } = options;
    let every = PROBE_EVERY.as_millis();
    let mut report = Report::new(
        "self-heal",
        format!(
            "{users} users book for {load_seconds} s. Vaccine hangs, and later booking dies. Each service has a \
             liveness probe every {every} ms, and is restarted after {PROBES_FAILED} failures in a row."
        ),
    );
    let duration = options.load_duration();
    let before = observations.rate(duration / 12..duration / 6);
    let enough = before * RECOVERED_SHARE;
    for fault in faults {
        let after = fault.restarted.map(|at| at.saturating_sub(fault.at));
        report.check_time(after, format!("{}: it is restarted", fault.name), "it is not");
        // A moment later: until then there are responses to earlier requests.
        let from = fault.at + Duration::from_millis(500);
        let recovered = observations.recovered_after(from, enough, fault.at + RECOVER_WITHIN);
        let what = format!("bookings recover within {}", seconds(RECOVER_WITHIN));
        report.check_time(recovered, what, "they do not");
    }
    let after = observations.rate(duration.saturating_sub(Duration::from_secs(2))..duration);
    report.check(
        after >= enough && after > 0.0,
        "at the end bookings are made as in the beginning",
        format!("{after:.0} per second, {before:.0} in the beginning"),
    );
    check_hang(&mut report, observations, faults, duration);
    report.note(
        "There is one booking process here, so requests get no response while it is dead. In a cluster there is \
         another one.",
    );
    let restarted = faults
        .iter()
        .map(|fault| fault.restarted.map(|at| at.saturating_sub(fault.at).as_millis()));
    let figures = json!({
        "users": users,
        "seconds": load_seconds,
        "bookings_per_second_before": before,
        "bookings_per_second_after": after,
        "restarted_after_ms": restarted.collect::<Vec<_>>(),
    });
    report.conclude(observations, audit, &marks(faults), figures);
    report
}

/// While vaccine hangs, booking still sends proper responses.
fn check_hang(
    report: &mut Report,
    observations: &Observations,
    faults: &[Fault],
    duration: Duration,
) {
    let until = faults.iter().find(|fault| fault.service == BOOKING);
    let until = until.map_or(duration, |fault| fault.at);
    for fault in faults.iter().filter(|fault| fault.service == VACCINE) {
        let raw = observations.all().iter().filter(|it| {
            (fault.at..until).contains(&it.ended_at)
                && !matches!(it.outcome, Outcome::Status(201 | 409) | Outcome::RetryLater(_))
        });
        let raw = raw.count();
        let what = "while vaccine hangs no request ends in a raw error";
        report.check(raw == 0, what, format!("{raw} do"));
    }
}

fn marks(faults: &[Fault]) -> Vec<Mark> {
    let marks = faults.iter().flat_map(|fault| {
        let name = if fault.service == VACCINE { "hangs" } else { "dies" };
        [Some(Mark::new(fault.at, name)), fault.restarted.map(|at| Mark::new(at, ""))]
    });
    marks.flatten().collect()
}
