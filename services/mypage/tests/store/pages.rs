//! Lists grow at their end, and a page costs the same at any cursor.

use contracts::{
    booking::BookingStatus,
    ids::{BookingId, UserId},
    mypage::Mypage,
};
use mypage::{
    domain::{Command, Views},
    store::{Queries, all, of_user},
};
use platform_rest::hal::List;
use platform_store::{
    PageRange,
    PageStart::{self, After, Before, Offset, OffsetFromEnd},
};
use testkit::{TestDatabase, TestStore, on_both_databases, steps::steps};
use uuid::Uuid;

use super::{at, booked, event, open, update};

on_both_databases!(
    a_page_begins_at_an_offset_or_a_cursor,
    a_citizen_has_a_list_of_their_own,
    pages_side_by_side_are_the_list,
    later_views_are_on_later_pages,
);

/// Views in a long list; a page of it is one of hundreds.
const MANY: u32 = 4_000;

/// The bookings on a page, and how many items the list has.
fn page(store: &TestStore<Views>, start: PageStart, size: u32) -> (Vec<i64>, Option<u64>) {
    let list = list(store, None, PageRange { start, size });
    (bookings(&list), list.total)
}

fn page_of_user(store: &TestStore<Views>, user: i64, start: PageStart, size: u32) -> Vec<i64> {
    let list = list(store, Some(user), PageRange { start, size });
    assert_eq!(list.total, None);
    bookings(&list)
}

/// A page of all views, or of those of a citizen.
fn list(store: &TestStore<Views>, user: Option<i64>, range: PageRange) -> List<Mypage> {
    let queries = Queries(store.reads());
    let list = match user {
        None => store.database.block_on(queries.all(range)),
        Some(user) => store.database.block_on(queries.of_user(UserId(user), range)),
    };
    list.unwrap()
}

fn bookings(list: &List<Mypage>) -> Vec<i64> {
    list.rows.items.iter().map(|(_, Mypage { book_id: BookingId(id), .. })| *id).collect()
}

fn a_page_begins_at_an_offset_or_a_cursor(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[5, 3, 1, 4, 2].map(booked));
    for (start, size, expected) in [
        (Offset(0), 2, vec![5, 3]),
        (Offset(2), 2, vec![1, 4]),
        (Offset(4), 2, vec![2]),
        (Offset(5), 2, vec![]),
        (After(2), 2, vec![1, 4]),
        (After(5), 2, vec![]),
        (Before(3), 9, vec![5, 3]),
        (Before(i64::MAX), 2, vec![4, 2]),
        (OffsetFromEnd(0), 2, vec![4, 2]),
        (OffsetFromEnd(3), 9, vec![5, 3]),
        (OffsetFromEnd(5), 2, vec![]),
    ] {
        assert_eq!(page(&store, start, size), (expected, Some(5)), "{start:?} {size}");
    }
}

fn a_citizen_has_a_list_of_their_own(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[7, 5, 4, 3, 2, 1].map(booked));
    for (user, start, size, expected) in [
        (1, Offset(0), 9, vec![7, 4, 1]),
        (1, Offset(0), 2, vec![7, 4]),
        (1, Offset(2), 2, vec![1]),
        (1, After(3), 2, vec![1]),
        (1, Before(6), 2, vec![7, 4]),
        (1, OffsetFromEnd(1), 2, vec![7, 4]),
        (0, Offset(0), 9, vec![3]),
        (9, Offset(0), 9, vec![]),
    ] {
        let found = page_of_user(&store, user, start, size);
        assert_eq!(found, expected, "user {user}, {start:?} {size}");
    }
}

/// The bookings of a whole list, read page by page along its cursors.
fn all_pages(store: &TestStore<Views>, user: Option<i64>, size: u32) -> Vec<i64> {
    let (mut start, mut found) = (Offset(0), Vec::new());
    loop {
        let page = list(store, user, PageRange { start, size });
        found.extend(bookings(&page));
        match page.rows.items.last() {
            Some((key, _)) if page.rows.has_next => start = After(*key),
            Some(_) | None => return found,
        }
    }
}

fn pages_side_by_side_are_the_list(new: fn() -> TestDatabase) {
    let mut store = open(new());
    // In several batches, some bookings twice and some with another status.
    for first in (1..=90_u8).rev().step_by(15) {
        let batch: Vec<_> = (first.saturating_sub(14)..=first).map(booked).collect();
        store.submit(&batch);
        store.submit(&[event(first, BookingStatus::BookingCancelled), booked(first)]);
    }
    let expected: Vec<i64> =
        (1..=90_i64).rev().step_by(15).flat_map(|first| first - 14..=first).collect();
    let of_user: Vec<i64> = expected.iter().copied().filter(|booking| booking % 3 == 1).collect();
    for size in [1, 7, 30, 100] {
        assert_eq!(all_pages(&store, None, size), expected, "pages of {size}");
        assert_eq!(all_pages(&store, Some(1), size), of_user, "pages of {size} of a citizen");
    }
    assert_eq!(page(&store, Offset(0), 1).1, Some(90));
}

/// A reader who follows the links while bookings are made misses none and sees none twice.
fn later_views_are_on_later_pages(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[40, 43, 46].map(booked));
    store.submit(&[1, 4].map(booked));
    assert_eq!(page(&store, Offset(0), 3).0, [40, 43, 46]);
    assert_eq!(page_of_user(&store, 1, Offset(0), 3), [40, 43, 46]);
    store.submit(&[event(43, BookingStatus::BookingCancelled)]);
    assert_eq!(page(&store, Offset(0), 3).0, [40, 43, 46]);
    assert_eq!(page_of_user(&store, 1, After(3), 3), [1, 4]);
}

/// A list of so many views of one citizen.
fn list_of(count: u32) -> TestDatabase {
    let mut store = open(TestDatabase::sqlite());
    let view = |number: u32| {
        let mut update = update(0, BookingStatus::Booked, at(0));
        update.reservation.0 = Uuid::from_u128(number.into());
        Command::UpdateView(update)
    };
    store.submit(&(0..count).map(view).collect::<Vec<_>>());
    store.close()
}

#[test]
fn a_page_costs_the_same_at_any_cursor_of_a_list_of_any_length() {
    let (short, long) = (list_of(40), list_of(MANY));
    let of_all = |database, start| steps(database, |tx| all(tx, PageRange { start, size: 20 }));
    let of_citizen = |database, start| {
        steps(database, |tx| of_user(tx, UserId(0), PageRange { start, size: 20 }))
    };
    let limits = (of_all(&short, After(0)) + 20, of_citizen(&short, After(0)) + 20);
    for key in [0, MANY / 2, MANY - 20].map(i64::from) {
        for start in [After(key), Before(key + 21), OffsetFromEnd(0)] {
            let costs = (of_all(&long, start), of_citizen(&long, start));
            assert!(costs.0 <= limits.0 && costs.1 <= limits.1, "{start:?}: {costs:?}, {limits:?}");
        }
    }
}
