//! A rolling restart under load: nobody notices.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::time::sleep;

use super::{Site, Stage};
use crate::{
    ask::{book, register},
    audit::{Audit, Ledgers, Promised, SETTLE_WITHIN},
    balancer::Balancer,
    chart::Mark,
    client::{request::Reconnect, target::Target},
    load::{Load, stop::Stop, summary::Outcome},
    report::Report,
    seen::{Answers, Seen},
    system::{Broken, Part, System},
};

const DOSES: i64 = 1_000_000_000;

/// From "no new connections" to SIGTERM, as in the manifests but shorter: on one machine everybody
/// knows at once.
const PRE_STOP: Duration = Duration::from_millis(300);

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
    /// Processes of booking, in a system of its own
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=8))]
    replicas: u16,
}

impl Options {
    pub(super) fn takes(&self) -> Duration {
        Duration::from_secs(self.seconds + 5)
    }
}

/// What came of it.
struct Deployed {
    seen: Seen,
    marks: Vec<Mark>,
    audit: Audit,
}

pub(super) async fn play(options: &Options, stage: &Stage) -> Result<Report, Broken> {
    match &stage.site {
        Some(site) => of_yours(options, stage, site).await,
        None => of_its_own(options, stage).await,
    }
}

async fn of_yours(options: &Options, stage: &Stage, site: &Site) -> Result<Report, Broken> {
    let id = register(&site.vaccine, DOSES).await?;
    stage.progress.say("deploy now, as you do it; everybody must be served meanwhile");
    let answers = Answers::begin();
    users(options, stage, &site.entry, id, &answers).await;
    let ledgers = Ledgers::of_vaccine(&site.vaccine, std::slice::from_ref(&site.entry), id);
    let audit = ledgers.audit(&Promised::default(), SETTLE_WITHIN).await?;
    Ok(report(options, &Deployed { seen: answers.seen(), marks: Vec::new(), audit }))
}

async fn of_its_own(options: &Options, stage: &Stage) -> Result<Report, Broken> {
    stage.progress.say(format!("starting vaccine and {} bookings", options.replicas));
    let mut parts = vec![Part::Vaccine(0)];
    parts.extend((0..options.replicas).map(Part::Booking));
    let mut system = System::start(stage.ground.clone(), &parts).await?;
    let bookings: Vec<Target> =
        (0..options.replicas).map(|n| system.booking(n)).collect::<Result<_, _>>()?;
    let balancer = Balancer::start().await?;
    for booking in &bookings {
        balancer.add(booking);
    }
    let id = register(&system.vaccine(0)?, DOSES).await?;
    let answers = Answers::begin();
    let entry = balancer.target().clone();
    let (marks, ()) = tokio::join!(
        roll(options, stage, &mut system, &balancer, &answers),
        users(options, stage, &entry, id, &answers)
    );
    stage.progress.say("comparing the ledgers");
    let ledgers = Ledgers::of_vaccine(&system.vaccine(0)?, &bookings, id);
    let audit = ledgers.audit(&Promised::default(), SETTLE_WITHIN).await?;
    let mut report = report(options, &Deployed { seen: answers.seen(), marks: marks?, audit });
    report.note(
        "Vaccine, alone on its SQLite, is not restarted: on PostgreSQL it has several processes, and is rolled \
         as booking is here.",
    );
    Ok(report)
}

/// Restarts one booking after the other.
async fn roll(
    options: &Options,
    stage: &Stage,
    system: &mut System,
    balancer: &Balancer,
    answers: &Answers,
) -> Result<Vec<Mark>, Broken> {
    let mut marks = Vec::new();
    sleep(Duration::from_secs(options.seconds) / 4).await;
    for n in 0..options.replicas {
        let (part, process) = (Part::Booking(n), system.booking(n)?);
        stage.progress.say(format!("restarting booking {} of {}", n + 1, options.replicas));
        marks.push(Mark { x: answers.elapsed().as_secs_f64(), name: format!("{}", n + 1) });
        if stage.without_protection {
            // Nobody is asked, and nobody is told.
            system.kill(part)?;
            sleep(PRE_STOP).await;
        } else {
            balancer.remove(&process);
            sleep(PRE_STOP).await;
            let code = system.terminate(part).await?;
            if code != Some(0) {
                return Err(format!("booking {n} ended with {code:?}, not with 0").into());
            }
        }
        system.start_part(part).await?;
        if !stage.without_protection {
            balancer.add(&process);
        }
        sleep(BETWEEN).await;
    }
    stage.progress.say("all of them are new");
    Ok(marks)
}

async fn users(options: &Options, stage: &Stage, entry: &Target, id: i64, answers: &Answers) {
    let load = |users, reconnect| {
        let stop = Stop::after(Duration::from_secs(options.seconds));
        Load { users, reconnect, stop, request: book(id).into() }
            .run_observed(entry, stage.note(answers))
    };
    let half = options.users / 2;
    tokio::join!(load(half, Reconnect::EachRequest), load(options.users - half, Reconnect::Never));
}

fn report(options: &Options, Deployed { seen, marks, audit }: &Deployed) -> Report {
    let mut report = Report::of(
        "deploy",
        format!(
            "{} users book for {} s while one process of booking after the other is taken out, asked to end \
             (SIGTERM), started again and taken in again.",
            options.users, options.seconds
        ),
    );
    let (booked, all) =
        (seen.count(|outcome| outcome == Outcome::Status(201)), seen.answers().len());
    let all = u64::try_from(all).unwrap_or(u64::MAX);
    report.check(
        booked == all && all > 0,
        "100 % of the requests are served",
        format!("{booked} of {all}"),
    );
    report.in_time(seen);
    report.audited(audit);
    for (name, count) in seen.outcomes() {
        report.fact(name, count.to_string());
    }
    report.charts = vec![seen.outcome_chart(marks), seen.latency_chart(marks)];
    report.figures = json!({
        "users": options.users,
        "seconds": options.seconds,
        "requests": all,
        "served": booked,
        "longest_answer_ms": seen.longest().as_millis(),
        "audit": audit.json(),
    });
    report
}
