//! Repeated and shuffled events result in the rows of one delivery in order.

use contracts::{event::CloudEvent, ids::StoreId};
use mypage::{domain::Views, store::MIGRATIONS};
use platform_store::{SqlError, Tx};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::json;
use testkit::deliveries::{
    EventKind, Unnumbered, assert_each_event_is_applied_once_in_order, deliveries, numbered,
};
use uuid::Uuid;

/// A booking store, an injection desk, and a store of campaigns.
const BOOKING: StoreId = StoreId(Uuid::from_u128(1 << 100));
const DESK: StoreId = StoreId(Uuid::from_u128(2 << 100));
const CAMPAIGN: StoreId = StoreId(Uuid::from_u128(3 << 100));

/// By reservation: the order in which views are created depends on the order of deliveries.
const ROWS: &str = "
    SELECT reservation, booking, vaccine, vaccine_name, user_id, status, as_of_ms,
           moves, coalesce(slot, 0), slot_as_of_ms, coalesce(since_ms, 0), coalesce(place, '')
      FROM views
 LEFT JOIN sites ON sites.id = views.site
  ORDER BY reservation";

type Row = (Uuid, String, [i64; 9], String);

fn rows(tx: &Tx<'_>) -> Result<Vec<Row>, SqlError> {
    tx.all(ROWS, &[], |row| {
        let mut numbers = [0; 9];
        for (number, column) in numbers.iter_mut().zip([1, 2, 4, 5, 6, 7, 8, 9, 10]) {
            *number = row.int(column)?;
        }
        Ok((row.uuid(0)?, row.text(3)?.to_owned(), numbers, row.text(11)?.to_owned()))
    })
}

/// Few bookings, so that the events meet.
fn events(kinds: &'static [EventKind]) -> impl Strategy<Value = Vec<Unnumbered>> {
    let event = (0..5_u8, select(kinds), 0..9_u8)
        .prop_map(|(booking, kind, second)| at_slot(kind.event(booking, second)));
    vec(event, 0..10)
}

/// The event, with the slot of its second.
fn at_slot((name, mut data, second): Unnumbered) -> Unnumbered {
    data["slotId"] = json!(second);
    data["siteId"] = json!(second % 2);
    data["startsAt"] = json!("2026-12-01T00:30:00Z");
    (name, data, second)
}

/// Events of two sites.
fn sites() -> impl Strategy<Value = Vec<Unnumbered>> {
    let event = (0..2_u8, 0..9_u8).prop_map(|(site, second)| {
        let place = json!({
            "siteId": site, "name": {"ko": "강남구 보건소"}, "phone": second.to_string(),
            "address": {"line": "1 Teheran-ro", "city": "Seoul", "region": "KR-11"},
            "timeZone": "Asia/Seoul",
        });
        ("SiteChanged", place, second)
    });
    vec(event, 0..10)
}

fn published() -> impl Strategy<Value = Vec<CloudEvent>> {
    use EventKind::{Booked, Cancelled, Completed, Malformed, Moved, OfANewerVersion};
    let bookings = events(&[Booked, Booked, Moved, Cancelled, OfANewerVersion, Malformed]);
    let injections = events(&[Completed, Completed, OfANewerVersion]);
    (bookings, injections, sites()).prop_map(|(bookings, injections, sites)| {
        let bookings = numbered(BOOKING, bookings).chain(numbered(DESK, injections));
        bookings.chain(numbered(CAMPAIGN, sites)).collect()
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
