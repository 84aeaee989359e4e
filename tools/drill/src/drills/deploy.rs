//! A rolling restart under load: every request is served.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::sleep;

use super::context::{Context, Entries, Trial};
use crate::{
    audit::Acknowledged,
    balancer::Balancer,
    chart::Mark,
    error::DrillError,
    load::summary::Outcome,
    report::{Report, seconds},
    request::Reconnect,
    service::ServiceProcess,
    system::System,
    target::Target,
};

/// For how long the balancer knows an address: a fortieth of the 30 s for which the DNS of a cluster caches.
const DNS_CACHE: Duration = Duration::from_millis(750);

/// From the removal of a process to SIGTERM: a fortieth of the manifest's 40 s.
const PRE_STOP_MS: u64 = 1_000;

/// Pause between two processes.
const BETWEEN: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Seconds of load; the restarts are in the middle
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(6..=600))]
    seconds: u64,
    /// Users; half of them reconnect for each request, half keep their connection
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(2..=1_000))]
    users: u16,
    /// Booking processes, in a system of the drill's own
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=8))]
    replicas: u16,
    /// Milliseconds from the removal of a process to SIGTERM; the balancer still knows its address for 750
    #[arg(long, default_value_t = PRE_STOP_MS, value_parser = clap::value_parser!(u64).range(..=10_000))]
    pre_stop: u64,
}

impl Options {
    fn pre_stop(&self) -> Duration {
        Duration::from_millis(self.pre_stop)
    }

    fn load_duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

pub(super) async fn run(options: &Options, context: &Context) -> Result<Report, DrillError> {
    if let Some(external) = &context.external {
        let trial = Trial::unlimited(context, external.clone()).await?;
        context.show("deploy now, as usual; every request must be served meanwhile");
        load(options, &trial, trial.entry()).await;
        return verdict(options, &trial, &[]).await;
    }
    let mut system = context.start(context.environment.clone(), options.replicas).await?;
    let trial = Trial::unlimited(context, Entries::of(&system, options.replicas)?).await?;
    let balancer = Balancer::caching(DNS_CACHE).await?;
    trial.bookings.iter().for_each(|booking| balancer.add(booking));
    let (marks, ()) = tokio::join!(
        restart_all(options, context, &mut system, (&trial, &balancer)),
        load(options, &trial, balancer.target())
    );
    let mut report = verdict(options, &trial, &marks?).await?;
    report.note(
        "Vaccine, alone on its SQLite, is not restarted: on PostgreSQL it has several processes, and is restarted \
         as booking is here.",
    );
    Ok(report)
}

/// Restarts one booking process after the other.
async fn restart_all(
    options: &Options,
    context: &Context,
    system: &mut System,
    (trial, balancer): (&Trial<'_>, &Balancer),
) -> Result<Vec<Mark>, DrillError> {
    let mut marks = Vec::new();
    sleep(options.load_duration() / 4).await;
    for (n, process) in (0..).zip(&trial.bookings) {
        let service = ServiceProcess::booking(n);
        context.show(format!("restarting booking {} of {}", n + 1, options.replicas));
        marks.push(Mark::new(trial.recorder.elapsed(), &(n + 1).to_string()));
        if context.without_protection {
            // Killed, while the balancer still sends connections there.
            system.kill(service)?;
            sleep(options.pre_stop()).await;
            system.start_service(service).await?;
        } else {
            take_out(system, balancer, (service, process), options.pre_stop()).await?;
            system.start_service(service).await?;
            balancer.add(process);
        }
        sleep(BETWEEN).await;
    }
    context.show("every booking process was restarted");
    Ok(marks)
}

/// Removed first, then terminated by SIGTERM.
pub(super) async fn take_out(
    system: &mut System,
    balancer: &Balancer,
    (service, process): (ServiceProcess, &Target),
    pre_stop: Duration,
) -> Result<(), DrillError> {
    balancer.remove(process);
    sleep(pre_stop).await;
    match system.terminate(service).await? {
        Some(0) => Ok(()),
        code => Err(format!("{service} exited with {code:?} instead of 0").into()),
    }
}

async fn load(options: &Options, trial: &Trial<'_>, entry: &Target) {
    let (half, duration) = (options.users / 2, options.load_duration());
    tokio::join!(
        trial.book(entry, half, duration),
        trial.book_on(entry, options.users - half, duration, Reconnect::Never)
    );
}

async fn verdict(
    options: &Options,
    trial: &Trial<'_>,
    marks: &[Mark],
) -> Result<Report, DrillError> {
    let mut report = Report::new(
        "deploy",
        format!(
            "{} users book for {} s while one booking process after the other is removed from the balancer, \
             which still knows its address for {}, terminated (SIGTERM) after {}, started and added again.",
            options.users,
            options.seconds,
            seconds(DNS_CACHE),
            seconds(options.pre_stop())
        ),
    );
    let audit = trial.audit(&Acknowledged::default()).await?;
    let observations = trial.recorder.take();
    let served = observations.count(|outcome| outcome == Outcome::Status(201));
    let all = observations.count(|_| true);
    report.check(
        served == all && all > 0,
        "100 % of the requests are served",
        format!("{served} of {all}"),
    );
    report.check_response_times(&observations);
    let figures = json!({
        "users": options.users,
        "seconds": options.seconds,
        "requests": all,
        "served": served,
    });
    report.conclude(&observations, Some(&audit), marks, figures);
    Ok(report)
}
