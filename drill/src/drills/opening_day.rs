//! The day everybody wants one: how long it takes to serve them all, and whether to open the doors.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::Stage;
use crate::{
    ask::{book, register, set_faults},
    audit::{Ledgers, SETTLE_WITHIN},
    chart::{Chart, Series, Style},
    client::{request::Reconnect, target::Target},
    crowd::{Crowd, Served},
    load::{Load, stop::Stop},
    open::schedule::Schedule,
    report::{Report, seconds},
    system::{Broken, Part, System},
};

/// How many users find out what can be done, and for how long.
const PEAK_USERS: u16 = 50;
const PEAK_LASTING: Duration = Duration::from_secs(3);
const PEAK_DOSES: i64 = 1_000_000_000;

/// As late as answers are from a system that lets everybody wait.
const NO_DEADLINE_MS: u32 = 4_000;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// People who want a booking
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    people: u32,
    /// Doses
    #[arg(long, default_value_t = 15_000, value_parser = clap::value_parser!(u32).range(0..=500_000))]
    stock: u32,
    /// Seconds in which they come: from none to 20 times the ordinary rate in one second, then fewer
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(3..=600))]
    seconds: u64,
    /// No-go if anybody waits longer than that for a definite answer, in seconds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    wait_at_most: u64,
}

impl Options {
    pub(super) fn takes(&self) -> Duration {
        PEAK_LASTING + Duration::from_secs(self.seconds + 10)
    }

    /// So that as many come as there are people.
    fn schedule(&self) -> Schedule {
        let lasting = Duration::from_secs(self.seconds);
        let of = |rate| Schedule::opening_day(rate, lasting / 8, lasting);
        of(f64::from(self.people) / of(1.0).requests())
    }
}

pub(super) async fn play(options: &Options, stage: &Stage) -> Result<Report, Broken> {
    if let Some(site) = &stage.site {
        return open(options, stage, &site.entry, &site.vaccine).await;
    }
    stage.progress.say("starting everything, in one process");
    let system = System::start(stage.ground.clone().with_faults(), &[Part::Together]).await?;
    if stage.without_protection {
        let late = json!({"mode": "slow", "delayMs": NO_DEADLINE_MS});
        set_faults(&system.booking(0)?, &late).await?;
    }
    let entry = if stage.without_protection { system.booking(0)? } else { system.gateway()? };
    open(options, stage, &entry, &system.vaccine(0)?).await
}

async fn open(
    options: &Options,
    stage: &Stage,
    entry: &Target,
    vaccine: &Target,
) -> Result<Report, Broken> {
    stage.progress.say("what it can do");
    let sustainable = sustainable(entry, register(vaccine, PEAK_DOSES).await?).await;
    let id = register(vaccine, options.stock.into()).await?;
    stage
        .progress
        .say(format!("the doors open: {} people, {} doses", options.people, options.stock));
    let crowd = Crowd {
        schedule: options.schedule(),
        patience: Duration::from_secs(options.wait_at_most),
        twice: false,
        vaccine: id,
    };
    let peak = (0..options.seconds).map(|at| crowd.schedule.per_second(Duration::from_secs(at)));
    let peak = peak.fold(0.0, f64::max);
    let served = crowd.run(std::slice::from_ref(entry), &stage.progress).await;
    stage.progress.say("comparing the ledgers");
    let ledgers = Ledgers::of_vaccine(vaccine, std::slice::from_ref(entry), id);
    let audit = ledgers.audit(&served.promised, SETTLE_WITHIN).await?;
    let mut report = verdict(options, &served);
    report.audited(&audit);
    report.facts.splice(
        0..0,
        [
            ("sustainable rate".to_owned(), format!("{sustainable:.0} bookings per second")),
            ("the rush at its highest".to_owned(), format!("{peak:.0} people per second")),
            (format!("time to serve {} people", served.people), seconds(served.last_after)),
            ("the longest that anybody waited".to_owned(), seconds(served.longest_wait)),
        ],
    );
    report.figures = json!({
        "people": served.people,
        "stock": options.stock,
        "booked": served.booked,
        "sold_out": served.sold_out,
        "gave_up": served.gave_up,
        "sustainable_per_second": sustainable,
        "peak_people_per_second": peak,
        "served_after_ms": served.last_after.as_millis(),
        "longest_wait_ms": served.longest_wait.as_millis(),
        "longest_answer_ms": served.seen.longest().as_millis(),
        "audit": audit.json(),
    });
    Ok(report)
}

/// Bookings per second of a closed loop that is not more than can be done.
async fn sustainable(entry: &Target, id: i64) -> f64 {
    let load = Load {
        users: PEAK_USERS,
        reconnect: Reconnect::Never,
        stop: Stop::after(PEAK_LASTING),
        request: book(id).into(),
    };
    load.run(entry).await.rate_per_second(201)
}

fn verdict(options: &Options, served: &Served) -> Report {
    let Options { people, stock, seconds: lasting, wait_at_most } = *options;
    let mut report = Report::of(
        "opening-day",
        format!(
            "{people} people come for {stock} doses within {lasting} s: from none to 20 times the ordinary rate \
             in a second, then fewer and fewer. Whoever is told to come back does."
        ),
    );
    report.check(
        served.gave_up == 0,
        format!("everybody has a definite answer within {wait_at_most} s"),
        format!("{} gave up", served.gave_up),
    );
    let expected = u64::from(stock).min(served.people);
    report.check(
        served.booked == expected,
        format!("{expected} bookings are made"),
        served.booked.to_string(),
    );
    report.answered(&served.seen);
    for (name, count) in served.seen.outcomes() {
        report.fact(name, count.to_string());
    }
    report.charts =
        vec![serving(served), served.seen.outcome_chart(&[]), served.seen.latency_chart(&[])];
    report
}

/// Who came, and who was served: the distance between the lines is the queue.
fn serving(served: &Served) -> Chart {
    let line = |name: &str, style, times: &[Duration]| {
        let count = times.len();
        // A point for each half a percent is enough for a picture.
        let step = (count / 200).max(1);
        let points = (0..count).step_by(step).chain(count.checked_sub(1));
        let points = points.map(|place| {
            let people = f64::from(u32::try_from(place + 1).unwrap_or(u32::MAX));
            (times[place].as_secs_f64(), people)
        });
        Series { name: name.to_owned(), style, points: points.collect() }
    };
    Chart {
        title: "Who came, and who had a definite answer".to_owned(),
        x_label: "time since the doors opened (s)".to_owned(),
        y_label: "people".to_owned(),
        series: vec![
            line("came", Style::Line, &served.came_at),
            line("answered for good", Style::Area, &served.ended_at),
        ],
        ..Chart::default()
    }
}
