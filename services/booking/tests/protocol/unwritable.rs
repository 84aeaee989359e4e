//! While the own store cannot write, no dose is taken from other citizens, and every answer stays true.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use booking::{
    domain::{Abortable, AttemptId, Bookings, Command, Reply},
    protocol::{BookingError, BookingRequest},
};
use contracts::{
    ids::{BookingId, ReservationId},
    vaccine::{AbortBatch, AbortBatchReply},
};
use platform_store::{AggregateStore, Input, Output, Store, StoreError};
use testkit::TEST_TIMEOUT;
use tokio::{
    select,
    task::yield_now,
    time::{timeout, timeout_at},
};
use uuid::Uuid;

use crate::{
    fixture::{ProtocolFixture, with_key, without_key},
    late::Slow,
    vaccine::{ABORTS, FakeReply},
};

/// A store that cannot write while it is down.
struct Down {
    store: AggregateStore<Bookings>,
    is_down: Arc<AtomicBool>,
}

impl Store for Down {
    type Command = Input<Command>;
    type Reply = Output<Reply>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Reply>>, StoreError> {
        self.probe()?;
        self.store.apply(batch)
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        self.store.probe()
    }
}

fn down() -> (ProtocolFixture, Arc<AtomicBool>) {
    let is_down = Arc::new(AtomicBool::new(true));
    let shared = Arc::clone(&is_down);
    (ProtocolFixture::with_store(|store| Down { store, is_down: shared }), is_down)
}

/// The doses that `vaccine` was asked to abort, as soon as there are so many requests.
async fn aborts(fixture: &ProtocolFixture, requests: usize) -> Vec<ReservationId> {
    let requests = fixture.vaccine.wait_for_requests(ABORTS, requests).await;
    let batches = requests.into_iter().map(|request| {
        let batch: AbortBatch = serde_json::from_slice(&request.body).unwrap();
        batch.reservation_ids
    });
    batches.flatten().collect()
}

#[tokio::test]
async fn nothing_is_held_while_the_store_cannot_write_and_bookings_continue_afterwards() {
    let (fixture, is_down) = down();
    for request in [without_key(), without_key(), with_key(), without_key()] {
        assert_eq!(fixture.book(request).await, Err(BookingError::RetryLater));
    }
    let noticed = fixture.reservation(0).await;
    assert_eq!(fixture.vaccine.batches(1).await.len(), 1, "it was noticed with the first one");
    assert_eq!(aborts(&fixture, 1).await, [noticed], "whose dose is released");

    is_down.store(false, Ordering::SeqCst);
    let unknown = fixture.protocol.cancel(BookingId(9)).await;
    assert_eq!(unknown, Err(BookingError::NoSuchBooking), "it is written");
    assert_eq!(fixture.book(without_key()).await, Ok(1));
}

#[tokio::test]
async fn a_dose_is_aborted_as_soon_as_the_ledger_or_the_store_answers() {
    let (fixture, is_down) = down();
    fixture.vaccine.reply_next(ABORTS, FakeReply::Disconnect);
    fixture.vaccine.reply_next(ABORTS, FakeReply::Response(503, String::new()));
    let reservation = ReservationId(Uuid::from_u128(1));
    fixture.protocol.aborts.abort(Abortable::Dose(reservation));
    assert_eq!(aborts(&fixture, 3).await, [reservation; 3]);

    for _ in 0..100 {
        fixture.vaccine.reply_next(ABORTS, FakeReply::Disconnect); // Until the store can write.
    }
    fixture.protocol.aborts.abort(Abortable::Dose(reservation));
    aborts(&fixture, 4).await;
    is_down.store(false, Ordering::SeqCst);
    assert_eq!(fixture.wait_for_events(1).await, ["ReservationAborted"]);
}

#[tokio::test]
async fn a_dose_that_the_ledger_refuses_to_abort_keeps_no_other_from_it() {
    let (fixture, is_down) = down();
    let [booked, other] = [1, 2].map(|number| ReservationId(Uuid::from_u128(number)));
    for _ in 0..100 {
        let refused = AbortBatchReply { refused: vec![booked] };
        fixture.vaccine.reply_next(ABORTS, FakeReply::json(&refused));
    }
    fixture.protocol.aborts.abort(Abortable::Dose(booked));
    assert_eq!(aborts(&fixture, 1).await, [booked]);
    fixture.protocol.aborts.abort(Abortable::Dose(other));
    while !aborts(&fixture, 1).await.contains(&other) {
        yield_now().await;
    }
    is_down.store(false, Ordering::SeqCst);
    // By the own store, when it can write again; the other was aborted at the ledger.
    assert_eq!(fixture.wait_for_events(1).await, ["ReservationAborted"]);
}

#[tokio::test]
async fn a_dose_that_is_left_while_the_service_drains_is_aborted() {
    let fixture = ProtocolFixture::start();
    fixture.protocol.runtime.stop.cancel();
    for _ in 0..10 {
        yield_now().await; // Every task notices the stop.
    }
    fixture.protocol.aborts.abort(Abortable::Dose(ReservationId(Uuid::from_u128(1))));
    assert_eq!(fixture.wait_for_events(1).await, ["ReservationAborted"]);
}

/// The process may end before the disk answers: then only the ledger remembers.
#[tokio::test]
async fn an_attempt_that_is_written_too_late_is_aborted_at_the_ledger_before_the_disk_answers() {
    let (proceed, proceeds) = mpsc::channel();
    let fixture = ProtocolFixture::with_store(|store| Slow { store, begun: None, proceeds });
    let deadline = Instant::now() + Duration::from_secs(2);
    select! {
        _ = fixture.book(BookingRequest { deadline, ..without_key() }) => panic!("it is written"),
        _ = timeout_at(deadline.into(), pending::<()>()) => {}
    }
    let reservation = fixture.reservation(0).await;
    assert_eq!(aborts(&fixture, 1).await, [reservation]);
    let refused = timeout(TEST_TIMEOUT, fixture.book(without_key())).await;
    assert_eq!(refused.expect("at once"), Err(BookingError::RetryLater), "nothing is held");
    assert_eq!(fixture.vaccine.batches(1).await.len(), 1);

    drop(proceed);
    assert_eq!(fixture.wait_for_events(1).await, ["Booked"], "until the resolver finds it");
    // The events are visible a moment before that.
    while !fixture.protocol.commands.health().can_write() {
        yield_now().await;
    }
    fixture.protocol.aborts.abort(Abortable::Dose(reservation)); // As the resolver does with what the ledger lists.
    assert_eq!(fixture.wait_for_events(2).await, ["Booked", "BookingCancelled"]);
}

/// The ledger knows no attempts.
#[tokio::test]
async fn an_attempt_is_aborted_as_soon_as_the_store_can_write() {
    let (fixture, is_down) = down();
    let (attempt, dose) = (AttemptId(Uuid::from_u128(1)), ReservationId(Uuid::from_u128(2)));
    fixture.protocol.aborts.abort(Abortable::Attempt(attempt));
    fixture.protocol.aborts.abort(Abortable::Dose(dose));
    assert_eq!(aborts(&fixture, 1).await, [dose]);
    is_down.store(false, Ordering::SeqCst);
    let written = async {
        let queries = &fixture.protocol.queries;
        while !queries.is_aborted(Abortable::Attempt(attempt)).await.unwrap() {
            yield_now().await;
        }
    };
    timeout(TEST_TIMEOUT, written).await.expect("it is written in time");
}
