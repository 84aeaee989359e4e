//! `kill -9` at random moments: every booking that somebody was told of is kept, and every dose is
//! accounted for.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use clap::Args;
use serde_json::json;
use tokio::sync::Notify;

use super::Stage;
use crate::{
    ask::{book, register},
    audit::{Promised, SETTLE_WITHIN},
    chart::Mark,
    client::{
        reply::Reply,
        request::{Reconnect, Request},
    },
    dice::Dice,
    load::{Load, Requests, stop::Stop},
    report::{Report, seconds},
    seen::Answers,
    system::{Broken, Part, System},
};

/// More than any load takes, so that what is leaked cannot hide behind "sold out".
const DOSES: i64 = 1_000_000;

/// Clients that ask without pause.
const CLIENTS: u16 = 40;

/// A round ends at the latest after so many answers.
const ANSWERS_MAX: u64 = 3_000;

/// And after this time, should there be no answers any more.
const ROUND_MAX: Duration = Duration::from_secs(20);

/// Who is killed, in turn.
const VICTIMS: [Part; 2] = [Part::Booking(0), Part::Vaccine(0)];

const PARTS: [Part; 4] = [Part::Vaccine(0), Part::Booking(0), Part::Injection, Part::Mypage];

#[derive(Debug, Args)]
pub(super) struct Options {
    /// How often something is killed
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Other moments for other seeds
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Options {
    pub(super) fn takes(&self) -> Duration {
        Duration::from_secs(u64::from(self.rounds) * 2 + 15)
    }
}

/// A system and what it ever promised.
struct Ordeal<'a> {
    stage: &'a Stage,
    system: System,
    vaccine: i64,
    answers: Answers,
    promised: Arc<Mutex<Promised>>,
    kills: Vec<Mark>,
}

pub(super) async fn play(options: &Options, stage: &Stage) -> Result<Report, Broken> {
    stage.own("kill parts of yours by hand, and look with `anticorona audit`")?;
    stage.progress.say("starting four parts");
    let system = System::start(stage.ground.clone(), &PARTS).await?;
    let vaccine = register(&system.vaccine(0)?, DOSES).await?;
    let (answers, promised, kills) = (Answers::begin(), Arc::default(), Vec::new());
    let mut ordeal = Ordeal { stage, system, vaccine, answers, promised, kills };
    let mut dice = Dice(options.seed);
    for (round, victim) in (1..=options.rounds).zip(VICTIMS.iter().cycle()) {
        let after = 1 + dice.roll(ANSWERS_MAX);
        stage
            .progress
            .say(format!("round {round}: kill {} after {after} answers", victim.subcommand()));
        ordeal.round(*victim, after).await?;
    }
    ordeal.verdict(options).await
}

impl Ordeal<'_> {
    /// Loads the system, kills the victim after so many answers, and starts it again.
    async fn round(&mut self, victim: Part, after: u64) -> Result<(), Broken> {
        let over = Arc::new(AtomicBool::new(false));
        let (stop, reached, counted) =
            (Arc::clone(&over), Arc::new(Notify::new()), AtomicU64::new(0));
        let vaccine = self.vaccine;
        let load = Load {
            users: CLIENTS,
            reconnect: Reconnect::Never,
            stop: Stop::after(ROUND_MAX).or_when(move || stop.load(Relaxed)),
            request: Requests::made(move |_, n| request(vaccine, n)),
        };
        let (answers, promised) = (self.answers.clone(), Arc::clone(&self.promised));
        let (progress, enough) = (self.stage.progress.clone(), Arc::clone(&reached));
        let people = AtomicU64::new(u64::try_from(self.kept()).unwrap_or_default() << 32);
        let note = move |ended: Result<&Reply, &crate::Error>| {
            answers.note(ended);
            progress.answered();
            if let Ok(reply) = ended
                && reply.status == 201
                && let Some(booking) = reply.json().ok().and_then(|it| it["bookingId"].as_i64())
            {
                let person = people.fetch_add(1, Relaxed);
                promised.lock().unwrap_or_else(PoisonError::into_inner).note(person, 0, booking);
            }
            if counted.fetch_add(1, Relaxed) >= after {
                enough.notify_one();
            }
        };
        let entry = self.system.booking(0)?;
        let control = async {
            reached.notified().await;
            let killed = self.system.kill(victim);
            self.kills.push(Mark { x: self.answers.elapsed().as_secs_f64(), name: String::new() });
            over.store(true, Relaxed);
            killed
        };
        let loading = async {
            load.run_observed(&entry, note).await;
            reached.notify_one(); // A load that dried up is over too.
        };
        let ((), killed) = tokio::join!(loading, control);
        killed?;
        if self.stage.without_protection && victim == Part::Booking(0) {
            // As with a database in memory: what it promised is gone with it.
            std::fs::remove_dir_all(self.system.data(victim))?;
        }
        self.system.start_part(victim).await
    }

    /// How many bookings were promised so far.
    fn kept(&self) -> usize {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    async fn verdict(self, options: &Options) -> Result<Report, Broken> {
        self.stage.progress.say("comparing the ledgers");
        let ledgers = self.system.ledgers()?;
        let promised = self.promised.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let asked = self.answers.elapsed();
        let audit = ledgers.audit(&promised, SETTLE_WITHIN).await?;
        let settled = self.answers.elapsed().saturating_sub(asked);
        let seen = self.answers.seen();
        let mut report = Report::of(
            "crash",
            format!(
                "{CLIENTS} clients book and cancel while booking and vaccine are killed in turn (kill -9) at \
                 random moments, {} times, and started again with their data.",
                options.rounds
            ),
        );
        report.check(
            !promised.is_empty(),
            "bookings were made before, between and after the kills",
            promised.len().to_string(),
        );
        report.audited(&audit);
        for (name, count) in seen.outcomes() {
            report.fact(name, count.to_string());
        }
        report.fact("kills", options.rounds.to_string());
        report.fact("bookings kept", audit.bookings.to_string());
        report.fact("the dust had settled after", seconds(settled));
        report.note("Whoever asks while a process is dead gets no answer or \"come back\": that is what a crash is.");
        report.charts = vec![seen.outcome_chart(&self.kills)];
        report.figures = json!({
            "rounds": options.rounds,
            "seed": options.seed,
            "promised": promised.len(),
            "audit": audit.json(),
        });
        Ok(report)
    }
}

/// A booking, or every tenth time the cancellation of an early one.
fn request(vaccine: i64, number: u64) -> Request {
    if number % 10 == 9 {
        let body = json!({"status": "BOOKING_CANCELLED"});
        return Request::patch_json(&format!("/bookings/{}", number / 10 + 1), &body);
    }
    book(vaccine)
}
