//! A move is stored in one commit: the booking has its new dose, and the old one leads to it.

use booking::domain::{
    Bookings, Command, CompleteReply, HeldSlot, MoveBooking, MoveReply, Record, Reply,
};
use contracts::{
    booking::{BookedSlot, BookingStatus},
    ids::{BookingId, CampaignId, ReservationId, SiteId, SlotId},
};
use platform_store::{Aggregate, OutboxEntry};
use serde_json::{Value, json};
use testkit::{TestDatabase, on_both_databases, store::prune};

use super::{BookingStore, at, cancel, complete, create, held_dose, reservation, resolve};

on_both_databases!(
    a_moved_booking_is_still_moved_after_reopening,
    an_event_names_the_doses_that_a_booking_had_before,
    a_dose_from_before_a_move_leads_to_its_booking_for_ever,
    a_snapshot_says_which_doses_a_booking_had_before,
    a_dose_that_was_left_is_neither_orphaned_nor_booked,
    a_person_has_as_many_live_bookings_as_may_be_after_reopening_too,
);

fn slot(number: u8) -> BookedSlot {
    let (slot_id, site_id) = (SlotId(number.into()), SiteId(i64::from(number) + 100));
    BookedSlot { slot_id, site_id, starts_at: at(number) }
}

/// Moves a booking from one dose to another one with a place of the slot of the same number.
pub(super) fn move_booking(booking: i64, from: u8, to: u8) -> Command {
    let mut dose = held_dose(to);
    let booked = slot(to);
    dose.slot = Some(HeldSlot { booked, campaign: CampaignId(1), bookings_per_person: 2 });
    let (booking, from) = (BookingId(booking), reservation(from));
    MoveBooking { booking, from, dose, at: at(150) }.into()
}

fn stored(store: &BookingStore, booking: i64) -> Record {
    let read = store.queries();
    store.database.block_on(read.record(BookingId(booking))).unwrap().unwrap()
}

/// The doses of a record, the last of which it has now.
fn doses(record: &Record) -> Vec<ReservationId> {
    record.previous.iter().chain([&record.reservation]).copied().collect()
}

fn a_moved_booking_is_still_moved_after_reopening(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    let replies = store.apply(&[create(1, None), create(2, None), move_booking(1, 1, 7)]);
    let Reply::Move(MoveReply::Moved(record)) = &replies[2] else { panic!("{replies:?}") };
    let mut store = store.reopened_with(&[]);
    assert_eq!(&stored(&store, 1), record);
    assert_eq!(record.booking.slot, Some(slot(7)));
    assert_eq!(stored(&store, 2).booking.slot, None);

    let again = store.apply(&[move_booking(1, 1, 8), move_booking(1, 7, 7), move_booking(1, 7, 8)]);
    let expected = [MoveReply::Changed, MoveReply::MovedBefore(record.clone())].map(Reply::Move);
    assert_eq!(again[..2], expected);
    let record = stored(&store, 1);
    assert_eq!(doses(&record), [1, 7, 8].map(reservation));
    assert_eq!(record.booking.slot, Some(slot(8)));
}

fn an_event_names_the_doses_that_a_booking_had_before(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[create(1, None), move_booking(1, 1, 7), move_booking(1, 7, 8), cancel(1)]);
    let named = |entry: OutboxEntry| {
        let data: Value = serde_json::from_str(&entry.event.data).unwrap();
        let fields = ["reservationId", "previousReservationIds", "slotId", "status"];
        (entry.event.r#type, fields.map(|field| data[field].clone()))
    };
    let id = |dose| json!(reservation(dose));
    let ids = |doses: &[u8]| json!(doses.iter().map(|dose| id(*dose)).collect::<Vec<_>>());
    let (booked, cancelled) = (json!("BOOKED"), json!("BOOKING_CANCELLED"));
    let event = |name: &str, fields| (name.to_owned(), fields);
    assert_eq!(
        store.outbox().into_iter().map(named).collect::<Vec<_>>(),
        [
            event("Booked", [id(1), Value::Null, Value::Null, booked.clone()]),
            event("BookingMoved", [id(7), ids(&[1]), json!(7), booked.clone()]),
            event("BookingMoved", [id(8), ids(&[1, 7]), json!(8), booked]),
            event("BookingCancelled", [id(8), ids(&[1, 7]), json!(8), cancelled]),
        ]
    );
}

fn a_dose_from_before_a_move_leads_to_its_booking_for_ever(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[create(1, None), move_booking(1, 1, 7), move_booking(1, 7, 8)]);
    assert_eq!(prune(&mut store.store, at(255).as_millisecond(), 0), 0);
    let mut store = store.reopened_with(&[]);
    let replies = store.apply(&[complete(7)]);
    let [Reply::Complete(CompleteReply::MoveUndone { record, released })] = &replies[..] else {
        panic!("{replies:?}");
    };
    assert_eq!(*released, reservation(8));
    assert_eq!(doses(record), [1, 7, 8, 7].map(reservation));
    assert_eq!(record.booking.slot, Some(slot(7)), "it is where they were");
    assert_eq!(record.booking.status, BookingStatus::InjectionCompleted);
    assert_eq!(&stored(&store, 1), record);
    let last = store.outbox().pop().unwrap().event;
    assert_eq!(last.r#type, "ReservationAborted");
    assert_eq!(*last.data, *json!({"reservationId": reservation(8)}).to_string());
}

fn a_snapshot_says_which_doses_a_booking_had_before(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[create(1, None), create(2, None), move_booking(1, 1, 7), move_booking(2, 2, 8)]);
    store.apply(&[cancel(2)]);
    let read = store.reads.read(|tx| Bookings::snapshot(tx, i64::MIN, 10));
    let snapshot = store.database.block_on(read).unwrap();
    let named = snapshot.into_iter().map(|(_, event)| {
        let data: Value = serde_json::from_str(&event.data).unwrap();
        (event.r#type, data["previousReservationIds"].clone())
    });
    let event = |name: &str, before| (name.to_owned(), json!([reservation(before)]));
    let expected = [event("BookingMoved", 1), event("BookingCancelled", 2)];
    assert_eq!(named.collect::<Vec<_>>(), expected);
}

fn a_dose_that_was_left_is_neither_orphaned_nor_booked(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[create(1, None), move_booking(1, 1, 7)]);
    let queries = store.queries();
    let both = [1, 7].map(reservation).to_vec();
    let orphaned = store.database.block_on(queries.orphaned(both.clone())).unwrap();
    assert_eq!(orphaned, []);
    let unbooked = store.database.block_on(queries.unbooked(both)).unwrap();
    assert_eq!(unbooked, [reservation(1)]);
    store.apply(&[resolve(1), resolve(7)]);
    let types = store.event_types();
    assert_eq!(types[2..], ["ReservationAborted", "BookingMoved"], "both are published again");
}

fn a_person_has_as_many_live_bookings_as_may_be_after_reopening_too(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[1, 2, 3].map(|number| create(number, None)));
    // Two are allowed, see `move_booking`.
    store.apply(&[move_booking(1, 1, 101), move_booking(2, 2, 102)]);
    let mut store = store.reopened_with(&[]);
    let refused = store.apply(&[move_booking(3, 3, 103)]);
    assert_eq!(refused, [Reply::Move(MoveReply::AlreadyBooked)]);
    store.apply(&[cancel(1)]);
    let mut store = store.reopened_with(&[]);
    let replies = store.apply(&[move_booking(3, 3, 103), complete(101)]);
    let Reply::Move(MoveReply::Moved(record)) = &replies[0] else { panic!("{replies:?}") };
    assert_eq!(record.campaign_dose.unwrap().nth, 0);
    assert_eq!(&stored(&store, 3), record);
}
