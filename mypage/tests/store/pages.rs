//! Lists grow at their end; each of their pages begins at a known place, and costs the same.

use contracts::ids::UserId;
use mypage::{
    domain::Command,
    store::{MIGRATIONS, page, page_of_user},
};
use storage::{sql::Value, writer::StoreError};

use super::{Mypage, MypageStatus, Place, Shelf, Uuid, booked, on_both, said, shown, steps::steps};

on_both!(
    a_page_begins_after_the_views_before_it,
    a_citizen_has_pages_of_their_own,
    citizens_of_one_batch_are_counted_apart,
    pages_side_by_side_are_the_list,
    what_comes_later_is_on_later_pages,
    views_of_an_older_version_are_listed_by_their_bookings,
);

/// Views in a long list; a page of it is one of hundreds.
const MANY: u32 = 4_000;

fn all(file: &Shelf, offset: u64, limit: u32) -> (Vec<i64>, u64) {
    let (some, total) = file.place.wait(file.reads.all(offset, limit)).unwrap();
    (bookings(&some), total)
}

fn of_user(file: &Shelf, user: i64, offset: u64, limit: u32) -> (Vec<i64>, u64) {
    let found = file.place.wait(file.reads.of_user(UserId(user), offset, limit));
    let (some, total) = found.unwrap();
    (bookings(&some), total)
}

fn bookings(some: &[Mypage]) -> Vec<i64> {
    some.iter().map(|one| one.book_id.0).collect()
}

fn a_page_begins_after_the_views_before_it(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    file.ask(&[5, 3, 1, 4, 2].map(booked));
    for (offset, limit, expected) in [
        (0, 2, vec![5, 3]),
        (2, 2, vec![1, 4]),
        (4, 2, vec![2]),
        (5, 2, vec![]),
        (u64::MAX, u32::MAX, vec![]),
    ] {
        assert_eq!(all(&file, offset, limit), (expected, 5), "{offset} {limit}");
    }
}

fn a_citizen_has_pages_of_their_own(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    file.ask(&[7, 5, 4, 3, 2, 1].map(booked));
    for (user, offset, limit, expected, of) in [
        (1, 0, 9, vec![7, 4, 1], 3),
        (1, 0, 2, vec![7, 4], 3),
        (1, 2, 2, vec![1], 3),
        (0, 0, 9, vec![3], 1),
        (9, 0, 9, vec![], 0),
        (1, u64::MAX, u32::MAX, vec![], 3),
    ] {
        let found = of_user(&file, user, offset, limit);
        assert_eq!(found, (expected, of), "user {user}, {offset} {limit}");
    }
}

fn citizens_of_one_batch_are_counted_apart(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    for round in 0..3_u8 {
        let of_citizen = |citizen: u8| {
            let mut command = booked(30 * round + citizen);
            command.view.user = UserId(citizen.into());
            command
        };
        file.ask(&(0..21 + round).map(of_citizen).collect::<Vec<_>>());
    }
    for citizen in 0..21 {
        let expected = (vec![citizen, 30 + citizen, 60 + citizen], 3);
        assert_eq!(of_user(&file, citizen, 0, 9), expected, "of {citizen}");
    }
    assert_eq!(of_user(&file, 22, 0, 9), (vec![82], 1));
}

fn pages_side_by_side_are_the_list(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    // Up and down, in batches of their own, some twice and some with news.
    for first in (1..=90_u8).rev().step_by(15) {
        let batch: Vec<_> = (first.saturating_sub(14)..=first).map(booked).collect();
        file.ask(&batch);
        file.ask(&[said(first, MypageStatus::BookingCancelled), booked(first)]);
    }
    let heard: Vec<i64> =
        (1..=90_i64).rev().step_by(15).flat_map(|first| first - 14..=first).collect();
    let of_1: Vec<i64> = heard.iter().copied().filter(|booking| booking % 3 == 1).collect();
    for size in [1, 7, 30, 100] {
        let offsets = || (0..100_u64).step_by(usize::try_from(size).unwrap());
        let side_by_side: Vec<_> =
            offsets().flat_map(|offset| all(&file, offset, size).0).collect();
        assert_eq!(side_by_side, heard, "pages of {size}");
        let side_by_side: Vec<_> =
            offsets().flat_map(|offset| of_user(&file, 1, offset, size).0).collect();
        assert_eq!(side_by_side, of_1, "pages of {size} of one citizen");
    }
    assert_eq!((all(&file, 0, 1).1, of_user(&file, 1, 0, 1).1), (90, 30));
}

/// Whoever turns the pages while bookings come in misses none and sees none twice.
fn what_comes_later_is_on_later_pages(new: fn() -> Place) {
    let mut file = Shelf::new(new());
    file.ask(&[40, 43, 46].map(booked));
    file.ask(&[1, 4].map(booked));
    assert_eq!(all(&file, 0, 3), (vec![40, 43, 46], 5));
    assert_eq!(of_user(&file, 1, 0, 3), (vec![40, 43, 46], 5));
    file.ask(&[said(43, MypageStatus::BookingCancelled)]);
    assert_eq!(all(&file, 0, 3), (vec![40, 43, 46], 5));
    assert_eq!(of_user(&file, 1, 3, 3), (vec![1, 4], 5));
}

fn views_of_an_older_version_are_listed_by_their_bookings(new: fn() -> Place) {
    let place = new();
    let (mut writable, _) = place.open("mypage", &MIGRATIONS[..1]).unwrap();
    let kept: Result<(), StoreError> = writable.transaction(|tx| {
        for booking in [3, 1, 4, 2] {
            let Command { reservation, view } = booked(booking);
            let row = [
                reservation.0.into(),
                view.booking.0.into(),
                view.vaccine_name.as_str().into(),
                view.user.0.into(),
                Value::Int(view.as_of.as_millisecond()),
            ];
            tx.execute(
                "INSERT INTO views
                        (reservation, booking, vaccine, vaccine_name, user_id, status, as_of_ms)
                 VALUES (?1, ?2, 1, ?3, ?4, 0, ?5)",
                &row,
            )?;
        }
        Ok(())
    });
    kept.unwrap();
    drop(writable);

    let mut file = Shelf::new(place);
    assert_eq!(file.all(), ([1, 2, 3, 4].map(|booking| shown(booked(booking))).to_vec(), 4));
    file.ask(&[booked(2), booked(0), booked(7)]);
    assert_eq!(all(&file, 0, 9), (vec![1, 2, 3, 4, 0, 7], 6));
    assert_eq!(of_user(&file, 1, 0, 9), (vec![1, 4, 7], 3));
}

/// A list of as many views, all of one citizen.
fn list(many: u32) -> Place {
    let mut file = Shelf::new(Place::sqlite());
    let view = |number: u32| {
        let mut command = booked(0);
        command.reservation.0 = Uuid::from_u128(number.into());
        command
    };
    file.ask(&(0..many).map(view).collect::<Vec<_>>());
    file.close()
}

#[test]
fn a_page_costs_the_same_at_any_depth_of_a_list_of_any_length() {
    let (short, long) = (list(40), list(MANY));
    let of_all = |place, offset| steps(place, |tx| page(tx, offset, 20));
    let of_user = |place, offset| steps(place, |tx| page_of_user(tx, UserId(0), offset, 20));
    let limits = (of_all(&short, 0) + 20, of_user(&short, 0) + 20);
    for offset in [0, MANY / 2, MANY - 20].map(u64::from) {
        let costs = (of_all(&long, offset), of_user(&long, offset));
        assert!(costs.0 <= limits.0 && costs.1 <= limits.1, "from {offset}: {costs:?}, {limits:?}");
    }
}
