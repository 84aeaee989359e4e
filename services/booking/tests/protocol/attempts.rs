//! Attempts in batches: where an answer is lost, nothing is assumed.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use booking::{
    RESPONSE_TIMEOUT,
    attempts::AttemptOutcome,
    domain::{BookingAttempt, Bookings, Command, Reply},
    holds::BATCH_LIMIT_MIN,
};
use contracts::{
    ids::{ReservationId, UserId, VaccineId},
    vaccine::HoldOutcome,
};
use insta::assert_snapshot;
use platform_store::{AggregateStore, Input, Output, Store, StoreError};
use testkit::TEST_TIMEOUT;
use tokio::{join, select, task::JoinSet};
use uuid::Uuid;

use crate::{
    app::{BookingApp, REFERENCE_BODY},
    book,
    fixture::ProtocolFixture,
    summary,
    vaccine::{FakeReply, FakeVaccine, HOLDS, held},
};

#[tokio::test]
async fn with_an_unreachable_vaccine_nothing_has_happened() {
    let mut app = BookingApp::start_with(FakeVaccine::unreachable());
    assert_snapshot!(book(&app).await, @r#"
    503 Service Unavailable
    retry-after: (seconds)
    content-type: application/problem+json

    {"type":"urn:anticorona:retry-later","title":"Please retry later","status":503,"detail":"bookings cannot be taken at this moment"}
    "#);
    assert_eq!(app.request("GET /bookings", "").await.json()["page"]["totalElements"], 0);

    app.vaccine.listen();
    assert_eq!(book(&app).await.json()["bookingId"], 1);
    // There was no dose to release, so the booking is the only event.
    assert_eq!(summary(&app.vaccine.events(1).await[0]).0, "Booked");
}

#[tokio::test]
async fn an_attempt_without_a_key_whose_answer_was_lost_is_aborted() {
    let failed = FakeReply::outcomes([HoldOutcome::Failed]);
    for reply in [
        FakeReply::Disconnect,
        FakeReply::Response(500, String::new()),
        FakeReply::outcomes([]),
        failed,
    ] {
        let app = BookingApp::start();
        app.vaccine.reply_next(HOLDS, reply);
        assert_eq!(book(&app).await.status, 503);
        let reservation = app.vaccine.batches(1).await[0].holds[0].reservation_id.to_string();
        let [event] = &app.vaccine.events(1).await[..] else { panic!("one event") };
        assert_eq!(summary(event), ("ReservationAborted".to_owned(), reservation));
        assert_eq!(app.request("GET /bookings", "").await.json()["page"]["totalElements"], 0);
    }
}

#[tokio::test]
async fn an_attempt_with_a_key_whose_answer_was_lost_is_continued() {
    let app = BookingApp::start();
    app.vaccine.reply_next(HOLDS, FakeReply::Disconnect);
    assert_eq!(app.book_with_key("a", REFERENCE_BODY).await.status, 503);
    assert_eq!(app.book_with_key("a", REFERENCE_BODY).await.status, 201);

    let batches = app.vaccine.batches(2).await;
    assert_eq!(batches[0].holds, batches[1].holds);
    let reservation = batches[0].holds[0].reservation_id.to_string();
    // The first request has not aborted the attempt: that event would be before the booking.
    assert_eq!(summary(&app.vaccine.events(1).await[0]), ("Booked".to_owned(), reservation));
}

#[tokio::test]
async fn a_refusal_leaves_nothing_to_abort() {
    let app = BookingApp::start();
    for refusal in [HoldOutcome::SoldOut, HoldOutcome::NoSuchVaccine] {
        app.vaccine.reply_next(HOLDS, FakeReply::outcomes([refusal]));
        assert!(book(&app).await.status.is_client_error());
    }
    assert_eq!(book(&app).await.status, 201);
    assert_eq!(summary(&app.vaccine.events(1).await[0]).0, "Booked");
}

#[tokio::test]
async fn a_booking_in_flight_when_the_service_stops_is_created_and_published_after_the_next_start()
{
    let mut app = BookingApp::start();
    let decide = app.vaccine.delay_next(HOLDS);
    let stop = async {
        app.vaccine.batches(1).await;
        app.begin_stop();
        drop(decide.send(FakeReply::outcomes([held()])));
    };
    let (reply, ()) = join!(book(&app), stop);
    assert_eq!(reply.status, 201);

    app.restart().await;
    assert_eq!(app.request("GET /bookings/1", "").await.status, 200);
    assert_eq!(summary(&app.vaccine.events(1).await[0]).0, "Booked");
}

/// Long enough for a hold and a commit.
const SOON: Duration = RESPONSE_TIMEOUT;

/// Attempts without the protocol around them.
struct AttemptsFixture(ProtocolFixture);

impl AttemptsFixture {
    fn start() -> Self {
        Self(ProtocolFixture::start())
    }

    /// Attempts to book a vaccine.
    async fn submit(&self, vaccine: i64, response_due_in: Duration) -> AttemptOutcome {
        let attempt = BookingAttempt {
            reservation: ReservationId(Uuid::now_v7()),
            vaccine: VaccineId(vaccine),
            user: UserId(5),
            fingerprint: None,
        };
        self.0.protocol.attempts.submit(attempt, Instant::now() + response_due_in).await
    }

    /// Makes so many attempts at the same time; the size of the largest batch.
    async fn submit_at_once(self: &Arc<Self>, count: usize) -> usize {
        let before = self.0.vaccine.requests(HOLDS).len();
        let mut all = JoinSet::new();
        for _ in 0..count {
            let fixture = Arc::clone(self);
            all.spawn(async move { fixture.submit(1, SOON).await });
        }
        for outcome in all.join_all().await {
            assert!(is_booked(&outcome), "{outcome:?}");
        }
        let batches = self.0.vaccine.batches(before + 1).await;
        batches[before..].iter().map(|batch| batch.holds.len()).max().unwrap()
    }
}

fn is_booked(outcome: &AttemptOutcome) -> bool {
    matches!(outcome, AttemptOutcome::Booked(_))
}

#[tokio::test]
async fn attempts_that_arrive_while_a_request_is_in_flight_share_the_next() {
    let fixture = AttemptsFixture::start();
    let vaccine = &fixture.0.vaccine;
    let decide = vaccine.delay_next(HOLDS);
    let outcomes = [held(), HoldOutcome::SoldOut, HoldOutcome::NoSuchVaccine];
    vaccine.reply_next(HOLDS, FakeReply::outcomes(outcomes));
    let others = async {
        vaccine.batches(1).await;
        let proceed = async { drop(decide.send(FakeReply::outcomes([held()]))) };
        // In this order: all three wait when the first request ends.
        let three = (fixture.submit(2, SOON), fixture.submit(3, SOON), fixture.submit(4, SOON));
        join!(three.0, three.1, three.2, proceed)
    };
    let (first, (second, third, fourth, ())) = join!(fixture.submit(1, SOON), others);

    assert!(is_booked(&first) && is_booked(&second), "{first:?}, {second:?}");
    assert_eq!([third, fourth], [AttemptOutcome::SoldOut, AttemptOutcome::NoSuchVaccine]);
    let batches = vaccine.batches(2).await;
    let vaccines = batches.iter().map(|batch| batch.holds.iter().map(|hold| hold.vaccine_id.0));
    assert_eq!(vaccines.map(Vec::from_iter).collect::<Vec<_>>(), [vec![1], vec![2, 3, 4]]);
}

#[tokio::test]
async fn the_doses_of_one_request_are_booked_in_one_commit() {
    let commits = Arc::new(AtomicUsize::new(0));
    let counting = |store| Counting { store, commits: Arc::clone(&commits) };
    let fixture = AttemptsFixture(ProtocolFixture::with_store(counting));
    fixture.0.vaccine.reply_next(HOLDS, FakeReply::outcomes([held(), held(), held()]));
    let (first, second, third) =
        join!(fixture.submit(1, SOON), fixture.submit(1, SOON), fixture.submit(1, SOON));
    assert!([first, second, third].iter().all(is_booked));
    assert_eq!(commits.load(Ordering::Relaxed), 1);
}

/// A store that counts its commits.
struct Counting {
    store: AggregateStore<Bookings>,
    commits: Arc<AtomicUsize>,
}

impl Store for Counting {
    type Command = Input<Command>;
    type Reply = Output<Reply>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Reply>>, StoreError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.store.apply(batch)
    }
}

#[tokio::test]
async fn an_attempt_that_finds_the_queue_full_is_refused_at_once() {
    let fixture = AttemptsFixture::start();
    let _in_flight = fixture.0.vaccine.delay_next(HOLDS);
    let refused = loop {
        // Polled once each: it waits in the queue, or it does not fit.
        select! {
            biased;
            outcome = fixture.submit(1, SOON) => break outcome,
            () = ready(()) => {}
        }
    };
    assert_eq!(refused, AttemptOutcome::RetryLater);
}

#[tokio::test]
async fn no_dose_is_requested_for_a_late_attempt() {
    let fixture = AttemptsFixture::start();
    assert_eq!(fixture.submit(1, Duration::ZERO).await, AttemptOutcome::RetryLater);
    assert!(is_booked(&fixture.submit(2, SOON).await));
    let [batch] = &fixture.0.vaccine.batches(1).await[..] else { panic!("one request") };
    assert_eq!(batch.holds[0].vaccine_id, VaccineId(2));
}

#[tokio::test]
async fn batches_are_smaller_after_overload_and_grow_again() {
    let fixture = Arc::new(AttemptsFixture::start());
    let min = usize::try_from(BATCH_LIMIT_MIN).unwrap();
    for _ in 0..16 {
        fixture.0.vaccine.reply_next(HOLDS, FakeReply::Response(429, String::new()));
        assert_eq!(fixture.submit(1, SOON).await, AttemptOutcome::Unknown);
    }
    assert!(fixture.submit_at_once(3 * min).await <= min);
    let start = Instant::now();
    while fixture.submit_at_once(3 * min).await <= min {
        assert!(start.elapsed() < TEST_TIMEOUT, "still no more than {min}");
    }
}
