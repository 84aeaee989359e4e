//! The first command decides, and the late one is refused.

use std::time::Instant;

use booking::{
    domain::{Abortable, AttemptId, BookingAttempt, CreateBooking, HeldDose, NotGranted},
    protocol::{BookingError, BookingRequest},
};
use contracts::{
    ids::{ReservationId, UserId},
    vaccine::HoldOutcome,
};
use jiff::Timestamp;
use platform_rest::headers::Attempt;
use platform_store::{PageRange, PageStart};
use testkit::TEST_TIMEOUT;
use tokio::{join, task::yield_now};
use uuid::Uuid;

use crate::{
    fixture::{ProtocolFixture, with_key, without_key},
    vaccine::{FakeReply, HOLDS, held, refusals_expire},
};

/// Books, and resolves the hold before it is answered.
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
async fn a_key_gets_another_dose_after_its_hold_was_resolved() {
    let fixture = ProtocolFixture::start();
    assert_eq!(book_late(&fixture, with_key()).await, Err(BookingError::RetryLater));
    assert_eq!(fixture.book(with_key()).await, Ok(1));
    assert_ne!(fixture.reservation(0).await, fixture.reservation(1).await);
    assert_eq!(fixture.events().await, ["ReservationAborted", "Booked"]);
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
async fn a_repeated_attempt_that_is_refused_leaves_no_booking_of_the_first_behind() {
    let fixture = ProtocolFixture::start();
    let given = Attempt::first();
    let [first, repeated] = attempt(given);
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SoldOut]));
    assert_eq!(
        fixture.book(repeated.clone()).await,
        Err(BookingError::NotGranted(NotGranted::SoldOut))
    );
    refusals_expire().await;
    let is_aborted =
        || fixture.protocol.queries.is_aborted(Abortable::Attempt(AttemptId(given.id)));
    while !is_aborted().await.unwrap() {
        yield_now().await;
    }
    for late in [first, repeated] {
        assert_eq!(fixture.book(late).await, Err(BookingError::RetryLater));
    }
    assert_eq!(fixture.book(without_key()).await, Ok(1), "with the dose that the first one got");
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 2);
    assert_eq!(fixture.events().await, ["Booked"]);
}

/// The first one was booked after all, while the repeated one was refused.
#[tokio::test]
async fn a_repeated_attempt_that_is_refused_cancels_the_booking_of_the_first() {
    let fixture = ProtocolFixture::start();
    let given = Attempt::first();
    let [first, repeated] = attempt(given);
    let decide = fixture.vaccine.delay_next(HOLDS);
    let books_first = async {
        fixture.reservation(0).await;
        let dose = HeldDose {
            reservation: ReservationId(Uuid::from_u128(1)),
            vaccine_name: "FIZER".to_owned(),
            slot: None,
            next: None,
        };
        let attempt = BookingAttempt {
            id: Some(AttemptId(given.id)),
            choice: first.choice,
            user: first.user,
            fingerprint: None,
        };
        let create = CreateBooking { attempt, dose, at: Timestamp::UNIX_EPOCH };
        fixture.protocol.commands.submit(create, Instant::now() + TEST_TIMEOUT).await.unwrap();
        drop(decide.send(FakeReply::outcomes([HoldOutcome::SoldOut])));
    };
    let (refused, ()) = join!(fixture.book(repeated), books_first);
    assert_eq!(refused, Err(BookingError::NotGranted(NotGranted::SoldOut)));
    assert_eq!(fixture.wait_for_events(2).await, ["Booked", "BookingCancelled"]);
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
