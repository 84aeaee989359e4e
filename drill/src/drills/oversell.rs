//! More people than doses, each asking twice at once, while answers are delayed: exactly as many
//! bookings as doses.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::{Site, Stage};
use crate::{
    ask::{register, set_faults},
    audit::{Ledgers, SETTLE_WITHIN},
    client::target::Target,
    crowd::{Crowd, Served},
    open::schedule::Schedule,
    report::{Report, seconds},
    system::{Broken, Part, System},
};

/// How long it takes until everybody is there.
const COMING: Duration = Duration::from_secs(1);

/// How long anybody asks again.
const PATIENCE: Duration = Duration::from_mins(1);

/// For a moment of every five seconds, answers of vaccine come later than anybody waits for a hold:
/// whether there is one is unknown then.
const DELAYS: (u32, u32, u32) = (5_000, 200, 1_200);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// People who want a booking
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    people: u32,
    /// Doses
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    doses: u32,
    /// Processes of booking, in a system of its own
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=8))]
    replicas: u16,
}

impl Options {
    pub(super) fn takes(&self) -> Duration {
        COMING + Duration::from_millis(u64::from(self.people)) + Duration::from_secs(10)
    }
}

pub(super) async fn play(options: &Options, stage: &Stage) -> Result<Report, Broken> {
    if stage.without_protection {
        return Err("there is no switch for overselling: drill a system without the guard with \
                    --target"
            .into());
    }
    let Some(site) = &stage.site else { return own_system(options, stage).await };
    let Site { entry, vaccine } = site;
    let id = register(vaccine, options.doses.into()).await?;
    rush(options, stage, (vaccine, id), std::slice::from_ref(entry)).await
}

async fn own_system(options: &Options, stage: &Stage) -> Result<Report, Broken> {
    stage.progress.say(format!("starting vaccine and {} bookings", options.replicas));
    let mut parts = vec![Part::Vaccine(0)];
    parts.extend((0..options.replicas).map(Part::Booking));
    let system = System::start(stage.ground.clone().with_faults(), &parts).await?;
    let entries: Vec<Target> =
        (0..options.replicas).map(|n| system.booking(n)).collect::<Result<_, _>>()?;
    let vaccine = system.vaccine(0)?;
    let id = register(&vaccine, options.doses.into()).await?;
    // The last thing before the rush: the first delay begins now.
    let (every_ms, for_ms, delay_ms) = DELAYS;
    let delays =
        json!({"mode": "bursts", "everyMs": every_ms, "forMs": for_ms, "delayMs": delay_ms});
    set_faults(&vaccine, &delays).await?;
    let mut report = rush(options, stage, (&vaccine, id), &entries).await?;
    report.note(format!(
        "Vaccine answered {delay_ms} ms late for {for_ms} of every {every_ms} ms: booking cannot know then \
         whether a dose is held, and must find out."
    ));
    Ok(report)
}

async fn rush(
    options: &Options,
    stage: &Stage,
    (vaccine, id): (&Target, i64),
    entries: &[Target],
) -> Result<Report, Broken> {
    let Options { people, doses, .. } = *options;
    stage.progress.say(format!("{people} people, {doses} doses"));
    let crowd = Crowd {
        schedule: Schedule::constant(f64::from(people) / COMING.as_secs_f64(), COMING),
        patience: PATIENCE,
        twice: true,
        vaccine: id,
    };
    let served = crowd.run(entries, &stage.progress).await;
    stage.progress.say("comparing the ledgers");
    if stage.site.is_none() {
        set_faults(vaccine, &json!({"mode": "none"})).await?;
    }
    let ledgers = Ledgers::of_vaccine(vaccine, entries, id);
    let audit = ledgers.audit(&served.promised, SETTLE_WITHIN).await?;
    let mut report = verdict(options, &served);
    report.audited(&audit);
    report.figures = json!({
        "people": served.people,
        "doses": doses,
        "booked": served.booked,
        "sold_out": served.sold_out,
        "gave_up": served.gave_up,
        "answers": served.seen.outcomes().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        "longest_answer_ms": served.seen.longest().as_millis(),
        "audit": audit.json(),
    });
    Ok(report)
}

fn verdict(options: &Options, served: &Served) -> Report {
    let Options { people, doses, .. } = *options;
    let mut report = Report::of(
        "oversell",
        format!(
            "{people} people want one of {doses} doses at the same moment. Each asks twice at once with the \
             same Idempotency-Key, and comes back when told to."
        ),
    );
    let expected = u64::from(doses.min(people));
    report.check(
        served.booked == expected,
        format!("exactly {expected} people have a booking"),
        served.booked.to_string(),
    );
    let others = served.people - expected.min(served.people);
    report.check(
        served.sold_out == others,
        format!("the other {others} heard \"sold out\""),
        format!("{}, and {} nothing definite", served.sold_out, served.gave_up),
    );
    report.answered(&served.seen);
    for (name, count) in served.seen.outcomes() {
        report.fact(name, count.to_string());
    }
    report.fact("everybody served after", seconds(served.last_after));
    report.fact("longest wait", seconds(served.longest_wait));
    report.charts = vec![served.seen.outcome_chart(&[]), served.seen.latency_chart(&[])];
    report
}
