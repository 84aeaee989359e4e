//! Repeated and shuffled events result in the rows of one delivery in order.

use contracts::{event::CloudEvent, ids::StoreId};
use injection::{domain::Appointments, store::MIGRATIONS};
use platform_store::{SqlError, Tx};
use proptest::{collection::vec, prelude::*, sample::select};
use testkit::deliveries::{
    EventKind, Unnumbered, assert_each_event_is_applied_once_in_order, deliveries, numbered,
};
use uuid::Uuid;

/// A booking store, and an injection desk whose events do not concern this one.
const BOOKING: StoreId = StoreId(Uuid::from_u128(1 << 100));
const DESK: StoreId = StoreId(Uuid::from_u128(2 << 100));

const ROWS: &str = "
    SELECT id, reservation, booking, vaccine, user_id, status, moves, dose
      FROM injections
  ORDER BY id";

type Row = ([Uuid; 2], [i64; 6]);

fn rows(tx: &Tx<'_>) -> Result<Vec<Row>, SqlError> {
    tx.all(ROWS, &[], |row| {
        let [id, status, moves] = [row.int(0)?, row.int(5)?, row.int(6)?];
        let numbers = [id, row.int(2)?, row.int(3)?, row.int(4)?, status, moves];
        Ok(([row.uuid(1)?, row.uuid(7)?], numbers))
    })
}

/// Few bookings, so that the events meet.
fn events(kinds: &'static [EventKind]) -> impl Strategy<Value = Vec<Unnumbered>> {
    vec((0..5_u8, select(kinds)).prop_map(|(booking, kind)| kind.event(booking, 0)), 0..10)
}

fn published() -> impl Strategy<Value = Vec<CloudEvent>> {
    use EventKind::{Booked, Cancelled, Completed, Malformed, Moved, OfANewerVersion};
    let bookings = events(&[Booked, Booked, Moved, Cancelled, OfANewerVersion, Malformed]);
    (bookings, events(&[Completed])).prop_map(|(bookings, injections)| {
        numbered(BOOKING, bookings).chain(numbered(DESK, injections)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn repeated_and_shuffled_events_result_in_the_same_appointments(
        deliveries in deliveries(published()),
    ) {
        assert_each_event_is_applied_once_in_order::<Appointments, _>(
            "injection", MIGRATIONS, rows, &deliveries,
        );
    }
}
