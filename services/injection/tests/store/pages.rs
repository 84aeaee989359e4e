//! Lists are ordered by number, and a page costs the same at any cursor.

use contracts::{
    ids::{BookingId, InjectionId, ReservationId, UserId},
    injection::Cancellation,
};
use injection::{
    domain::{BookedDose, Command},
    store::{Queries, cancellations, injections, of_booking},
};
use platform_store::{
    PageRange,
    PageStart::{After, Before, Offset},
};
use testkit::{TestDatabase, on_both_databases, steps::steps};
use uuid::Uuid;

use super::{booked, call_off, complete, expect, open};

on_both_databases!(a_page_begins_at_an_offset_or_a_cursor, cancellations_are_listed_by_number,);

/// Appointments in a long list; a page of it is one of hundreds.
const MANY: u32 = 4_000;

fn keys<T>(items: Vec<(i64, T)>) -> Vec<i64> {
    items.into_iter().map(|(key, _)| key).collect()
}

fn a_page_begins_at_an_offset_or_a_cursor(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&(1..=5).map(expect).collect::<Vec<_>>());
    for (start, size, expected) in [
        (Offset(0), 2, vec![1, 2]),
        (Offset(2), 2, vec![3, 4]),
        (Offset(4), 2, vec![5]),
        (Offset(5), 2, vec![]),
        (After(2), 2, vec![3, 4]),
        (After(5), 2, vec![]),
        (Before(4), 2, vec![2, 3]),
        (Before(i64::MAX), 2, vec![4, 5]),
    ] {
        let list = store.read(move |tx| injections(tx, PageRange { start, size }));
        assert_eq!((keys(list.rows.items), list.total), (expected, Some(5)), "{start:?} {size}");
    }
}

fn cancellations_are_listed_by_number(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[expect(1), expect(2), expect(3), call_off(9), call_off(2), complete(3)]);
    store.submit(&[call_off(1), call_off(9), call_off(3)]);
    for (start, size, expected) in [
        (Offset(0), 9, vec![1, 2, 4]),
        (Offset(1), 9, vec![2, 4]),
        (Offset(0), 1, vec![1]),
        (Offset(3), 1, vec![]),
        (After(2), 9, vec![4]),
        (Before(4), 1, vec![2]),
    ] {
        let list = store.read(move |tx| cancellations(tx, PageRange { start, size }));
        assert_eq!((keys(list.rows.items), list.total), (expected, None), "{start:?} {size}");
    }
    let queries = Queries(store.reads());
    let find = |id| store.database.block_on(queries.cancellation(InjectionId(id))).unwrap();
    let BookedDose { booking, vaccine, user, .. } = booked(2);
    assert_eq!((booking, user), (BookingId(2), UserId(102)));
    let expected = Cancellation { booking_id: booking, vaccine_id: vaccine, user_id: user };
    assert_eq!(find(2), Some(expected));
    for other in [0, 3, 5] {
        assert_eq!(find(other), None, "{other}");
    }
}

/// A list of so many appointments of one booking number, all cancelled.
fn list_of(count: u32) -> TestDatabase {
    let mut store = open(TestDatabase::sqlite());
    let call_off = |number: u32| {
        let reservation = ReservationId(Uuid::from_u128(number.into()));
        Command::CallOff(BookedDose { reservation, ..booked(0) })
    };
    store.submit(&(0..count).map(call_off).collect::<Vec<_>>());
    store.close()
}

#[test]
fn a_page_costs_the_same_at_any_cursor_of_a_list_of_any_length() {
    let (short, long) = (list_of(40), list_of(MANY));
    let costs = |database, start| {
        let range = PageRange { start, size: 20 };
        [
            steps(database, |tx| injections(tx, range)),
            steps(database, |tx| cancellations(tx, range)),
            steps(database, |tx| of_booking(tx, BookingId(0), range)),
        ]
    };
    let (after, before) = (costs(&short, After(0)), costs(&short, Before(i64::MAX)));
    for key in [0, MANY / 2, MANY - 20].map(i64::from) {
        for (start, limits) in [(After(key), after), (Before(key + 21), before)] {
            let costs = costs(&long, start);
            let within = costs.iter().zip(limits).all(|(cost, limit)| *cost <= limit + 20);
            assert!(within, "{start:?}: {costs:?}, {limits:?}");
        }
    }
}
