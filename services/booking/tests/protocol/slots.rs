//! A booking may name a slot: then it takes a place of it with its dose.

use std::time::Instant;

use booking::{
    RESPONSE_TIMEOUT,
    domain::{Choice, NotGranted, tickets::TicketEnd},
    protocol::{Accepted, BookingError, BookingRequest},
};
use contracts::{
    booking::BookedSlot,
    ids::{BookingId, CampaignId, SiteId, SlotId, UserId, VaccineId},
    vaccine::{HeldPlace, HoldOutcome},
};
use jiff::Timestamp;
use tokio::join;

use crate::{
    fixture::{ProtocolFixture, with_key_of, without_key},
    tickets::{ends, enqueue_request, serve},
    vaccine::{FakeReply, HOLDS, held_many, refusals_expire},
};

fn of_slot(slot: i64) -> BookingRequest {
    let choice = Choice { vaccine: VaccineId(1), slot: Some(SlotId(slot)), next: None };
    BookingRequest { choice, ..without_key() }
}

pub(crate) fn booked() -> BookedSlot {
    let starts_at = Timestamp::from_second(100).unwrap();
    BookedSlot { slot_id: SlotId(7), site_id: SiteId(3), starts_at }
}

pub(crate) fn held_places(count: u32) -> HoldOutcome {
    let BookedSlot { site_id, starts_at, .. } = booked();
    let place =
        Some(HeldPlace { site_id, starts_at, campaign_id: CampaignId(1), bookings_per_person: 10 });
    HoldOutcome::Held { vc_name: "FIZER".to_owned(), count, place, next: None }
}

#[tokio::test]
async fn a_dose_and_a_place_are_held_together_and_the_booking_has_the_slot() {
    let fixture = ProtocolFixture::start();
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_places(1)]));
    let accepted = fixture.protocol.book(of_slot(7)).await.unwrap();
    let Accepted::Booking(booking) = accepted else { panic!("{accepted:?}") };
    assert_eq!(booking.slot, Some(booked()));
    let block = fixture.vaccine.batches(1).await[0].blocks[0];
    assert_eq!((block.vaccine_id, block.slot_id), (VaccineId(1), Some(SlotId(7))));
    let known = fixture.protocol.queries.booking(booking.booking_id).await;
    assert_eq!(known.unwrap(), Some(booking));
}

#[tokio::test]
async fn citizens_of_several_slots_share_a_request_with_a_block_for_each() {
    let fixture = ProtocolFixture::start();
    let outcomes = [held_many(1), held_places(2), held_places(1)];
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes(outcomes));
    let book = |slot| fixture.book(of_slot(slot));
    let booked = join!(book(7), book(8), book(7), fixture.book(without_key()));
    assert!(booked.0.is_ok() && booked.2.is_ok() && booked.3.is_ok(), "{booked:?}");
    let [batch] = &fixture.vaccine.batches(1).await[..] else { panic!("one request") };
    let blocks: Vec<_> = batch.blocks.iter().map(|it| (it.slot_id, it.count)).collect();
    assert_eq!(blocks, [(None, 1), (Some(SlotId(7)), 2), (Some(SlotId(8)), 1)]);
}

#[tokio::test]
async fn doses_in_hand_are_of_their_slot_or_of_none() {
    let fixture = ProtocolFixture::start();
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_many(10)]));
    assert_eq!(fixture.book(without_key()).await, Ok(1));
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_places(10)]));
    for request in [of_slot(7), of_slot(7), without_key()] {
        assert!(fixture.book(request).await.is_ok());
        assert_eq!(fixture.vaccine.requests(HOLDS).len(), 2);
    }
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SlotFull]));
    assert_eq!(fixture.book(of_slot(8)).await, Err(NotGranted::SlotFull.into()));
}

#[tokio::test]
async fn a_place_that_is_not_booked_is_for_the_next() {
    let fixture = ProtocolFixture::start();
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_places(1)]));
    let take = || fixture.protocol.doses.take(of_slot(7).choice, Instant::now() + RESPONSE_TIMEOUT);
    let dose = take().await.unwrap();
    let first = dose.reservation();
    drop(dose);
    assert_eq!(take().await.unwrap().reservation(), first);
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
}

#[tokio::test]
async fn a_refusal_is_of_the_slot_and_says_why() {
    for (outcome, reason) in [
        (HoldOutcome::SoldOut, NotGranted::SoldOut),
        (HoldOutcome::SlotFull, NotGranted::SlotFull),
        (HoldOutcome::NoSuchVaccine, NotGranted::NoSuchVaccine),
        (HoldOutcome::NoSuchSlot, NotGranted::NoSuchSlot),
        (HoldOutcome::NotOpen, NotGranted::NotOpen),
    ] {
        let fixture = ProtocolFixture::start();
        fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome.clone()]));
        assert_eq!(fixture.book(of_slot(7)).await, Err(reason.into()));
        fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_places(1)]));
        assert_eq!(fixture.book(of_slot(8)).await, Ok(1), "another slot after {reason:?}");
        refusals_expire().await;
        fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_places(1)]));
        assert_eq!(fixture.book(of_slot(7)).await, Ok(2));
    }
}

#[tokio::test]
async fn who_comes_right_after_a_slot_was_full_gets_the_same_answer_without_a_request() {
    let fixture = ProtocolFixture::start();
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SlotFull]));
    for _ in 0..2 {
        assert_eq!(fixture.book(of_slot(7)).await, Err(NotGranted::SlotFull.into()));
    }
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 1);
}

#[tokio::test]
async fn an_answer_that_does_not_say_where_the_slot_is_is_none() {
    let fixture = ProtocolFixture::start();
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_many(1)]));
    assert_eq!(fixture.book(of_slot(7)).await, Err(BookingError::RetryLater));
    assert_eq!(fixture.wait_for_events(1).await, ["ReservationAborted"]);
}

#[tokio::test]
async fn a_ticket_may_be_for_a_slot() {
    let fixture = ProtocolFixture::start();
    let ticket = |key| {
        let choice = of_slot(7).choice;
        enqueue_request(&fixture, BookingRequest { choice, ..with_key_of(key, true) })
    };
    let tickets = [ticket("a").await, ticket("b").await];
    assert_eq!(tickets[0].choice, of_slot(7).choice);
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::NotOpen]));
    serve(&fixture);
    let reason = ends(&fixture, &tickets).await;
    assert_eq!(reason, [NotGranted::NotOpen; 2].map(TicketEnd::NotGranted));
    let again = BookingRequest { choice: of_slot(7).choice, ..with_key_of("a", false) };
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held_places(1)]));
    assert_eq!(fixture.book(again).await, Err(NotGranted::NotOpen.into()), "a key has one outcome");
}

#[tokio::test]
async fn a_person_who_has_a_booking_of_the_campaign_is_refused_and_the_dose_is_for_the_next() {
    let fixture = ProtocolFixture::start();
    let HoldOutcome::Held { vc_name, count, place: Some(place), .. } = held_places(1) else {
        panic!("it has a place")
    };
    let place = Some(HeldPlace { bookings_per_person: 1, ..place });
    let held = || HoldOutcome::Held { vc_name: vc_name.clone(), count, place, next: None };
    for _ in 0..2 {
        fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held()]));
    }
    assert_eq!(fixture.book(of_slot(7)).await, Ok(1));
    assert_eq!(fixture.book(of_slot(7)).await, Err(NotGranted::AlreadyBooked.into()));
    let other = BookingRequest { user: UserId(6), ..of_slot(7) };
    assert_eq!(fixture.book(other).await, Ok(2));
    assert_eq!(fixture.vaccine.requests(HOLDS).len(), 2, "the dose that is in hand");
    fixture.protocol.cancel(BookingId(1)).await.unwrap();
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([held()]));
    assert_eq!(fixture.book(of_slot(7)).await, Ok(3));
}

#[tokio::test]
async fn the_ticket_of_a_person_who_has_a_booking_of_the_campaign_ends() {
    let fixture = ProtocolFixture::start();
    let HoldOutcome::Held { vc_name, place: Some(place), .. } = held_places(2) else {
        panic!("it has a place")
    };
    let place = Some(HeldPlace { bookings_per_person: 1, ..place });
    let ticket = |key| {
        let choice = of_slot(7).choice;
        enqueue_request(&fixture, BookingRequest { choice, ..with_key_of(key, true) })
    };
    let tickets = [ticket("a").await, ticket("b").await];
    fixture.vaccine.reply_next(
        HOLDS,
        FakeReply::outcomes([HoldOutcome::Held { vc_name, count: 2, place, next: None }]),
    );
    serve(&fixture);
    let expected =
        [TicketEnd::Booked(BookingId(1)), TicketEnd::NotGranted(NotGranted::AlreadyBooked)];
    assert_eq!(ends(&fixture, &tickets).await, expected);
}
