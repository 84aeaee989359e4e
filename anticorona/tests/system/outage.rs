//! Vaccine in trouble under the seed's load: bookings go on answering, at once and in time, and are
//! made again as soon as they can be.
//!
//! These are debug builds on a busy machine: times are asserted in their order of magnitude, and
//! `cargo xtask bench outage` measures them.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use drill::{Load, Outcome, Reconnect, Reply, Request, Siege, Stop, Target};
use serde_json::{Value, json};

use crate::town::{Ground, Part, Town, ask, book, bookings, eventually, read, register, settled};

/// As many as the smaller siege has.
const USERS: u16 = 100;

/// How long it goes well before the outage, how long the outage lasts, and how long it goes on.
const BEFORE: Duration = Duration::from_secs(2);
const OUTAGE: Duration = Duration::from_secs(4);
const AFTER: Duration = Duration::from_secs(5);

/// No request lasts longer; with some slack for a slow build.
const LONGEST: Duration = Duration::from_millis(3_200 + 300);

/// Until then the breaker has opened for certain: a call is given 2 s.
const OPEN_AFTER: Duration = Duration::from_millis(2_500);

/// After that everything is as it was before.
const WELL_AFTER: Duration = Duration::from_secs(2);

/// Once open, a refusal takes no longer: ten times what is promised of a release build.
const PROMPT: Duration = Duration::from_millis(200);

/// How much of the earlier rate must be back, whatever else the machine does meanwhile: 95 % is
/// promised of a release build.
const SHARE_BACK: f64 = 0.25;

pub(crate) const VACCINE: Part = Part::Vaccine(0);

/// What is wrong with vaccine.
pub(crate) enum Trouble {
    Killed,
    Fault(Value),
}

/// An answer, and when it came after the beginning of the load.
struct Answer {
    at: Duration,
    took: Duration,
    status: u16,
}

/// What was seen.
pub(crate) struct Seen {
    answers: Vec<Answer>,
    /// When vaccine was in trouble.
    from: Duration,
    to: Duration,
}

impl Seen {
    fn between(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Answer> {
        self.answers.iter().filter(move |answer| (from..to).contains(&answer.at))
    }

    /// Bookings per second.
    fn rate(&self, from: Duration, to: Duration) -> f64 {
        let booked = self.between(from, to).filter(|answer| answer.status == 201).count();
        f64::from(u32::try_from(booked).unwrap()) / to.saturating_sub(from).as_secs_f64()
    }

    /// The longest 1 % left out.
    fn p99_of_refusals(&self, from: Duration, to: Duration) -> Option<Duration> {
        let refused = self.between(from, to).filter(|answer| answer.status == 503);
        let mut took: Vec<_> = refused.map(|answer| answer.took).collect();
        took.sort();
        took.get(took.len() * 99 / 100).copied()
    }

    /// Answers that told somebody of a booking.
    pub(crate) fn told_of_bookings(&self) -> usize {
        self.answers.iter().filter(|answer| answer.status == 201).count()
    }

    /// Bookings are made as before, and nothing that went wrong is left.
    pub(crate) fn is_well_again(&self) {
        let before = self.rate(BEFORE / 4, self.from);
        let since = self.to + WELL_AFTER;
        let after = self.rate(since, self.to + AFTER);
        println!("{before:.0} bookings/s before, {after:.0}/s after");
        assert!(after >= before * SHARE_BACK, "{before:.0}/s before, {after:.0}/s after");
    }

    /// Whoever comes while the breaker is open is told so at once.
    pub(crate) fn refuses_promptly(&self) {
        let p99 = self.p99_of_refusals(self.from + OPEN_AFTER, self.to);
        let p99 = p99.expect("refusals while vaccine is in trouble");
        println!("p99 of a refusal once open: {p99:?}");
        assert!(p99 <= PROMPT, "{p99:?}");
    }
}

/// The load, and the trouble in the middle of it; every answer is checked on its way.
pub(crate) async fn under_load(town: &mut Town, vaccine: i64, trouble: Trouble) -> Seen {
    let began = Instant::now();
    let answers = Arc::new(Mutex::new(Vec::new()));
    let load = Load {
        users: USERS,
        reconnect: Reconnect::EachRequest,
        stop: Stop::after(BEFORE + OUTAGE + AFTER),
        request: book(vaccine).into(),
    };
    let kept = Arc::clone(&answers);
    let note = move |reply: &Reply| {
        let is_promised = reply.retry_after_seconds.is_some();
        assert!(
            matches!((reply.status, is_promised), (201 | 409, _) | (503, true)),
            "neither booked nor told when to come back: {reply:?}"
        );
        assert!(reply.took <= LONGEST, "{reply:?}");
        let (at, took, status) = (began.elapsed(), reply.took, reply.status);
        kept.lock().unwrap().push(Answer { at, took, status });
    };
    let booking = town.booking(0);
    let control = async {
        tokio::time::sleep(BEFORE).await; // tidy: paced, the load goes on meanwhile
        let from = began.elapsed();
        trouble.begin(town).await;
        tokio::time::sleep(OUTAGE).await; // tidy: paced, this long it goes on
        trouble.end(town).await;
        (from, began.elapsed())
    };
    let (summary, (from, to)) = tokio::join!(load.run_watched(&booking, note), control);
    println!("{summary}");
    assert_eq!(summary.count(Outcome::Socket), 0, "every request is answered: {summary}");
    let answers = std::mem::take(&mut *answers.lock().unwrap());
    Seen { answers, from, to }
}

impl Trouble {
    async fn begin(&self, town: &mut Town) {
        match self {
            Self::Killed => town.kill(VACCINE),
            Self::Fault(fault) => set(&town.vaccine(), fault).await,
        }
    }

    async fn end(&self, town: &mut Town) {
        match self {
            Self::Killed => town.start(VACCINE).await,
            Self::Fault(_) => set(&town.vaccine(), &json!({"mode": "none"})).await,
        }
    }
}

async fn set(vaccine: &Target, fault: &Value) {
    let reply = ask(vaccine, Request::post_json("/actuator/faults", fault)).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
}

/// Opening and closing are told to whoever watches.
pub(crate) async fn breaker_opened_and_closed(booking: &Target) {
    let is_closed = |all: &Value| {
        let breakers = all["circuitBreakers"].as_object();
        breakers.is_some_and(|all| all.values().all(|breaker| breaker["state"] == "CLOSED"))
    };
    eventually(booking, "/actuator/circuitbreakers", is_closed).await;
    let events = read(booking, "/actuator/circuitbreakerevents").await;
    let events = events["circuitBreakerEvents"].as_array().unwrap().clone();
    for end in ["_TO_OPEN", "_TO_CLOSED"] {
        let is_told = events.iter().any(|event| {
            event["stateTransition"].as_str().is_some_and(|change| change.ends_with(end))
        });
        assert!(is_told, "no {end} in {events:#?}");
    }
    let metrics = ask(booking, Request::get("/actuator/prometheus")).await.text().into_owned();
    let opened = metrics.lines().find(|line| {
        line.starts_with("resilience4j_circuitbreaker_") && line.contains("state=\"closed\"")
    });
    assert!(opened.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
}

async fn survives(trouble: Trouble) -> (Town, Seen) {
    let ground = Ground::embedded().with_faults();
    let mut town = Town::on(ground, &[VACCINE, Part::Booking(0)]).await;
    let id = register(&town.vaccine(), "FIZER", 1_000_000).await;
    let seen = under_load(&mut town, id, trouble).await;
    breaker_opened_and_closed(&town.booking(0)).await;

    // Whatever was in the air: no dose is lost, and none is given twice.
    let booked = bookings(&town.booking(0)).await.into_iter().filter(|&(_, stands)| stands).count();
    let told = seen.told_of_bookings();
    assert!(booked >= told, "{told} people were told of {booked} bookings");
    settled(&town.vaccine(), id, i64::try_from(booked).unwrap()).await;
    (town, seen)
}

#[tokio::test]
async fn vaccine_killed_and_started_again() {
    let (_town, seen) = survives(Trouble::Killed).await;
    seen.refuses_promptly();
    seen.is_well_again();
}

/// The real siege cannot tell a promise from a failure, but nobody can say that it was made for this.
#[tokio::test]
async fn vaccine_killed_under_the_real_siege() {
    let mut town = Town::on(Ground::embedded(), &[VACCINE, Part::Booking(0)]).await;
    let id = register(&town.vaccine(), "FIZER", 1_000_000).await;
    let siege = Siege { failures_max: u32::from(u16::MAX), ..Siege::of_the_seed(USERS, id) };
    let booking = town.booking(0);
    let siege = tokio::task::spawn_blocking(move || siege.run(&booking).unwrap());
    tokio::time::sleep(BEFORE).await; // tidy: paced, the siege goes on meanwhile
    town.kill(VACCINE);
    tokio::time::sleep(OUTAGE).await; // tidy: paced, this long it is gone
    town.start(VACCINE).await;
    let summary = siege.await.unwrap();
    println!("{} booked, {} told to come back", summary.successful, summary.failed);
    assert!(summary.successful > 0 && summary.failed > 0, "booked, and told to come back");
    assert!(summary.successful >= summary.transactions, "every other answer is 201");
    assert!(summary.longest_seconds <= LONGEST.as_secs_f64(), "{} s", summary.longest_seconds);

    // siege leaves at the end without waiting for its last answers: at most one per user.
    let booked = bookings(&town.booking(0)).await.into_iter().filter(|&(_, stands)| stands).count();
    let booked = i64::try_from(booked).unwrap();
    let unheard = booked - summary.successful;
    assert!((0..=i64::from(USERS)).contains(&unheard), "{unheard} bookings that siege did not see");
    settled(&town.vaccine(), id, booked).await;
}

#[tokio::test]
async fn vaccine_answers_everything_after_five_seconds() {
    let slow = json!({"mode": "slow", "delayMs": 5_000});
    let (_town, seen) = survives(Trouble::Fault(slow)).await;
    seen.refuses_promptly();
    seen.is_well_again();
}

#[tokio::test]
async fn vaccine_fails_in_bursts() {
    let bursts = json!({"mode": "bursts", "everyMs": 1_000, "forMs": 500});
    let (_town, seen) = survives(Trouble::Fault(bursts)).await;
    seen.is_well_again();
}

#[tokio::test]
async fn vaccine_takes_requests_and_says_nothing() {
    let (_town, seen) = survives(Trouble::Fault(json!({"mode": "silent"}))).await;
    seen.refuses_promptly();
    seen.is_well_again();
}
