//! A series is stored and loaded as a whole.

use booking::domain::{
    BookingAttempt, CancelReply, Command, CreateBooking, CreateReply, HeldDose, HeldSlot,
    MoveBooking, MoveReply, NextDose, Record, Reply,
};
use contracts::{
    booking::{BookedSlot, BookingStatus},
    ids::{BookingId, CampaignId, SiteId, SlotId, UserId, VaccineId},
    vaccine::product::DoseInterval,
};
use jiff::{Timestamp, ToSpan};
use testkit::{TestDatabase, on_both_databases};

use super::{BookingStore, at, cancel, complete, held_dose, reservation};

on_both_databases!(
    a_series_is_found_as_it_is_after_reopening,
    who_cancels_the_first_dose_after_reopening_cancels_both,
    the_other_dose_decides_about_a_move_after_reopening,
    a_series_counts_for_its_person_after_reopening,
);

fn slot(number: u8, days: i64) -> HeldSlot {
    let starts_at = Timestamp::UNIX_EPOCH + (days * 24).hours();
    let (slot_id, site_id) = (SlotId(number.into()), SiteId(1));
    let booked = BookedSlot { slot_id, site_id, starts_at };
    HeldSlot { booked, campaign: CampaignId(1), bookings_per_person: 1 }
}

/// Two doses, thirty days apart, the second of which is due 21 to 42 days after the first.
fn both([first, second]: [u8; 2]) -> HeldDose {
    let interval = DoseInterval { min_days: 21, max_days: 42 };
    let next = NextDose { reservation: reservation(second), slot: slot(second, 30), interval };
    HeldDose { slot: Some(slot(first, 0)), next: Some(Box::new(next)), ..held_dose(first) }
}

fn create_series(doses: [u8; 2], user: i64) -> Command {
    let (choice, user) = (VaccineId(1).into(), UserId(user));
    let attempt = BookingAttempt { id: None, choice, user, fingerprint: None };
    CreateBooking { attempt, dose: both(doses), at: at(1) }.into()
}

fn stored(store: &BookingStore) -> [Record; 2] {
    [1, 2]
        .map(|id| store.database.block_on(store.queries().record(BookingId(id))).unwrap().unwrap())
}

fn a_series_is_found_as_it_is_after_reopening(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    let replies = store.apply(&[create_series([1, 2], 5)]);
    let Reply::Create(CreateReply::BookedBoth(booked)) = &replies[0] else { panic!("{replies:?}") };
    assert_eq!(store.event_types(), ["Booked", "Booked"]);
    assert_eq!(stored(&store.reopened_with(&[])), **booked);
}

fn who_cancels_the_first_dose_after_reopening_cancels_both(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[create_series([1, 2], 5)]);
    let mut store = store.reopened_with(&[]);
    let replies = store.apply(&[cancel(1)]);
    assert!(matches!(replies[0], Reply::Cancel(CancelReply::CancelledBoth(_))), "{replies:?}");
    let statuses = stored(&store).map(|record| record.booking.status);
    assert_eq!(statuses, [BookingStatus::BookingCancelled; 2]);
    assert_eq!(store.event_types()[2..], ["BookingCancelled", "BookingCancelled"]);
}

fn the_other_dose_decides_about_a_move_after_reopening(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[create_series([1, 2], 5)]);
    let mut store = store.reopened_with(&[]);
    let mut move_first = |dose: u8, days| {
        let (booking, from) = (BookingId(1), reservation(1));
        let dose = HeldDose { slot: Some(slot(dose, days)), ..held_dose(dose) };
        let command = MoveBooking { booking, from, dose, at: at(2) };
        let Reply::Move(reply) = store.apply(&[command.into()]).pop().unwrap() else {
            panic!("a move")
        };
        reply
    };
    assert_eq!(move_first(3, 20), MoveReply::OutsideInterval);
    let moved = move_first(4, 5);
    assert!(matches!(moved, MoveReply::Moved(_)), "{moved:?}");
}

fn a_series_counts_for_its_person_after_reopening(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[create_series([1, 2], 5), complete(1)]);
    let mut store = store.reopened_with(&[]);
    let replies = store.apply(&[create_series([3, 4], 5), create_series([3, 4], 6)]);
    assert_eq!(replies[0], Reply::Create(CreateReply::AlreadyBooked));
    assert!(matches!(replies[1], Reply::Create(CreateReply::BookedBoth(_))), "{replies:?}");
}
