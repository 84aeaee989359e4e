//! A series of two doses is held in one request, and booked in one commit.

use std::time::Instant;

use booking::{
    RESPONSE_TIMEOUT,
    domain::{Choice, NotGranted},
    protocol::{BookingError, BookingRequest},
};
use contracts::{
    booking::BookingStatus,
    ids::{BookingId, SlotId, VaccineId},
    vaccine::{HeldNext, HeldPlace, HoldOutcome, product::DoseInterval},
};

use crate::{
    app::BookingApp,
    fixture::{ProtocolFixture, released_after_lull, with_key_of, without_key},
    slots::held_places,
    vaccine::{FakeReply, HOLDS},
};

const CHOICE: Choice =
    Choice { vaccine: VaccineId(1), slot: Some(SlotId(7)), next: Some(SlotId(8)) };

fn series() -> BookingRequest {
    BookingRequest { choice: CHOICE, ..without_key() }
}

/// So many series are held.
fn held_series(count: u32) -> HoldOutcome {
    let interval = DoseInterval { min_days: 1, max_days: 365 };
    match held_places(count) {
        HoldOutcome::Held { vc_name, count, place, .. } => {
            let next = place.map(|place| HeldNext { place, interval });
            HoldOutcome::Held { vc_name, count, place, next }
        }
        other => other,
    }
}

fn next_hold(fixture: &ProtocolFixture, outcome: HoldOutcome) {
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome]));
}

#[tokio::test]
async fn both_doses_are_requested_as_one_block_and_booked_together() {
    let fixture = ProtocolFixture::start();
    next_hold(&fixture, held_series(1));
    assert_eq!(fixture.book(series()).await, Ok(1));
    let [batch] = &fixture.vaccine.batches(1).await[..] else { panic!("one request") };
    let [block] = batch.blocks[..] else { panic!("one block: {batch:?}") };
    assert_eq!((block.slot_id, block.next_slot_id), (CHOICE.slot, CHOICE.next));
    assert_eq!((block.count, block.ahead), (1, 0));
    let mut reservations = Vec::new();
    for (id, slot) in [(1, 7), (2, 8)] {
        let record = fixture.protocol.queries.record(BookingId(id)).await.unwrap().unwrap();
        assert_eq!(record.booking.slot.map(|slot| slot.slot_id), Some(SlotId(slot)));
        reservations.push(record.reservation);
    }
    assert_eq!(reservations, [block.first, block.first.nth(1).unwrap()]);
    assert_eq!(fixture.events().await, ["Booked", "Booked"]);
}

#[tokio::test]
async fn several_series_of_a_block_have_second_doses_after_all_first_ones() {
    let fixture = ProtocolFixture::start();
    next_hold(&fixture, held_series(2));
    let (first, second) = tokio::join!(fixture.book(series()), fixture.book(series()));
    assert!(first.is_ok() && second.is_ok(), "{first:?}, {second:?}");
    let block = fixture.vaccine.batches(1).await[0].blocks[0];
    assert_eq!(block.count, 2);
    let mut series = Vec::new();
    for id in [1, 3] {
        let dose = async |id| {
            let record = fixture.protocol.queries.record(BookingId(id)).await.unwrap().unwrap();
            record.reservation.offset_from(block.first).unwrap()
        };
        series.push([dose(id).await, dose(id + 1).await]);
    }
    series.sort_unstable();
    assert_eq!(series, [[0, 2], [1, 3]]);
}

#[tokio::test]
async fn a_refusal_says_which_dose_has_no_room() {
    for (outcome, reason) in [
        (HoldOutcome::SlotFull, NotGranted::SlotFull),
        (HoldOutcome::NextSlotFull, NotGranted::NextSlotFull),
        (HoldOutcome::OutsideInterval, NotGranted::OutsideInterval),
        (HoldOutcome::SingleDose, NotGranted::SingleDose),
    ] {
        let fixture = ProtocolFixture::start();
        next_hold(&fixture, outcome);
        assert_eq!(fixture.book(series()).await, Err(reason.into()));
        assert!(fixture.events().await.is_empty());
    }
}

#[tokio::test]
async fn an_answer_without_a_second_dose_books_none_and_releases_what_may_be_held() {
    let fixture = ProtocolFixture::start();
    next_hold(&fixture, held_places(1));
    assert_eq!(fixture.book(series()).await, Err(BookingError::RetryLater));
    assert_eq!(fixture.wait_for_events(2).await, ["ReservationAborted", "ReservationAborted"]);
}

#[tokio::test]
async fn both_doses_of_a_series_that_nobody_took_are_for_the_next() {
    let fixture = ProtocolFixture::start();
    next_hold(&fixture, held_series(1));
    let take = || fixture.protocol.doses.take(CHOICE, Instant::now() + RESPONSE_TIMEOUT);
    let dose = take().await.unwrap();
    let first: Vec<_> = dose.reservations().collect();
    assert_eq!(first.len(), 2);
    drop(dose);
    assert_eq!(take().await.unwrap().reservations().collect::<Vec<_>>(), first);
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
}

#[tokio::test]
async fn both_doses_of_a_series_are_given_back_where_the_person_has_one() {
    let app = BookingApp::start();
    let HoldOutcome::Held { vc_name, count, place: Some(place), next: Some(next) } = held_series(1)
    else {
        panic!("both are held")
    };
    let place = HeldPlace { bookings_per_person: 1, ..place };
    let (place, next) = (Some(place), Some(HeldNext { place, ..next }));
    let body = r#"{"vaccineId":1,"slotId":7,"userId":5,"plan":"series","nextSlotId":8}"#;
    for status in [201, 409] {
        let held = HoldOutcome::Held { vc_name: vc_name.clone(), count, place, next };
        app.vaccine.reply_next(HOLDS, FakeReply::outcomes([held]));
        // The second time the person has a series already.
        assert_eq!(app.request("POST /bookings", body).await.status, status);
    }
    let first = app.vaccine.batches(2).await[1].blocks[0].first;
    let both = [first, first.nth(1).unwrap()];
    assert_eq!(released_after_lull(&app, 2).await, both.into());
}

#[tokio::test]
async fn the_same_key_gets_the_same_series() {
    let fixture = ProtocolFixture::start();
    next_hold(&fixture, held_series(1));
    let request = || BookingRequest { choice: CHOICE, ..with_key_of("a", false) };
    assert_eq!(fixture.book(request()).await, Ok(1));
    next_hold(&fixture, held_series(1));
    assert_eq!(fixture.book(request()).await, Ok(1));
    assert_eq!(fixture.events().await, ["Booked", "Booked"]);
}

#[tokio::test]
async fn a_series_is_moved_and_cancelled_as_a_whole() {
    let fixture = ProtocolFixture::start();
    next_hold(&fixture, held_series(1));
    assert_eq!(fixture.book(series()).await, Ok(1));
    let record = |id| {
        let queries = fixture.protocol.queries.clone();
        async move { queries.record(BookingId(id)).await.unwrap().unwrap() }
    };
    let move_to = async |slots: (i64, i64)| {
        let slots = (SlotId(slots.0), Some(SlotId(slots.1)));
        let deadline = Instant::now() + RESPONSE_TIMEOUT;
        fixture.protocol.move_booking(record(1).await, slots, deadline).await
    };
    next_hold(&fixture, HoldOutcome::NextSlotFull);
    assert_eq!(move_to((17, 18)).await, Err(NotGranted::NextSlotFull.into()));
    next_hold(&fixture, held_series(1));
    for _ in 0..2 {
        let moved = move_to((17, 28)).await.unwrap();
        assert_eq!(moved.slot.map(|slot| slot.slot_id), Some(SlotId(17)));
    }
    let second = record(2).await;
    assert_eq!(second.booking.slot.map(|slot| slot.slot_id), Some(SlotId(28)));
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 3, "a repeated move takes nothing");
    fixture.protocol.cancel(BookingId(1)).await.unwrap();
    assert_eq!(record(2).await.booking.status, BookingStatus::BookingCancelled);
    let events = ["Booked", "Booked", "BookingMoved", "BookingMoved"];
    let cancelled = ["BookingCancelled", "BookingCancelled"];
    assert_eq!(fixture.events().await, [&events[..], &cancelled].concat());
}
