//! Doses for citizens, in batches: where an answer is lost, nothing is assumed.

use std::{
    collections::BTreeSet,
    future::ready,
    sync::Arc,
    time::{Duration, Instant},
};

use booking::{BATCH_LIMIT_MIN, RESPONSE_TIMEOUT, domain::NotGranted, doses::NoDose, hand::Dose};
use contracts::{ids::VaccineId, vaccine::HoldOutcome};
use insta::assert_snapshot;
use testkit::TEST_TIMEOUT;
use tokio::{
    join, select,
    task::{JoinSet, yield_now},
    time::timeout,
};

use crate::{
    app::{BookingApp, REFERENCE_BODY},
    book,
    fixture::{ProtocolFixture, released_after_lull},
    summary,
    vaccine::{FakeReply, FakeVaccine, HOLDS, held, refusals_expire, wanted},
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

/// Lost answers.
fn lost() -> [FakeReply; 4] {
    [
        FakeReply::Disconnect,
        FakeReply::Response(500, String::new()),
        FakeReply::outcomes([]),
        FakeReply::outcomes([HoldOutcome::Failed]),
    ]
}

#[tokio::test]
async fn a_dose_whose_answer_was_lost_is_for_the_next_citizen() {
    for reply in lost() {
        let app = BookingApp::start();
        app.vaccine.reply_next(HOLDS, reply);
        assert_eq!(book(&app).await.status, 503);
        assert_eq!(app.request("GET /bookings", "").await.json()["page"]["totalElements"], 0);

        assert_eq!(app.book_with_key("a", REFERENCE_BODY).await.status, 201);
        let batches = app.vaccine.batches(2).await;
        assert_eq!(batches[0].blocks, batches[1].blocks, "the same reservation");
        let reservation = batches[0].blocks[0].first.to_string();
        let events = app.vaccine.events(1).await;
        assert_eq!(summary(&events[0]), ("Booked".to_owned(), reservation));
    }
}

#[tokio::test]
async fn a_dose_whose_answer_was_lost_is_aborted_when_nobody_wants_it() {
    for reply in lost() {
        let app = BookingApp::start();
        app.vaccine.reply_next(HOLDS, reply);
        assert_eq!(book(&app).await.status, 503);
        let released = released_after_lull(&app, 1).await;
        assert_eq!(released, BTreeSet::from([app.vaccine.batches(1).await[0].blocks[0].first]));
    }
}

/// It may be the dose that the lost answer was about.
#[tokio::test]
async fn nobody_learns_that_a_vaccine_is_sold_out_while_an_answer_is_lost() {
    let app = BookingApp::start();
    app.vaccine.reply_next(HOLDS, FakeReply::Disconnect);
    assert_eq!(book(&app).await.status, 503);
    for outcome in [HoldOutcome::Failed, HoldOutcome::SoldOut] {
        app.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome]));
    }
    assert_eq!(book(&app).await.status, 503);
    assert_eq!(book(&app).await.status, 409);
}

#[tokio::test]
async fn a_refusal_leaves_nothing_to_abort() {
    let app = BookingApp::start();
    for refusal in [HoldOutcome::SoldOut, HoldOutcome::NoSuchVaccine] {
        app.vaccine.reply_next(HOLDS, FakeReply::outcomes([refusal]));
        assert!(book(&app).await.status.is_client_error());
        refusals_expire().await;
    }
    assert_eq!(book(&app).await.status, 201);
    assert_eq!(summary(&app.vaccine.events(1).await[0]).0, "Booked");
}

/// How often two requests are sent one after the other, until the machine is quick enough for the answer to count for
/// both.
const TRIES: usize = 100;

#[tokio::test]
async fn what_is_sold_out_is_refused_again_without_a_request() {
    let fixture = DosesFixture::start();
    let vaccine = &fixture.0.vaccine;
    for _ in 0..TRIES {
        let before = vaccine.requests(HOLDS).len();
        (0..2).for_each(|_| vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SoldOut])));
        for _ in 0..2 {
            assert_eq!(fixture.take(1, SOON).await, Err(NoDose::NotGranted(NotGranted::SoldOut)));
        }
        if vaccine.requests(HOLDS).len() == before + 1 {
            return;
        }
    }
    panic!("each refusal was requested");
}

#[tokio::test]
async fn what_was_sold_out_is_requested_again_soon() {
    let fixture = DosesFixture::start();
    fixture.0.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SoldOut]));
    let booked = async {
        while let Err(no_dose) = fixture.take(1, SOON).await {
            assert_eq!(no_dose, NoDose::NotGranted(NotGranted::SoldOut));
            yield_now().await;
        }
    };
    timeout(TEST_TIMEOUT, booked).await.expect("the ledger is asked again");
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

/// Long enough for a hold.
const SOON: Duration = RESPONSE_TIMEOUT;

/// Doses without the protocol around them.
struct DosesFixture(ProtocolFixture);

impl DosesFixture {
    fn start() -> Self {
        Self(ProtocolFixture::start())
    }

    /// Takes a dose, for good.
    async fn take(&self, vaccine: i64, response_due_in: Duration) -> Result<(), NoDose> {
        let deadline = Instant::now() + response_due_in;
        self.0.protocol.doses.take(VaccineId(vaccine).into(), deadline).await.map(Dose::spend)
    }

    /// Takes so many doses at the same time; the size of the largest batch.
    async fn take_at_once(self: &Arc<Self>, count: usize) -> u32 {
        let before = self.0.vaccine.requests(HOLDS).len();
        let mut all = JoinSet::new();
        for _ in 0..count {
            let fixture = Arc::clone(self);
            all.spawn(async move { fixture.take(1, SOON).await });
        }
        assert_eq!(all.join_all().await, vec![Ok(()); count]);
        let batches = self.0.vaccine.batches(before + 1).await;
        batches[before..].iter().map(wanted).max().unwrap()
    }
}

#[tokio::test]
async fn citizens_who_arrive_while_a_request_is_in_flight_share_the_next() {
    let fixture = DosesFixture::start();
    let vaccine = &fixture.0.vaccine;
    let decide = vaccine.delay_next(HOLDS);
    let outcomes = [held(), HoldOutcome::SoldOut, HoldOutcome::NoSuchVaccine];
    vaccine.reply_next(HOLDS, FakeReply::outcomes(outcomes));
    let others = async {
        vaccine.batches(1).await;
        let proceed = async { drop(decide.send(FakeReply::outcomes([held()]))) };
        // All four wait when the first request ends; of the second vaccine, one dose is left.
        join!(
            fixture.take(2, SOON),
            fixture.take(3, SOON),
            fixture.take(4, SOON),
            fixture.take(2, SOON),
            proceed
        )
    };
    let (first, (second, third, fourth, last, ())) = join!(fixture.take(1, SOON), others);

    assert_eq!([first, second], [Ok(()), Ok(())]);
    let refused = [
        NoDose::NotGranted(NotGranted::SoldOut),
        NoDose::NotGranted(NotGranted::NoSuchVaccine),
        NoDose::NotGranted(NotGranted::SoldOut),
    ]
    .map(Err);
    assert_eq!([third, fourth, last], refused);
    let batches = vaccine.batches(2).await;
    let blocks = batches.iter().map(|batch| {
        let blocks = batch.blocks.iter();
        blocks.map(|block| (block.vaccine_id.0, block.count)).collect::<Vec<_>>()
    });
    assert_eq!(blocks.collect::<Vec<_>>(), [vec![(1, 1)], vec![(2, 2), (3, 1), (4, 1)]]);
}

#[tokio::test]
async fn a_citizen_who_finds_the_queue_full_is_refused_at_once() {
    let fixture = DosesFixture::start();
    let _in_flight = fixture.0.vaccine.delay_next(HOLDS);
    let refused = loop {
        // Polled once each: it waits in the queue, or it does not fit.
        select! {
            biased;
            outcome = fixture.take(1, SOON) => break outcome,
            () = ready(()) => {}
        }
    };
    assert_eq!(refused, Err(NoDose::RetryLater));
}

#[tokio::test]
async fn no_dose_is_requested_for_a_late_request() {
    let fixture = DosesFixture::start();
    assert_eq!(fixture.take(1, Duration::ZERO).await, Err(NoDose::RetryLater));
    assert_eq!(fixture.take(2, SOON).await, Ok(()));
    let [batch] = &fixture.0.vaccine.batches(1).await[..] else { panic!("one request") };
    assert_eq!(batch.blocks[0].vaccine_id, VaccineId(2));
}

#[tokio::test]
async fn batches_are_smaller_after_overload_and_grow_again() {
    let fixture = Arc::new(DosesFixture::start());
    let many = usize::try_from(3 * BATCH_LIMIT_MIN).unwrap();
    for _ in 0..16 {
        fixture.0.vaccine.reply_next(HOLDS, FakeReply::Response(429, String::new()));
        assert_eq!(fixture.take(1, SOON).await, Err(NoDose::RetryLater));
    }
    assert!(fixture.take_at_once(many).await <= BATCH_LIMIT_MIN);
    let start = Instant::now();
    while fixture.take_at_once(many).await <= BATCH_LIMIT_MIN {
        assert!(start.elapsed() < TEST_TIMEOUT, "still no more than {BATCH_LIMIT_MIN}");
    }
}
