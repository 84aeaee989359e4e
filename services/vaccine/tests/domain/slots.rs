//! A booking of a slot takes a dose and a place, both or neither, while the slot can be booked.

use contracts::campaign::CampaignStatus;
use jiff::Timestamp;
use vaccine::domain::{
    Command, ConfirmHold, HeldBlock, HoldDoses, Ledger, Pool, Refusal, Reply, SlotCampaign, decide,
};

use super::{change_stock, ledger, taken};
use crate::commands::{
    administer, change_campaign, dose, hold_doses, open_campaign, plan, pool_id, release,
    return_dose, second,
};

/// The claims of a dose of vaccine 1 and a place of slot 1.
const DOSE_AND_PLACE: [i64; 2] = [1, -1];

/// So many doses of vaccine 1, and so many places of slot 1, which begins after 100 s.
fn with_slot(doses: i64, places: i64) -> Ledger {
    let mut ledger = ledger(&[doses]);
    for command in [plan(1, places), change_campaign(open_campaign(&[1]))] {
        assert_eq!(decide(&mut ledger, &command).refusal(), None);
    }
    ledger
}

fn block(first: u128, count: u32, at: i64) -> HoldDoses {
    HoldDoses { count, at: second(at), ..hold_doses(first, &DOSE_AND_PLACE) }
}

fn held(ledger: &mut Ledger, hold: HoldDoses) -> Result<u32, Refusal> {
    match decide(ledger, &hold.into()) {
        Reply::Held(reply) => reply.map(|HeldBlock { count, .. }| count),
        reply => panic!("{reply:?}"),
    }
}

fn slot(ledger: &Ledger) -> &Pool {
    ledger.pools.get(&pool_id(-1)).unwrap()
}

#[test]
fn a_dose_and_a_place_are_taken_or_neither() {
    for (doses, places, expected) in [
        (5, 5, Ok(3)),
        (2, 5, Ok(2)),
        (5, 2, Ok(2)),
        (0, 5, Err(Refusal::SoldOut)),
        (5, 0, Err(Refusal::SlotFull)),
        (0, 0, Err(Refusal::SoldOut)),
    ] {
        let mut ledger = with_slot(doses, places);
        assert_eq!(held(&mut ledger, block(1, 3, 0)), expected, "{doses} doses, {places} places");
        let count = i64::from(expected.unwrap_or(0));
        assert_eq!((taken(&ledger, 1), taken(&ledger, -1)), (count, count));
    }
}

#[test]
fn a_booking_that_is_cancelled_gives_both_back() {
    let mut ledger = with_slot(1, 1);
    assert_eq!(held(&mut ledger, block(1, 1, 0)), Ok(1));
    decide(&mut ledger, &ConfirmHold(dose(1, &DOSE_AND_PLACE)).into());
    assert_eq!(held(&mut ledger, block(2, 1, 0)), Err(Refusal::SoldOut));
    decide(&mut ledger, &return_dose(1));
    assert_eq!(held(&mut ledger, block(2, 1, 0)), Ok(1));
}

#[test]
fn a_dose_that_was_used_is_gone_and_its_place_stays_taken() {
    let mut ledger = with_slot(2, 1);
    assert_eq!(held(&mut ledger, block(1, 1, 0)), Ok(1));
    decide(&mut ledger, &administer(1, 1));
    assert_eq!((taken(&ledger, 1), taken(&ledger, -1)), (0, 1));
    assert_eq!(held(&mut ledger, block(2, 1, 0)), Err(Refusal::SlotFull));
}

#[test]
fn a_slot_is_booked_while_its_campaign_is_open_and_until_it_begins() {
    let from = |at| Some(second(at));
    let closed = |status| SlotCampaign { status, ..open_campaign(&[1]) };
    let between =
        |book_from, book_until| SlotCampaign { book_from, book_until, ..open_campaign(&[1]) };
    let no_slot = Err(Refusal::NoSuchSlot);
    let not_open = Err(Refusal::NotOpen);
    for (campaign, at, expected) in [
        (open_campaign(&[1]), 0, Ok(1)),
        (open_campaign(&[1]), 99, Ok(1)),
        (open_campaign(&[1]), 100, not_open),
        (open_campaign(&[2, 3]), 0, no_slot),
        (open_campaign(&[2, 1]), 0, Ok(1)),
        (closed(CampaignStatus::Draft), 0, not_open),
        (closed(CampaignStatus::Scheduled), 0, not_open),
        (closed(CampaignStatus::Paused), 0, not_open),
        (closed(CampaignStatus::Closed), 0, not_open),
        (between(from(10), from(20)), 9, not_open),
        (between(from(10), from(20)), 10, Ok(1)),
        (between(from(10), from(20)), 19, Ok(1)),
        (between(from(10), from(20)), 20, not_open),
    ] {
        let mut ledger = with_slot(5, 5);
        decide(&mut ledger, &change_campaign(campaign.clone()));
        assert_eq!(held(&mut ledger, block(1, 1, at)), expected, "{campaign:?} at {at}");
    }
}

#[test]
fn what_was_held_before_a_campaign_was_paused_is_booked() {
    let mut ledger = with_slot(1, 1);
    assert_eq!(held(&mut ledger, block(1, 1, 0)), Ok(1));
    let paused = SlotCampaign { status: CampaignStatus::Paused, ..open_campaign(&[1]) };
    decide(&mut ledger, &change_campaign(paused));
    assert_eq!(held(&mut ledger, block(1, 1, 0)), Ok(1), "the same reply to a repeated hold");
    let confirmed = decide(&mut ledger, &ConfirmHold(dose(1, &DOSE_AND_PLACE)).into());
    assert_eq!(confirmed, Reply::Confirmed(Ok(())));
}

#[test]
fn a_slot_or_a_campaign_that_is_not_known_is_no_slot() {
    let mut ledger = ledger(&[5]);
    assert_eq!(held(&mut ledger, block(1, 1, 0)), Err(Refusal::NoSuchSlot));
    decide(&mut ledger, &plan(1, 5));
    assert_eq!(held(&mut ledger, block(1, 1, 0)), Err(Refusal::NoSuchSlot));
    decide(&mut ledger, &change_campaign(open_campaign(&[1])));
    assert_eq!(held(&mut ledger, block(1, 1, 0)), Ok(1));
}

#[test]
fn a_slot_with_fewer_places_than_bookings_is_overcommitted_until_they_have_moved() {
    let mut ledger = with_slot(9, 3);
    assert_eq!(held(&mut ledger, block(1, 3, 0)), Ok(3));
    decide(&mut ledger, &plan(1, 1));
    assert_eq!((slot(&ledger).taken, slot(&ledger).overcommitted), (3, 2));
    assert_eq!(held(&mut ledger, block(10, 1, 0)), Err(Refusal::SlotFull));
    for (number, overcommitted) in [(1, 1), (2, 0), (3, 0)] {
        decide(&mut ledger, &release(number));
        assert_eq!(slot(&ledger).overcommitted, overcommitted);
    }
    assert_eq!(held(&mut ledger, block(10, 9, 0)), Ok(1));
    decide(&mut ledger, &plan(1, 3));
    assert_eq!(held(&mut ledger, block(20, 9, 0)), Ok(2));
}

#[test]
fn the_same_plan_again_changes_nothing() {
    let mut planned = Ledger::default();
    planned
        .slots
        .places
        .load(pool_id(-1), *with_slot(1, 3).slots.places.get(&pool_id(-1)).unwrap());
    planned.pools.load(pool_id(-1), slot(&with_slot(1, 3)).clone());
    let before = planned.clone();
    decide(&mut planned, &plan(1, 3));
    assert_eq!(planned, before);
    decide(&mut planned, &plan(1, 2));
    assert_eq!(planned.pools.changes().count(), 1);
    assert_eq!(planned.slots.places.changes().count(), 0);
}

#[test]
fn doses_of_the_central_stock_are_booked_without_a_slot_as_before() {
    let mut ledger = with_slot(2, 0);
    assert_eq!(held(&mut ledger, HoldDoses { at: Timestamp::MAX, ..hold_doses(1, &[1]) }), Ok(1));
    let changed = decide(&mut ledger, &change_stock(1, 1));
    assert_eq!(changed.refusal(), None);
    let sold_out: Command = hold_doses(2, &[1]).into();
    assert_eq!(decide(&mut ledger, &sold_out).refusal(), Some(Refusal::SoldOut));
}

/// To a ledger that was restored the events of bookings may come before those of the campaign.
#[test]
fn a_booking_of_a_slot_that_is_not_known_yet_is_counted() {
    let mut ledger = ledger(&[5]);
    let confirmed = decide(&mut ledger, &ConfirmHold(dose(1, &DOSE_AND_PLACE)).into());
    assert_eq!(confirmed, Reply::Confirmed(Ok(())));
    assert_eq!((taken(&ledger, 1), slot(&ledger).taken, slot(&ledger).overcommitted), (1, 1, 1));
    assert_eq!(held(&mut ledger, block(10, 1, 0)), Err(Refusal::NoSuchSlot));
    for command in [plan(1, 2), change_campaign(open_campaign(&[1]))] {
        decide(&mut ledger, &command);
    }
    assert_eq!(slot(&ledger).overcommitted, 0);
    assert_eq!(held(&mut ledger, block(10, 9, 0)), Ok(1));
}
