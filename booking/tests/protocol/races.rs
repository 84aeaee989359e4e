//! Who comes first decides, and who comes too late is refused.

use booking::bookings::{NotBooked, Request};
use contracts::vaccine::HoldOutcome;
use tokio::{join, select};

use crate::{
    desk::{Desk, with_key, without_key},
    town::vaccine::{HOLDS, Reply, held},
};

/// Books, and is faster at settling than at holding: the dose was given back by then.
async fn late(desk: &Desk, request: Request) -> Result<i64, NotBooked> {
    let decide = desk.vaccine.will_wait(HOLDS);
    let settle = async {
        desk.bookings.settle(&[desk.reservation(0).await]).await;
        drop(decide.send(Reply::outcomes([held()])));
    };
    let (booked, ()) = join!(desk.bookings.book(request), settle);
    booked.map(|booking| booking.booking_id.0)
}

#[tokio::test]
async fn a_booking_that_comes_after_its_hold_was_settled_is_refused() {
    let desk = Desk::open();
    assert_eq!(late(&desk, without_key()).await, Err(NotBooked::ComeBack));
    assert_eq!(desk.said().await, ["ReservationAbandoned"]);
    assert_eq!(desk.bookings.reads.bookings(0, 1).await, Ok((vec![], 0)));
}

#[tokio::test]
async fn a_key_goes_on_with_a_new_attempt_after_its_hold_was_settled() {
    let desk = Desk::open();
    assert_eq!(late(&desk, with_key()).await, Ok(1));
    assert_ne!(desk.reservation(0).await, desk.reservation(1).await);
    assert_eq!(desk.said().await, ["ReservationAbandoned", "Booked"]);
}

#[tokio::test]
async fn a_key_whose_attempt_was_settled_long_ago_begins_a_new_one() {
    let desk = Desk::open();
    desk.vaccine.will_answer(HOLDS, Reply::Nothing);
    assert_eq!(desk.bookings.book(with_key()).await, Err(NotBooked::Unknown));
    desk.bookings.settle(&[desk.reservation(0).await]).await;
    assert!(desk.bookings.book(with_key()).await.is_ok());
    assert_ne!(desk.reservation(0).await, desk.reservation(1).await);
    assert_eq!(desk.said().await, ["ReservationAbandoned", "Booked"]);
}

#[tokio::test]
async fn a_key_has_16_attempts() {
    let desk = Desk::open();
    for _ in 0..16 {
        desk.vaccine.will_answer(HOLDS, Reply::outcomes([HoldOutcome::Released]));
    }
    assert!(desk.bookings.book(with_key()).await.is_err());
    let batches = desk.vaccine.batches(16).await;
    let mut reservations: Vec<_> =
        batches.iter().map(|batch| batch.holds[0].reservation_id).collect();
    reservations.sort_unstable();
    reservations.dedup();
    assert_eq!((batches.len(), reservations.len()), (16, 16));
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_attempt_up() {
    let desk = Desk::open();
    let decide = desk.vaccine.will_wait(HOLDS);
    select! {
        _ = desk.bookings.book(without_key()) => panic!("it is not decided yet"),
        _ = desk.reservation(0) => {} // From here on nobody waits for the booking.
    }
    drop(decide.send(Reply::outcomes([held()])));
    assert_eq!(desk.said_at_last(1).await, ["ReservationAbandoned"]);
}
