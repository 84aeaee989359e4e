//! The first command decides, and the late one is refused.

use booking::protocol::{BookingError, BookingRequest};
use contracts::{ids::UserId, vaccine::HoldOutcome};
use platform_rest::headers::Attempt;
use platform_store::{PageRange, PageStart};
use tokio::{join, select};

use crate::{
    fixture::{ProtocolFixture, with_key, without_key},
    vaccine::{FakeReply, HOLDS, held},
};

/// Books, and resolves the attempt before its hold is answered.
async fn book_late(
    fixture: &ProtocolFixture,
    request: BookingRequest,
) -> Result<i64, BookingError> {
    let decide = fixture.vaccine.delay_next(HOLDS);
    let resolve = async {
        fixture.protocol.resolve(&[fixture.reservation(0).await]).await;
        drop(decide.send(FakeReply::outcomes([held()])));
    };
    let (booked, ()) = join!(fixture.book(request), resolve);
    booked
}

#[tokio::test]
async fn a_booking_is_refused_after_its_hold_was_resolved() {
    let fixture = ProtocolFixture::start();
    assert_eq!(book_late(&fixture, without_key()).await, Err(BookingError::RetryLater));
    assert_eq!(fixture.events().await, ["ReservationAborted"]);
    let range = PageRange { start: PageStart::Offset(0), size: 1 };
    let bookings = fixture.protocol.queries.bookings(range).await.unwrap();
    assert_eq!((bookings.rows.items, bookings.total), (vec![], Some(0)));
}

#[tokio::test]
async fn a_key_continues_with_a_new_attempt_after_its_hold_was_resolved() {
    let fixture = ProtocolFixture::start();
    assert_eq!(book_late(&fixture, with_key()).await, Ok(1));
    assert_ne!(fixture.reservation(0).await, fixture.reservation(1).await);
    assert_eq!(fixture.events().await, ["ReservationAborted", "Booked"]);
}

#[tokio::test]
async fn a_key_whose_attempt_was_resolved_before_begins_a_new_one() {
    let fixture = ProtocolFixture::start();
    fixture.vaccine.reply_next(HOLDS, FakeReply::Disconnect);
    assert_eq!(fixture.book(with_key()).await, Err(BookingError::Unknown));
    fixture.protocol.resolve(&[fixture.reservation(0).await]).await;
    assert_eq!(fixture.book(with_key()).await, Ok(1));
    assert_ne!(fixture.reservation(0).await, fixture.reservation(1).await);
    assert_eq!(fixture.events().await, ["ReservationAborted", "Booked"]);
}

#[tokio::test]
async fn a_key_has_16_attempts() {
    let fixture = ProtocolFixture::start();
    for _ in 0..16 {
        fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::Released]));
    }
    assert_eq!(fixture.book(with_key()).await, Err(BookingError::RetryLater));
    let batches = fixture.vaccine.batches(16).await;
    let mut reservations: Vec<_> =
        batches.iter().map(|batch| batch.holds[0].reservation_id).collect();
    reservations.sort_unstable();
    reservations.dedup();
    assert_eq!((batches.len(), reservations.len()), (16, 16));
}

/// A request that the edge has sent, and sends again since its connection broke.
fn attempt(attempt: Attempt) -> [BookingRequest; 2] {
    [false, true].map(|is_repeated| BookingRequest {
        attempt: Some(Attempt { is_repeated, ..attempt }),
        ..without_key()
    })
}

#[tokio::test]
async fn a_repeated_attempt_has_the_booking_of_the_first() {
    let fixture = ProtocolFixture::start();
    let [first, repeated] = attempt(Attempt::first());
    assert_eq!(fixture.book(first).await, Ok(1));
    fixture.vaccine.reply_next(HOLDS, FakeReply::Disconnect); // It is not asked.
    assert_eq!(fixture.book(repeated).await, Ok(1));
    assert_eq!(fixture.events().await, ["Booked"]);
}

#[tokio::test]
async fn a_repeated_attempt_that_is_refused_leaves_no_dose_of_the_first_behind() {
    let fixture = ProtocolFixture::start();
    let [_, repeated] = attempt(Attempt::first());
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SoldOut]));
    assert_eq!(fixture.book(repeated.clone()).await, Err(BookingError::SoldOut));
    assert_eq!(fixture.wait_for_events(1).await, ["ReservationAborted"]);
    assert_eq!(fixture.book(repeated).await, Err(BookingError::RetryLater));
}

#[tokio::test]
async fn an_attempt_shows_nobody_the_booking_of_another() {
    let fixture = ProtocolFixture::start();
    let [first, repeated] = attempt(Attempt::first());
    assert_eq!(fixture.book(first.clone()).await, Ok(1));
    for request in [first, repeated] {
        let other = BookingRequest { user: UserId(6), ..request };
        assert_eq!(fixture.book(other).await, Err(BookingError::Unknown));
    }
}

#[tokio::test]
async fn the_attempt_of_a_caller_that_is_gone_is_resolved() {
    let fixture = ProtocolFixture::start();
    let decide = fixture.vaccine.delay_next(HOLDS);
    select! {
        _ = fixture.book(without_key()) => panic!("it is not decided yet"),
        _ = fixture.reservation(0) => {} // From here on no caller waits for the booking.
    }
    drop(decide.send(FakeReply::outcomes([held()])));
    assert_eq!(fixture.wait_for_events(1).await, ["ReservationAborted"]);
}
