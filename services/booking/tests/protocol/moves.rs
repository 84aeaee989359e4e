//! A booking is moved to another slot: it never has no place, and never two.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Instant,
};

use booking::{
    RESPONSE_TIMEOUT,
    domain::{
        BookingAttempt, Bookings, Choice, Command, CreateBooking, HeldDose, MOVES_MAX, NotGranted,
        Record, Reply,
    },
    protocol::{BookingError, BookingRequest},
};
use contracts::{
    booking::Booking,
    ids::{BookingId, ReservationId, SlotId, UserId, VaccineId},
    vaccine::HoldOutcome,
};
use jiff::Timestamp;
use platform_store::{AggregateStore, Input, Output, Store, StoreError};
use tokio::{join, select, sync::oneshot};
use uuid::Uuid;

use crate::{
    fixture::{ProtocolFixture, without_key},
    late::Slow,
    slots::{booked, held_places},
    vaccine::{FakeReply, HOLDS},
};

/// The dose that booking 1 has in a store with one booking.
const FIRST: ReservationId = ReservationId(Uuid::from_u128(1));

/// Booking 1 in a store.
fn with_booking(mut store: AggregateStore<Bookings>) -> AggregateStore<Bookings> {
    let (choice, user) = (VaccineId(1).into(), UserId(5));
    let attempt = BookingAttempt { id: None, choice, user, fingerprint: None };
    let dose =
        HeldDose { reservation: FIRST, vaccine_name: "FIZER".to_owned(), slot: None, next: None };
    let create = CreateBooking { attempt, dose, at: Timestamp::UNIX_EPOCH };
    store.apply(&[Input::Command(create.into())]).unwrap();
    store
}

fn start() -> ProtocolFixture {
    ProtocolFixture::with_store(with_booking)
}

/// Booking 1 as it is stored.
async fn stored(fixture: &ProtocolFixture) -> Record {
    fixture.protocol.queries.record(BookingId(1)).await.unwrap().unwrap()
}

/// Moves a booking, as it was read, to a slot.
async fn move_known(
    fixture: &ProtocolFixture,
    known: &Record,
    slot: i64,
) -> Result<Booking, BookingError> {
    let deadline = Instant::now() + RESPONSE_TIMEOUT;
    fixture.protocol.move_booking(known.clone(), (SlotId(slot), None), deadline).await
}

/// Reads booking 1 and moves it to a slot.
async fn move_to(fixture: &ProtocolFixture, slot: i64) -> Result<Booking, BookingError> {
    move_known(fixture, &stored(fixture).await, slot).await
}

fn places(fixture: &ProtocolFixture, count: u32) {
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_places(count)]));
}

/// The dose that booking 1 has, after all it had.
async fn doses(fixture: &ProtocolFixture) -> Vec<ReservationId> {
    let record = stored(fixture).await;
    record.previous.into_iter().chain([record.reservation]).collect()
}

#[tokio::test]
async fn a_booking_of_the_central_stock_is_moved_to_a_slot_with_a_dose_and_a_place_of_it() {
    let fixture = start();
    places(&fixture, 1);
    let moved = move_to(&fixture, 7).await.unwrap();
    assert_eq!((moved.booking_id, moved.slot), (BookingId(1), Some(booked())));
    let block = fixture.vaccine.batches(1).await[0].blocks[0];
    assert_eq!((block.vaccine_id, block.slot_id), (VaccineId(1), Some(SlotId(7))));
    assert_eq!(doses(&fixture).await, [FIRST, block.first]);
    assert_eq!(fixture.events().await, ["Booked", "BookingMoved"]);
}

#[tokio::test]
async fn a_repeated_move_changes_nothing_and_takes_nothing() {
    let fixture = start();
    places(&fixture, 1);
    let moved = move_to(&fixture, 7).await;
    assert_eq!(move_to(&fixture, 7).await, moved);
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
    assert_eq!(fixture.events().await, ["Booked", "BookingMoved"]);
}

#[tokio::test]
async fn a_slot_without_a_place_leaves_the_booking_where_it_is() {
    for (outcome, reason) in [
        (HoldOutcome::SoldOut, NotGranted::SoldOut),
        (HoldOutcome::SlotFull, NotGranted::SlotFull),
        (HoldOutcome::NoSuchSlot, NotGranted::NoSuchSlot),
        (HoldOutcome::NotOpen, NotGranted::NotOpen),
    ] {
        let fixture = start();
        fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome]));
        assert_eq!(move_to(&fixture, 7).await, Err(reason.into()));
        assert_eq!(doses(&fixture).await, [FIRST]);
        assert_eq!(fixture.events().await, ["Booked"]);
    }
}

/// As if the process had ended between the hold and the commit.
#[tokio::test]
async fn a_hold_that_was_resolved_before_the_move_leaves_the_booking_where_it_is() {
    let fixture = start();
    let decide = fixture.vaccine.delay_next(HOLDS);
    let resolve = async {
        fixture.protocol.resolve(&[fixture.reservation(0).await]).await;
        drop(decide.send(FakeReply::outcomes([held_places(1)])));
    };
    let (moved, ()) = join!(move_to(&fixture, 7), resolve);
    assert_eq!(moved, Err(BookingError::RetryLater));
    assert_eq!(doses(&fixture).await, [FIRST]);
    assert_eq!(fixture.events().await, ["Booked", "ReservationAborted"]);
    places(&fixture, 1);
    assert_eq!(move_to(&fixture, 7).await.unwrap().slot, Some(booked()));
}

/// As if the process had ended right after the commit.
#[tokio::test]
async fn a_hold_that_is_resolved_after_the_move_is_that_of_the_booking_and_the_old_one_is_released()
{
    let fixture = start();
    places(&fixture, 1);
    move_to(&fixture, 7).await.unwrap();
    let both = doses(&fixture).await;
    fixture.protocol.resolve(&both).await;
    assert_eq!(doses(&fixture).await, both);
    let events = fixture.events().await;
    assert_eq!(events, ["Booked", "BookingMoved", "ReservationAborted", "BookingMoved"]);
}

#[tokio::test]
async fn a_move_whose_client_disconnects_while_it_is_written_stands() {
    let ((proceed, proceeds), (writing, begun)) = (mpsc::channel(), oneshot::channel());
    let fixture = ProtocolFixture::with_store(|store| Slow {
        store: with_booking(store),
        begun: Some(writing),
        proceeds,
    });
    places(&fixture, 1);
    select! {
        _ = move_to(&fixture, 7) => panic!("it is written already"),
        _ = begun => {}
    }
    drop(proceed);
    let events = fixture.wait_for_events(3).await;
    assert_eq!(events, ["Booked", "BookingMoved", "BookingMoved"], "when it was resolved, too");
    assert_eq!(stored(&fixture).await.booking.slot, Some(booked()));
}

/// A store that commits, and whose answer to that is lost once.
struct LosesAnswer {
    store: AggregateStore<Bookings>,
    is_lost: Arc<AtomicBool>,
}

impl Store for LosesAnswer {
    type Command = Input<Command>;
    type Reply = Output<Reply>;

    fn apply(&mut self, batch: &[Input<Command>]) -> Result<Vec<Output<Reply>>, StoreError> {
        let replies = self.store.apply(batch)?;
        if self.is_lost.swap(false, Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the connection was lost".into()));
        }
        Ok(replies)
    }
}

#[tokio::test]
async fn a_move_whose_answer_is_lost_stands_and_is_found_by_the_next_request() {
    let is_lost = Arc::new(AtomicBool::new(true));
    let loses = Arc::clone(&is_lost);
    let fixture = ProtocolFixture::with_store(|store| LosesAnswer {
        store: with_booking(store),
        is_lost: loses,
    });
    places(&fixture, 1);
    assert!(move_to(&fixture, 7).await.is_err());
    assert!(!is_lost.load(Ordering::SeqCst), "it was committed");
    assert_eq!(move_to(&fixture, 7).await.unwrap().slot, Some(booked()));
    assert!(fixture.protocol.aborts.is_idle(), "its dose is not aborted");
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
    assert_eq!(fixture.events().await, ["Booked", "BookingMoved"]);
}

#[tokio::test]
async fn of_two_moves_at_once_one_counts_and_the_place_of_the_other_is_free() {
    let fixture = start();
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_places(1), held_places(1)]));
    let known = stored(&fixture).await;
    let moved = join!(move_known(&fixture, &known, 7), move_known(&fixture, &known, 8));
    let (winner, refused) = match moved {
        (Ok(winner), Err(refused)) | (Err(refused), Ok(winner)) => (winner, refused),
        moved => panic!("{moved:?}"),
    };
    assert_eq!(refused, BookingError::MovedMeanwhile);
    assert_eq!(stored(&fixture).await.booking, winner);
    let other = if winner.slot == Some(booked()) { 8 } else { 7 };
    assert!(move_to(&fixture, other).await.is_ok(), "with the place that was not needed");
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
}

#[tokio::test]
async fn two_requests_for_the_same_move_have_one_outcome_and_leave_a_place() {
    let fixture = start();
    places(&fixture, 2);
    let known = stored(&fixture).await;
    let (first, second) = join!(move_known(&fixture, &known, 7), move_known(&fixture, &known, 7));
    assert_eq!(first.as_ref().unwrap().slot, Some(booked()));
    assert_eq!(first, second);
    assert_eq!(doses(&fixture).await.len(), 2);
    let choice = stored(&fixture).await.choice();
    assert!(fixture.protocol.doses.in_hand(choice).is_some(), "one was not needed");
}

#[tokio::test]
async fn a_move_that_crosses_a_cancellation_leaves_its_place_to_others() {
    let fixture = start();
    let known = stored(&fixture).await;
    fixture.protocol.cancel(BookingId(1)).await.unwrap();
    places(&fixture, 1);
    assert_eq!(move_known(&fixture, &known, 7).await, Err(BookingError::Cancelled));
    assert_eq!(doses(&fixture).await, [FIRST]);
    let other = BookingRequest {
        choice: Choice { vaccine: VaccineId(1), slot: Some(SlotId(7)), next: None },
        ..without_key()
    };
    assert_eq!(fixture.book(other).await, Ok(2));
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
}

#[tokio::test]
async fn a_booking_that_was_moved_often_takes_no_place_before_it_is_refused() {
    let fixture = start();
    let mut known = stored(&fixture).await;
    known.previous = vec![FIRST; MOVES_MAX];
    assert_eq!(move_known(&fixture, &known, 7).await, Err(BookingError::MovedTooOften));
    assert!(fixture.vaccine.requests(HOLDS).is_empty());
}
