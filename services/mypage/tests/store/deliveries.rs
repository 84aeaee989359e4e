//! Repeated and shuffled events result in the rows of one delivery in order.

use contracts::{event::CloudEvent, ids::StoreId};
use mypage::{domain::Views, store::MIGRATIONS};
use platform_store::{SqlError, Tx};
use proptest::{collection::vec, prelude::*, sample::select};
use testkit::deliveries::{
    EventKind, Unnumbered, assert_each_event_is_applied_once_in_order, deliveries, numbered,
};
use uuid::Uuid;

/// A booking store and an injection desk.
const BOOKING: StoreId = StoreId(Uuid::from_u128(1 << 100));
const DESK: StoreId = StoreId(Uuid::from_u128(2 << 100));

/// By reservation: the order in which views are created depends on the order of deliveries.
const ROWS: &str = "
    SELECT reservation, booking, vaccine, vaccine_name, user_id, status, as_of_ms
      FROM views
  ORDER BY reservation";

type Row = (Uuid, String, [i64; 5]);

fn rows(tx: &Tx<'_>) -> Result<Vec<Row>, SqlError> {
    tx.all(ROWS, &[], |row| {
        let numbers = [row.int(1)?, row.int(2)?, row.int(4)?, row.int(5)?, row.int(6)?];
        Ok((row.uuid(0)?, row.text(3)?.to_owned(), numbers))
    })
}

/// Few bookings, so that the events meet.
fn events(kinds: &'static [EventKind]) -> impl Strategy<Value = Vec<Unnumbered>> {
    let event = (0..5_u8, select(kinds), 0..9_u8)
        .prop_map(|(booking, kind, second)| kind.event(booking, second));
    vec(event, 0..10)
}

fn published() -> impl Strategy<Value = Vec<CloudEvent>> {
    use EventKind::{Booked, Cancelled, Completed, Malformed, Moved, OfANewerVersion};
    let bookings = events(&[Booked, Booked, Moved, Cancelled, OfANewerVersion, Malformed]);
    let injections = events(&[Completed, Completed, OfANewerVersion]);
    (bookings, injections).prop_map(|(bookings, injections)| {
        numbered(BOOKING, bookings).chain(numbered(DESK, injections)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn repeated_and_shuffled_events_result_in_the_same_views(
        deliveries in deliveries(published()),
    ) {
        assert_each_event_is_applied_once_in_order::<Views, _>(
            "mypage", MIGRATIONS, rows, &deliveries,
        );
    }
}
