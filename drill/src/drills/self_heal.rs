//! A part hangs, another dies: whoever looks after them notices, starts them anew, and bookings go on.

use std::{ops::Range, time::Duration};

use clap::Args;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::{Site, Stage, Users};
use crate::{
    ask::register,
    audit::{Audit, Ledgers, Promised, SETTLE_WITHIN},
    chart::Mark,
    client::{Connection, request::Request, target::Target},
    load::summary::Outcome,
    report::{Report, seconds},
    seen::{Answers, Seen},
    system::{Broken, Part, System},
};

const DOSES: i64 = 1_000_000_000;

/// The probes of the manifests (every 5 s, within 3 s, three in a row), more often.
const PROBE_EVERY: Duration = Duration::from_millis(500);
const PROBE_WITHIN: Duration = Duration::from_millis(500);
const PROBES_FAILED: u32 = 3;

/// How long it may take from the trouble to bookings as before: the probes, a start, a breaker.
const HEALED_WITHIN: Duration = Duration::from_secs(7);

/// How much of the earlier rate counts as before.
const SHARE_BACK: f64 = 0.25;

const VACCINE: Part = Part::Vaccine(0);
const BOOKING: Part = Part::Booking(0);

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
    pub(super) fn takes(&self) -> Duration {
        Duration::from_secs(self.seconds + 10)
    }

    fn users(&self, vaccine: i64) -> Users {
        Users { count: self.users, lasting: self.lasting(), vaccine }
    }

    fn lasting(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// What went wrong, when, and when it was started anew.
#[derive(Clone, Debug)]
struct Trouble {
    name: &'static str,
    part: Part,
    at: Duration,
    restarted: Option<Duration>,
}

pub(super) async fn play(options: &Options, stage: &Stage) -> Result<Report, Broken> {
    if let Some(site) = &stage.site {
        return of_yours(options, stage, site).await;
    }
    stage.progress.say("starting vaccine and booking");
    let mut system = System::start(stage.ground.clone(), &[VACCINE, BOOKING]).await?;
    let (vaccine, booking) = (system.vaccine(0)?, system.booking(0)?);
    let id = register(&vaccine, DOSES).await?;
    let answers = Answers::begin();
    let (troubles, _) = tokio::join!(
        trouble(options, stage, &mut system, &answers),
        options.users(id).book(&booking, stage, &answers)
    );
    let troubles = troubles?;
    let audit = if troubles.iter().all(|trouble| trouble.restarted.is_some()) {
        stage.progress.say("comparing the ledgers");
        let ledgers = Ledgers::of_vaccine(&vaccine, &[booking], id);
        Some(ledgers.audit(&Promised::default(), SETTLE_WITHIN).await?)
    } else {
        None // Whoever is dead cannot be asked.
    };
    Ok(report(options, &answers.seen(), &troubles, audit.as_ref()))
}

async fn of_yours(options: &Options, stage: &Stage, site: &Site) -> Result<Report, Broken> {
    let id = register(&site.vaccine, DOSES).await?;
    stage.progress.say("break something now; bookings must be made again before the end");
    let answers = Answers::begin();
    options.users(id).book(&site.entry, stage, &answers).await;
    let ledgers = Ledgers::of_vaccine(&site.vaccine, std::slice::from_ref(&site.entry), id);
    let audit = ledgers.audit(&Promised::default(), SETTLE_WITHIN).await?;
    Ok(report(options, &answers.seen(), &[], Some(&audit)))
}

/// Makes the trouble, and looks after the parts as a kubelet does.
async fn trouble(
    options: &Options,
    stage: &Stage,
    system: &mut System,
    answers: &Answers,
) -> Result<Vec<Trouble>, Broken> {
    let plan = [
        ("vaccine hangs (SIGSTOP)", VACCINE, options.lasting() / 6),
        ("booking dies (kill -9)", BOOKING, options.lasting() / 2),
    ];
    let mut troubles: Vec<Trouble> = Vec::new();
    let mut keepers =
        [Keeper::of(VACCINE, system.vaccine(0)?), Keeper::of(BOOKING, system.booking(0)?)];
    let mut looks = interval(PROBE_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stage.progress.say("all is well");
    while answers.elapsed() < options.lasting() {
        looks.tick().await;
        if let Some((name, part, at)) = plan.get(troubles.len()).copied()
            && answers.elapsed() >= at
        {
            stage.progress.say(name);
            match part {
                VACCINE => system.freeze(part)?,
                _ => system.kill(part)?,
            }
            troubles.push(Trouble { name, part, at: answers.elapsed(), restarted: None });
        }
        if stage.without_protection {
            continue; // Nobody looks after them.
        }
        let [one, other] = &mut keepers;
        tokio::join!(one.look(), other.look());
        for keeper in &mut keepers {
            if keeper.failed < PROBES_FAILED {
                continue;
            }
            keeper.failed = 0;
            stage
                .progress
                .say(format!("{} does not live: starting it anew", keeper.part.subcommand()));
            if system.runs(keeper.part) {
                system.kill(keeper.part)?;
            }
            system.start_part(keeper.part).await?;
            let last = troubles.iter_mut().rfind(|trouble| trouble.part == keeper.part);
            if let Some(trouble) = last {
                trouble.restarted = Some(answers.elapsed());
            }
        }
    }
    Ok(troubles)
}

/// Whether one part lives.
struct Keeper {
    part: Part,
    target: Target,
    /// Probes in a row.
    failed: u32,
}

impl Keeper {
    fn of(part: Part, target: Target) -> Self {
        Self { part, target, failed: 0 }
    }

    async fn look(&mut self) {
        let request = Request::get("/actuator/health/liveness");
        let mut connection = Connection::new(&self.target).answered_within(PROBE_WITHIN);
        let lives = connection.send(&request).await.is_ok_and(|reply| reply.status == 200);
        self.failed = if lives { 0 } else { self.failed + 1 };
    }
}

fn report(options: &Options, seen: &Seen, troubles: &[Trouble], audit: Option<&Audit>) -> Report {
    let mut report = Report::of(
        "self-heal",
        format!(
            "{} users book for {} s. Vaccine hangs, and later booking dies. Whoever looks after them asks each \
             part every {} ms whether it lives, and after {PROBES_FAILED} failures in a row starts it anew.",
            options.users,
            options.seconds,
            PROBE_EVERY.as_millis()
        ),
    );
    let lasting = options.lasting();
    let before = seen.rate(lasting / 12..lasting / 6);
    for trouble in troubles {
        report.check(
            trouble.restarted.is_some(),
            format!("{}: it is started anew", trouble.name),
            trouble.restarted.map_or("it is not".to_owned(), |at| {
                format!("after {}", seconds(at.saturating_sub(trouble.at)))
            }),
        );
        // From a moment after it began: until then there are answers to what was asked before.
        let from = trouble.at + Duration::from_millis(500);
        let back = seen.back_after(from, before * SHARE_BACK, trouble.at + HEALED_WITHIN);
        report.check(
            back.is_some(),
            format!("bookings are made again within {}", seconds(HEALED_WITHIN)),
            back.map_or("they are not".to_owned(), |_| "they are".to_owned()),
        );
    }
    let last: Range<Duration> = lasting.saturating_sub(Duration::from_secs(2))..lasting;
    let after = seen.rate(last);
    report.check(
        after >= before * SHARE_BACK && after > 0.0,
        "at the end bookings are made as in the beginning",
        format!("{after:.0} per second, {before:.0} in the beginning"),
    );
    while_it_hangs(&mut report, seen, troubles, lasting);
    if let Some(audit) = audit {
        report.audited(audit);
    }
    for (name, count) in seen.outcomes() {
        report.fact(name, count.to_string());
    }
    report.note(
        "There is one process of booking here, so whoever asks while it is dead gets no answer. In a cluster \
         there is another one.",
    );
    let marks = marks(troubles);
    report.charts = vec![seen.outcome_chart(&marks), seen.latency_chart(&marks)];
    report.figures = json!({
        "users": options.users,
        "seconds": options.seconds,
        "answers": seen.outcomes().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "bookings_per_second_before": before,
        "bookings_per_second_after": after,
        "restarted_after_ms": troubles.iter().map(|trouble| {
            trouble.restarted.map(|at| at.saturating_sub(trouble.at).as_millis())
        }).collect::<Vec<_>>(),
        "audit": audit.map(Audit::json),
    });
    report
}

/// Booking is there, and says so to everybody.
fn while_it_hangs(report: &mut Report, seen: &Seen, troubles: &[Trouble], lasting: Duration) {
    let hung: Vec<&Trouble> = troubles.iter().filter(|trouble| trouble.part == VACCINE).collect();
    for trouble in hung {
        let until = troubles.iter().find(|it| it.part == BOOKING).map_or(lasting, |it| it.at);
        let raw = seen.answers().iter().filter(|answer| {
            (trouble.at..until).contains(&answer.at)
                && !matches!(answer.outcome, Outcome::Status(201 | 409) | Outcome::PromisedLater(_))
        });
        let raw = raw.count();
        report.check(raw == 0, "while vaccine hangs nobody sees a raw error", format!("{raw} do"));
    }
}

fn marks(troubles: &[Trouble]) -> Vec<Mark> {
    let mut marks = Vec::new();
    for trouble in troubles {
        let name = if trouble.part == VACCINE { "hangs" } else { "dies" };
        marks.push(Mark { x: trouble.at.as_secs_f64(), name: name.to_owned() });
        let again = trouble.restarted.map(|at| Mark { x: at.as_secs_f64(), name: String::new() });
        marks.extend(again);
    }
    marks
}
