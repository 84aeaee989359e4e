//! The seed's load test with what it says about the breaker: vaccine becomes slow, and later dies,
//! while 100 users book.

use std::{ops::Range, time::Duration};

use clap::Args;
use serde_json::json;
use tokio::time::{interval, sleep};

use super::{Stage, Users};
use crate::{
    ask::{book, register, set_faults},
    audit::{Audit, Ledgers, Promised, SETTLE_WITHIN},
    chart::{Chart, Mark, Series, Style, steps},
    client::{request::Request, send, target::Target},
    load::summary::Summary,
    report::{Report, milliseconds, seconds},
    seen::{Answers, Seen},
    system::{Broken, Part, System},
};

const DOSES: i64 = 1_000_000_000;

/// How late a slow vaccine answers.
const SLOW_MS: u32 = 5_000;

/// How long the breaker may take to open: two calls of a second each, and some slack.
const OPEN_WITHIN: Duration = Duration::from_secs(3);

/// Once it is open, nearly everybody is told within this time. A release build takes a tenth.
const PROMPT: Duration = Duration::from_millis(200);

/// How much of the earlier rate counts as "bookings are made again".
const SHARE_BACK: f64 = 0.25;

/// How often the breaker is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

const VACCINE: Part = Part::Vaccine(0);

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Seconds of load: well, slow, well, dead and well for a fifth each
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(SECONDS_MIN..=600))]
    seconds: u64,
    /// Users who reconnect for each request, as siege's do
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    users: u16,
}

/// Each fifth is longer than it takes to open and to close.
const SECONDS_MIN: u64 = 20;

impl Options {
    pub(super) fn takes(&self) -> Duration {
        Duration::from_secs(self.seconds + 10)
    }
}

/// When vaccine was in trouble, after the beginning.
struct Troubles {
    slow: Range<Duration>,
    dead: Range<Duration>,
}

pub(super) async fn play(options: &Options, stage: &Stage) -> Result<Report, Broken> {
    stage.own(
        "to see the breaker of yours, look at /actuator/circuitbreakers while it is drilled",
    )?;
    stage.progress.say("starting vaccine and booking");
    let ground = stage.ground.clone().with_faults();
    let mut system = System::start(ground, &[VACCINE, Part::Booking(0)]).await?;
    let booking = system.booking(0)?;
    let id = register(&system.vaccine(0)?, DOSES).await?;
    if stage.without_protection {
        switch_off(&booking, id).await?;
    }
    let answers = Answers::begin();
    let lasting = Duration::from_secs(options.seconds);
    let users = Users { count: options.users, lasting, vaccine: id };
    let mut states = Vec::new();
    let (summary, troubles) = {
        let running = async {
            tokio::join!(
                users.book(&booking, stage, &answers),
                trouble(options, stage, &mut system, &answers)
            )
        };
        let watching = watch(&booking, &answers, &mut states);
        tokio::select! {
            ended = running => ended,
            () = watching => return Err("nobody watches the breaker any more".into()),
        }
    };
    let troubles = troubles?;
    stage.progress.say("comparing the ledgers");
    let ledgers = Ledgers::of_vaccine(&system.vaccine(0)?, &[booking], id);
    let audit = ledgers.audit(&Promised::default(), SETTLE_WITHIN).await?;
    Ok(Rehearsed { options, summary, seen: answers.seen(), states, troubles, audit }.report())
}

/// Lets every call through, whatever comes of it. The breaker is there after the first call.
async fn switch_off(booking: &Target, id: i64) -> Result<(), Broken> {
    send(booking, &book(id)).await?;
    let body = json!({"updateState": "DISABLE"});
    let all = send(booking, &Request::get("/actuator/circuitbreakers")).await?.json()?;
    for name in all["circuitBreakers"].as_object().into_iter().flat_map(|all| all.keys()) {
        let path = format!("/actuator/circuitbreakers/{name}");
        let reply = send(booking, &Request::post_json(&path, &body)).await?;
        if reply.status != 200 {
            return Err(format!("the breaker is not switched off: {}", reply.text()).into());
        }
    }
    Ok(())
}

/// Well, slow, well, dead, well.
async fn trouble(
    options: &Options,
    stage: &Stage,
    system: &mut System,
    answers: &Answers,
) -> Result<Troubles, Broken> {
    let fifth = Duration::from_secs(options.seconds) / 5;
    let vaccine = system.vaccine(0)?;
    stage.progress.say("all is well");
    sleep(fifth).await;
    stage.progress.say("vaccine is slow: every answer after 5 s");
    let began = answers.elapsed();
    set_faults(&vaccine, &json!({"mode": "slow", "delayMs": SLOW_MS})).await?;
    sleep(fifth).await;
    set_faults(&vaccine, &json!({"mode": "none"})).await?;
    let slow = began..answers.elapsed();
    stage.progress.say("all is well again");
    sleep(fifth).await;
    stage.progress.say("vaccine is dead (kill -9)");
    let began = answers.elapsed();
    system.kill(VACCINE)?;
    sleep(fifth).await;
    system.start_part(VACCINE).await?;
    let dead = began..answers.elapsed();
    stage.progress.say("all is well again");
    Ok(Troubles { slow, dead })
}

/// The states of the breaker towards vaccine, for as long as it is polled.
async fn watch(booking: &Target, answers: &Answers, states: &mut Vec<(Duration, State)>) {
    let mut looks = interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let reply = send(booking, &Request::get("/actuator/circuitbreakers")).await;
        let shown = reply.ok().and_then(|reply| reply.json().ok());
        let Some(shown) = shown else { continue };
        let breakers =
            shown["circuitBreakers"].as_object().into_iter().flat_map(|all| all.values());
        let state = breakers.filter_map(|one| State::read(one["state"].as_str()?)).max();
        states.push((answers.elapsed(), state.unwrap_or(State::Closed)));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Closed,
    HalfOpen,
    Open,
}

impl State {
    fn read(name: &str) -> Option<Self> {
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

/// What was seen of it all.
struct Rehearsed<'a> {
    options: &'a Options,
    summary: Summary,
    seen: Seen,
    states: Vec<(Duration, State)>,
    troubles: Troubles,
    audit: Audit,
}

impl Rehearsed<'_> {
    fn report(&self) -> Report {
        let Self { options, summary, seen, troubles, audit, .. } = self;
        let mut report = Report::of(
            "breaker",
            format!(
                "{} users book for {} s, reconnecting for each request, as the seed's siege does. Vaccine \
                 becomes slow (every answer after 5 s), well again, dead (kill -9), and well again.",
                options.users, options.seconds
            ),
        );
        report.answered(seen);
        let end = Duration::from_secs(options.seconds);
        let before = seen.rate(troubles.slow.start / 4..troubles.slow.start);
        for (name, trouble, until) in
            [("slow", &troubles.slow, troubles.dead.start), ("dead", &troubles.dead, end)]
        {
            self.isolated(&mut report, name, trouble);
            let back = seen.back_after(trouble.end, before * SHARE_BACK, until);
            report.check(
                back.is_some(),
                format!("after it was {name}, bookings are made again"),
                back.map_or("they are not".to_owned(), |after| format!("after {}", seconds(after))),
            );
        }
        report.audited(audit);
        report.fact("bookings per second before", format!("{before:.0}"));
        for (name, count) in seen.outcomes() {
            report.fact(name, count.to_string());
        }
        report.fact(
            "siege would call its availability",
            format!("{:.2} %", summary.availability_percent()),
        );
        report.note(
            "Siege counts each 503 as a failure, since it does not know Retry-After. While vaccine is dead there \
             are no bookings to be had; what counts is that everybody is told so, at once.",
        );
        let marks = self.marks();
        report.charts =
            vec![seen.outcome_chart(&marks), self.state_chart(), seen.latency_chart(&marks)];
        report.figures = json!({
            "users": options.users,
            "seconds": options.seconds,
            "bookings_per_second_before": before,
            "answers": seen.outcomes().into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            "availability_percent_of_siege": summary.availability_percent(),
            "longest_answer_ms": seen.longest().as_millis(),
            "audit": audit.json(),
        });
        report
    }

    /// The breaker opens, people are told at once, and it closes.
    fn isolated(&self, report: &mut Report, name: &str, trouble: &Range<Duration>) {
        let opened =
            self.states.iter().find(|(at, state)| trouble.contains(at) && *state == State::Open);
        let after = opened.map(|(at, _)| at.saturating_sub(trouble.start));
        report.check(
            after.is_some_and(|after| after <= OPEN_WITHIN),
            format!("the breaker opens within {} when vaccine is {name}", seconds(OPEN_WITHIN)),
            after.map_or("it does not".to_owned(), |after| format!("after {}", seconds(after))),
        );
        let p99 = self.seen.p99_of_refusals(trouble);
        report.check(
            p99.is_some_and(|p99| p99 <= PROMPT),
            format!("then 99 % are told within {}", milliseconds(PROMPT)),
            p99.map_or("nobody is told at once".to_owned(), milliseconds),
        );
        let closed =
            self.states.iter().find(|(at, state)| *at > trouble.end && *state == State::Closed);
        let closed = opened.and(closed);
        report.check(
            closed.is_some(),
            "the breaker closes when vaccine is well",
            closed.map_or("it did not open, or does not close".to_owned(), |(at, _)| {
                format!("after {}", seconds(at.saturating_sub(trouble.end)))
            }),
        );
    }

    fn marks(&self) -> Vec<Mark> {
        let Troubles { slow, dead } = &self.troubles;
        [(slow.start, "slow"), (slow.end, "well"), (dead.start, "dead"), (dead.end, "well")]
            .map(|(at, name)| Mark { x: at.as_secs_f64(), name: name.to_owned() })
            .to_vec()
    }

    fn state_chart(&self) -> Chart {
        let states = self.states.iter();
        let points = steps(states.map(|(at, state)| (at.as_secs_f64(), state.height())));
        Chart {
            title: "The circuit breaker: 0 closed, 1 half open, 2 open".to_owned(),
            x_label: "time (s)".to_owned(),
            y_label: "state".to_owned(),
            series: vec![Series {
                name: "booking → vaccine".to_owned(),
                style: Style::Area,
                points,
            }],
            marks: self.marks(),
            ..Chart::default()
        }
    }
}
