//! When a ticket ends as sold out: when every dose of its store is booked.

use booking::protocol::BookingRequest;
use contracts::{
    ids::{ReservationId, VaccineId},
    vaccine::{HoldOutcome, OrphanedHolds},
};
use uuid::Uuid;

use crate::{
    fixture::{ProtocolFixture, without_key},
    tickets::{ends, enqueue, enqueue_all, is_booked, serve},
    vaccine::{FakeReply, HOLDS, OLD_HOLDS},
};

/// Serves a ticket for which the ledger has no dose in these rounds, and then has one; after each round but the last one
/// it lists these holds. Whether it is booked.
async fn is_booked_after(rounds: [&[ReservationId]; 2]) -> bool {
    let fixture = ProtocolFixture::start();
    let queue = enqueue_all(&fixture, ["a"]).await;
    for held in rounds {
        fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SoldOut]));
        let holds = OrphanedHolds { reservation_ids: held.to_vec(), aborted: Vec::new() };
        fixture.vaccine.reply_next(OLD_HOLDS, FakeReply::json(&holds));
    }
    serve(&fixture);
    ends(&fixture, &queue).await.iter().all(is_booked)
}

#[tokio::test]
async fn a_ticket_ends_as_sold_out_when_two_rounds_find_every_dose_booked() {
    assert!(!is_booked_after([&[], &[]]).await);
}

/// It may be released between the two requests of a round.
#[tokio::test]
async fn a_ticket_waits_for_a_dose_that_is_held_without_a_booking() {
    let held = [ReservationId(Uuid::from_u128(1))];
    assert!(is_booked_after([&held, &[]]).await);
    assert!(is_booked_after([&[], &held]).await);
}

#[tokio::test]
async fn a_ticket_waits_for_a_dose_that_was_aborted_until_the_ledger_knows_it() {
    let fixture = ProtocolFixture::start();
    let queue = enqueue_all(&fixture, ["a"]).await;
    let aborted = ReservationId(Uuid::from_u128(1));
    fixture.protocol.resolve(&[aborted]).await;
    for _ in 0..2 {
        fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SoldOut]));
        let holds = OrphanedHolds { reservation_ids: vec![aborted], aborted: Vec::new() };
        fixture.vaccine.reply_next(OLD_HOLDS, FakeReply::json(&holds));
    }
    serve(&fixture);
    assert!(ends(&fixture, &queue).await.iter().all(is_booked));
}

/// They would wait for ever behind it.
#[tokio::test]
async fn others_do_not_wait_for_a_ticket_that_waits_for_a_held_dose() {
    let fixture = ProtocolFixture::start();
    enqueue(&fixture, "a").await;
    let held = ReservationId(Uuid::from_u128(1));
    fixture.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SoldOut]));
    let holds = OrphanedHolds { reservation_ids: vec![held], aborted: Vec::new() };
    fixture.vaccine.reply_next(OLD_HOLDS, FakeReply::json(&holds));
    serve(&fixture);
    fixture.vaccine.batches(1).await;
    let other = BookingRequest { choice: VaccineId(2).into(), ..without_key() };
    assert!(fixture.book(other).await.is_ok());
    assert_eq!(fixture.vaccine.batches(2).await[1].blocks[0].vaccine_id, VaccineId(2));
}
