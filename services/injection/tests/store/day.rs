//! The appointments of a site are listed by their start, and a page costs the same at any cursor.

use contracts::{
    ids::{ReservationId, SiteId},
    injection::InjectionStatus,
};
use injection::{
    domain::{Appointments, BookedDose, Command},
    store::{SiteDay, of_site},
};
use platform_store::{
    PageRange, PageRows,
    PageStart::{self, After, Before, Offset, OffsetFromEnd},
};
use testkit::{TestDatabase, TestStore, on_both_databases, steps::steps};
use uuid::Uuid;

use super::{at, booked, call_off, check_in, commands::slot, complete, expect, mark_no_show, open};

on_both_databases!(
    appointments_of_a_site_are_listed_by_start_and_then_by_number,
    only_those_of_the_site_and_the_time_are_listed,
    the_pages_of_a_day_have_each_appointment_once,
    a_day_can_be_narrowed_to_a_status,
);

/// Appointments of a long day; a page of it is one of hundreds.
const MANY: u32 = 4_000;

/// Steps for those that start at the same time as the cursor: SQLite begins with the first of them.
const SAME_START: i32 = 100;

/// A booking of a slot of a site that starts in that minute.
fn at_site(number: u32, site: i64, minute: i64) -> Command {
    let reservation = ReservationId(Uuid::from_u128(number.into()));
    Command::Expect(BookedDose { reservation, slot: Some(slot(site, minute)), ..booked(0) })
}

/// Site 1, from one minute to before another.
fn day(from: i64, to: i64) -> SiteDay {
    SiteDay { site: SiteId(1), from: at(from * 60), to: at(to * 60), status: None }
}

fn page(
    store: &TestStore<Appointments>,
    day: SiteDay,
    start: PageStart,
    size: u32,
) -> PageRows<i64> {
    let list = store.read(move |tx| of_site(tx, &day, PageRange { start, size }));
    assert_eq!(list.total, None);
    let PageRows { items, has_previous, has_next } = list.rows;
    let items = items.into_iter().map(|(key, known)| (key, known.injection_id.0)).collect();
    PageRows { items, has_previous, has_next }
}

fn numbers(rows: &PageRows<i64>) -> Vec<i64> {
    rows.items.iter().map(|(_, number)| *number).collect()
}

fn all(store: &TestStore<Appointments>, day: SiteDay) -> Vec<i64> {
    numbers(&page(store, day, Offset(0), 1_000))
}

fn appointments_of_a_site_are_listed_by_start_and_then_by_number(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[at_site(1, 1, 30), at_site(2, 1, 10), at_site(3, 1, 20), at_site(4, 1, 10)]);
    assert_eq!(all(&store, day(0, 60)), [2, 4, 3, 1]);
}

fn only_those_of_the_site_and_the_time_are_listed(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let other_site = at_site(5, 2, 10);
    store.submit(&[at_site(1, 1, 9), at_site(2, 1, 10), at_site(3, 1, 19), at_site(4, 1, 20)]);
    store.submit(&[other_site, expect(0)]);
    assert_eq!(all(&store, day(10, 20)), [2, 3]);
    assert_eq!(all(&store, SiteDay { site: SiteId(2), ..day(0, 60) }), [5]);
    assert_eq!(all(&store, SiteDay { site: SiteId(3), ..day(0, 60) }), [0; 0]);
    let beyond = page(&store, day(10, 20), Before(i64::MAX), 9);
    assert_eq!(numbers(&beyond), [2, 3], "no cursor leads out of the day");
}

fn the_pages_of_a_day_have_each_appointment_once(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let commands: Vec<_> =
        (1..=7).map(|number| at_site(number, 1, i64::from(number % 3))).collect();
    store.submit(&commands);
    let in_order = [3, 6, 1, 4, 7, 2, 5];
    let mut found = page(&store, day(0, 60), Offset(0), 2);
    let mut forward = numbers(&found);
    while found.has_next {
        found = page(&store, day(0, 60), After(found.items.last().unwrap().0), 2);
        forward.extend(numbers(&found));
        assert!(forward.len() <= in_order.len(), "{forward:?}");
    }
    assert_eq!(forward, in_order);
    let mut found = page(&store, day(0, 60), OffsetFromEnd(0), 2);
    let mut pages = vec![numbers(&found)];
    while found.has_previous {
        found = page(&store, day(0, 60), Before(found.items[0].0), 2);
        pages.push(numbers(&found));
        assert!(pages.len() <= in_order.len(), "{pages:?}");
    }
    pages.reverse();
    assert_eq!(pages.concat(), in_order);
}

fn a_day_can_be_narrowed_to_a_status(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[expect(1), expect(3), expect(5), complete(1), call_off(3)]);
    store.submit(&[expect(7), check_in(4), expect(9), mark_no_show(5)]);
    for (status, expected) in [
        (InjectionStatus::InjectionReady, [3]),
        (InjectionStatus::InjectionCompleted, [1]),
        (InjectionStatus::InjectionCancelled, [2]),
        (InjectionStatus::CheckedIn, [4]),
        (InjectionStatus::NoShow, [5]),
    ] {
        let narrowed = SiteDay { status: Some(status), ..day(0, 60) };
        for start in [Offset(0), OffsetFromEnd(0)] {
            assert_eq!(numbers(&page(&store, narrowed, start, 9)), expected, "{status:?}");
        }
    }
}

/// A day of so many appointments, ten in a minute.
fn day_of(count: u32) -> TestDatabase {
    let mut store = open(TestDatabase::sqlite());
    let commands: Vec<_> = (0..count).map(|n| at_site(n, 1, i64::from(n / 10))).collect();
    store.submit(&commands);
    store.close()
}

#[test]
fn a_page_of_a_day_costs_the_same_at_any_cursor_of_a_day_of_any_length() {
    let (short, long) = (day_of(40), open(day_of(MANY)));
    let whole = day(0, i64::from(MANY));
    let cursors = [0, MANY / 2, MANY - 30].map(|skip| {
        let found = page(&long, whole, Offset(skip.into()), 30).items;
        (found[0].0, found[29].0)
    });
    let long = long.close();
    let cost =
        |database, start| steps(database, |tx| of_site(tx, &whole, PageRange { start, size: 20 }));
    let (after, before) = (cost(&short, After(0)), cost(&short, Before(i64::MAX)));
    for (first, last) in cursors {
        for (start, limit) in [(After(first), after), (Before(last), before)] {
            let cost = cost(&long, start);
            assert!(cost <= limit + SAME_START, "{start:?}: {cost}, {limit}");
        }
    }
}
