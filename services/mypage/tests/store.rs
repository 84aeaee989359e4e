//! The store holds what the events say about bookings, and deletes it on demand.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use contracts::{
    booking::BookingStatus,
    ids::{BookingId, ReservationId, UserId, VaccineId},
    mypage::Mypage,
};
use jiff::Timestamp;
use mypage::{
    domain::{Command, Views},
    store::{MIGRATIONS, Queries, all, delete_all},
};
use platform_store::{PageRange, PageStart, consumer};
use proptest::{collection::vec, prelude::*};
use testkit::{TestDatabase, TestStore, on_both_databases};
use uuid::Uuid;

#[path = "store/deliveries.rs"]
mod deliveries;
#[path = "store/pages.rs"]
mod pages;

on_both_databases!(
    views_are_still_there_after_reopening,
    a_view_causes_no_event,
    a_booking_is_found_by_its_number,
    after_a_deletion_all_events_are_consumed_again,
);

const SOURCE: Uuid = Uuid::from_u128(1 << 100);

fn open(database: TestDatabase) -> TestStore<Views> {
    TestStore::open(database, "mypage", MIGRATIONS)
}

fn at(second: u8) -> Timestamp {
    Timestamp::from_second(second.into()).unwrap()
}

/// An event of a booking; every third booking is of user 0, and so on.
fn event(booking: u8, status: BookingStatus) -> Command {
    Command {
        reservation: ReservationId(Uuid::from_u128(booking.into())),
        view: Mypage {
            book_id: BookingId(booking.into()),
            vaccine_id: VaccineId(1),
            vc_name: format!("FIZER {booking}"),
            user_id: UserId(i64::from(booking) % 3),
            status,
            as_of: at(booking),
        },
    }
}

fn booked(booking: u8) -> Command {
    event(booking, BookingStatus::Booked)
}

/// All views with their numbers, and how many there are.
fn views(store: &TestStore<Views>) -> (Vec<(i64, Mypage)>, Option<u64>) {
    let list = store.read(|tx| all(tx, PageRange { start: PageStart::Offset(0), size: 1_000 }));
    (list.rows.items, list.total)
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    use BookingStatus::{Booked, BookingCancelled, InjectionCompleted};
    let status = proptest::sample::select(&[Booked, BookingCancelled, InjectionCompleted]);
    let command = (0..6_u8, status, 0..9_u8).prop_map(|(booking, status, second)| {
        let mut command = event(booking, status);
        command.view.as_of = at(second);
        command
    });
    vec(command, 0..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_batch_has_the_effect_of_its_commands_one_by_one(commands in commands()) {
        let (mut batched, mut single) =
            (open(TestDatabase::sqlite()), open(TestDatabase::sqlite()));
        batched.submit(&commands);
        for command in &commands {
            single.submit(std::slice::from_ref(command));
        }
        prop_assert_eq!(views(&batched), views(&single));
    }
}

fn views_are_still_there_after_reopening(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let cancelled = event(2, BookingStatus::BookingCancelled);
    let completed = event(3, BookingStatus::InjectionCompleted);
    store.submit(&[booked(1), booked(2), cancelled.clone(), completed.clone()]);
    let expected = vec![(1, booked(1).view), (2, cancelled.view), (3, completed.view)];
    assert_eq!(views(&store), (expected.clone(), Some(3)));
    let mut store = open(store.close());
    assert_eq!(views(&store), (expected.clone(), Some(3)));
    store.submit(&[booked(3)]);
    assert_eq!(views(&store), (expected, Some(3)));
}

fn a_view_causes_no_event(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[booked(1), event(1, BookingStatus::InjectionCompleted)]);
    assert_eq!(store.outbox(), []);
}

/// With several booking stores a number may belong to several bookings.
fn a_booking_is_found_by_its_number(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let mut of_another_store = event(2, BookingStatus::BookingCancelled);
    of_another_store.reservation.0 = Uuid::from_u128(1 << 64);
    store.submit(&[booked(1), booked(2), of_another_store]);
    let queries = Queries(store.reads());
    let find = |booking| store.database.block_on(queries.of_booking(BookingId(booking)));
    assert_eq!(find(2), Ok(Some(booked(2).view)));
    assert_eq!(find(3), Ok(None));
}

fn after_a_deletion_all_events_are_consumed_again(new: fn() -> TestDatabase) {
    let mut store = open(new());
    assert_eq!((store.consume(SOURCE, 1, booked(1)), store.consume(SOURCE, 2, booked(2))), (1, 2));
    let before = views(&store);

    let database = store.close();
    let (mut connection, _) = database.open("mypage", MIGRATIONS).unwrap();
    delete_all(&mut connection).unwrap();
    drop(connection);

    let mut store = open(database);
    assert_eq!(views(&store), (vec![], Some(0)));
    assert_eq!(store.read(|tx| consumer::offset(tx, SOURCE)), 0.into());
    assert_eq!(store.consume(SOURCE, 2, booked(2)), 0);
    assert_eq!((store.consume(SOURCE, 1, booked(1)), store.consume(SOURCE, 2, booked(2))), (1, 2));
    assert_eq!(views(&store), before);
}
