//! The store holds what was decided, with the events of the same commit.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use contracts::{
    event::InjectionCompleted,
    ids::{BookingId, InjectionId, ReservationId},
    injection::{
        BodySite, Injection, InjectionRecord,
        InjectionStatus::{self, CheckedIn, InjectionReady, NoShow},
    },
};
use injection::{
    domain::{
        Appointments, BookedDose, CheckIn, CheckedRecord, Command, CompleteInjection, Completion,
        GivenRecord, MarkNoShow, Refusal, Reply, ReturnToReady,
    },
    events,
    store::{MIGRATIONS, injections, of_booking},
};
use jiff::Timestamp;
use platform_store::{
    AggregateStore, Notifier, OutboxEntry, PageRange, PageStart, database::open_in_memory,
};
use proptest::{collection::vec, prelude::*};
use testkit::{TestDatabase, TestStore, on_both_databases, store::submit};
use uuid::Uuid;

#[path = "fixture/commands.rs"]
mod commands;
#[path = "store/day.rs"]
mod day;
#[path = "store/deliveries.rs"]
mod deliveries;
#[path = "store/pages.rs"]
mod pages;

use commands::{booked, call_off, expect, expect_moved, moved};

on_both_databases!(
    a_check_in_and_a_no_show_are_still_there_after_reopening,
    a_record_is_stored_and_published_with_its_completion,
    only_a_completion_causes_an_event_and_only_once,
    appointments_are_still_there_after_reopening,
    a_snapshot_has_the_events_of_the_outbox,
    a_moved_booking_is_completed_with_the_dose_that_it_has,
    all_appointments_of_a_booking_number_are_found,
);

const WHOLE_LIST: PageRange = PageRange { start: PageStart::Offset(0), size: 1_000 };

fn open(database: TestDatabase) -> TestStore<Appointments> {
    TestStore::open(database, "injection", MIGRATIONS)
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn complete(injection: i64) -> Command {
    let (injection, at) = (InjectionId(injection), at(injection));
    Command::Complete(CompleteInjection { injection, record: None, at })
}

fn complete_with(injection: i64, given: GivenRecord) -> Command {
    let (injection, at) = (InjectionId(injection), at(injection));
    let record = CheckedRecord::parse(given).unwrap();
    Command::Complete(CompleteInjection { injection, record, at })
}

fn of_lot(lot: u8) -> GivenRecord {
    GivenRecord { lot_number: Some(lot.to_string()), ..GivenRecord::default() }
}

fn check_in(injection: i64) -> Command {
    Command::CheckIn(CheckIn { injection: InjectionId(injection), at: at(injection) })
}

fn mark_no_show(injection: i64) -> Command {
    Command::MarkNoShow(MarkNoShow { injection: InjectionId(injection), at: at(3_600) })
}

fn return_to_ready(injection: i64) -> Command {
    Command::ReturnToReady(ReturnToReady { injection: InjectionId(injection) })
}

fn injection(id: i64, booking: u8, status: InjectionStatus) -> Injection {
    let BookedDose { booking, vaccine, user, slot, .. } = booked(booking);
    Injection {
        injection_id: InjectionId(id),
        booking_id: booking,
        vaccine_id: vaccine,
        slot,
        user_id: user,
        status,
        checked_in_at: None,
        record: None,
    }
}

/// All appointments with their keys, and how many there are.
fn all(store: &TestStore<Appointments>) -> (Vec<(i64, Injection)>, Option<u64>) {
    let list = store.read(|tx| injections(tx, WHOLE_LIST));
    (list.rows.items, list.total)
}

/// The sequence number, the time and the data of an event.
type Published = (u64, i64, InjectionCompleted);

/// What the outbox must hold after these replies: each completion, and nothing else.
fn completions(commands: &[Command], replies: &[Reply]) -> Vec<Published> {
    let completed = commands.iter().zip(replies).filter_map(|pair| match pair {
        (
            Command::Complete(CompleteInjection { at, .. }),
            Reply::Completed(Ok(Completion::New(appointment))),
        ) => Some((at.as_millisecond(), used(appointment.booked, events::injection(appointment)))),
        (
            Command::Complete(_)
            | Command::Expect(_)
            | Command::CallOff(_)
            | Command::CheckIn(_)
            | Command::MarkNoShow(_)
            | Command::ReturnToReady(_),
            Reply::Completed(_)
            | Reply::Expected(_)
            | Reply::CalledOff(_)
            | Reply::CheckedIn(_)
            | Reply::MarkedNoShow(_)
            | Reply::ReturnedToReady(_),
        ) => None,
    });
    (1..)
        .zip(completed)
        .map(|(sequence, (at_ms, completed))| (sequence, at_ms, completed))
        .collect()
}

/// The dose of this booking was used.
fn used(booked: BookedDose, injection: Injection) -> InjectionCompleted {
    let first_reservation_id = (booked.moves > 0).then_some(booked.reservation);
    InjectionCompleted { reservation_id: booked.dose, first_reservation_id, injection }
}

fn completion(OutboxEntry { sequence, event }: OutboxEntry) -> Published {
    assert_eq!(event.r#type, "Completed");
    (sequence, event.at_ms, serde_json::from_str(&event.data).unwrap())
}

/// Few bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        3 => (0..6_u8).prop_map(expect),
        2 => (0..6_u8, 0..4_u8).prop_map(|(booking, moves)| expect_moved(booking, moves)),
        2 => (0..6_u8).prop_map(call_off),
        3 => (0..7_i64).prop_map(complete),
        2 => (0..7_i64, 0..2_u8).prop_map(|(id, lot)| complete_with(id, of_lot(lot))),
        2 => (0..7_i64).prop_map(check_in),
        2 => (0..7_i64).prop_map(mark_no_show),
        2 => (0..7_i64).prop_map(return_to_ready),
    ];
    vec(command, 0..16)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_batch_has_the_effect_of_its_commands_one_by_one(commands in commands()) {
        let (mut batched, mut single) =
            (open(TestDatabase::sqlite()), open(TestDatabase::sqlite()));
        let replies = batched.submit(&commands);
        let one_by_one: Vec<_> = commands
            .iter()
            .flat_map(|command| single.submit(std::slice::from_ref(command)))
            .collect();
        prop_assert_eq!(&replies, &one_by_one);
        let connection = open_in_memory(MIGRATIONS).unwrap();
        let mut in_memory = AggregateStore::<Appointments>::new(connection, Notifier::default());
        prop_assert_eq!(&submit(&mut in_memory, &commands), &replies);
        prop_assert_eq!(all(&batched), all(&single));
        let published: Vec<_> = batched.outbox().into_iter().map(completion).collect();
        prop_assert_eq!(&published, &completions(&commands, &replies));
        prop_assert_eq!(batched.outbox(), single.outbox());
    }
}

fn only_a_completion_causes_an_event_and_only_once(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[expect(1), complete(1), complete(1), expect(2), call_off(2), complete(2)]);
    store.submit(&[complete(1), call_off(1)]);
    let published: Vec<_> = store.outbox().into_iter().map(completion).collect();
    let injection = injection(1, 1, InjectionStatus::InjectionCompleted);
    assert_eq!(published, [(1, at(1).as_millisecond(), used(booked(1), injection))]);
}

fn a_snapshot_has_the_events_of_the_outbox(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[expect(1), expect(2), expect(3), complete(1), call_off(2), complete(3)]);
    let published = store.outbox().into_iter().map(|entry| entry.event);
    let snapshot = store.snapshot().into_iter().map(|(_, event)| event);
    assert_eq!(snapshot.collect::<Vec<_>>(), published.collect::<Vec<_>>());
}

fn a_moved_booking_is_completed_with_the_dose_that_it_has(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[expect(7), expect(8), expect_moved(7, 1)]);
    let mut store = open(store.close());
    store.submit(&[expect_moved(7, 2), complete(1)]);
    // It was used before the desk learned of this.
    store.submit(&[expect_moved(7, 3)]);
    let injection = injection(1, 7, InjectionStatus::InjectionCompleted);
    let completed = vec![(1, at(1).as_millisecond(), used(moved(7, 2), injection))];
    let published: Vec<_> = store.outbox().into_iter().map(completion).collect();
    assert_eq!(published, completed);
    let snapshot = store.snapshot().into_iter().map(|(_, event)| event.data);
    let published = store.outbox().into_iter().map(|entry| entry.event.data);
    assert_eq!(snapshot.collect::<Vec<_>>(), published.collect::<Vec<_>>());
}

fn appointments_are_still_there_after_reopening(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[expect(1), expect(2), complete(2), call_off(3)]);
    let before = (all(&store), store.outbox());

    let mut store = open(store.close());
    assert_eq!((all(&store), store.outbox()), before);
    let replies = store.submit(&[complete(2), complete(3), expect(4), complete(4)]);
    assert_eq!(
        replies[..2],
        [
            Reply::Completed(Err(Refusal::AlreadyCompleted)),
            Reply::Completed(Err(Refusal::Cancelled))
        ]
    );
    assert!(
        matches!(&replies[3], Reply::Completed(Ok(Completion::New(known))) if known.booked == booked(4))
    );
    assert_eq!(store.outbox().len(), 2);
}

fn a_check_in_and_a_no_show_are_still_there_after_reopening(new: fn() -> TestDatabase) {
    let mut store = open(new());
    store.submit(&[expect(1), expect(3), expect(5), check_in(1), mark_no_show(2), check_in(3)]);
    store.submit(&[return_to_ready(3)]);
    let store = open(store.close());
    let here = Injection { checked_in_at: Some(at(1)), ..injection(1, 1, CheckedIn) };
    let expected = [here, injection(2, 3, NoShow), injection(3, 5, InjectionReady)];
    assert_eq!(all(&store).0, (1..).zip(expected).collect::<Vec<_>>());
    assert_eq!(store.outbox(), [], "nobody else needs to know");
}

fn a_record_is_stored_and_published_with_its_completion(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let given = GivenRecord {
        lot_number: Some("EW0150".to_owned()),
        body_site: Some(BodySite::RightThigh),
        dose_number: Some(2),
        performer: Some("김간호".to_owned()),
        occurred_at: Some(at(0)),
    };
    store.submit(&[expect(1), expect(2), check_in(1)]);
    store.submit(&[complete_with(1, given.clone()), complete_with(2, of_lot(7))]);
    let mut store = open(store.close());
    let record = InjectionRecord {
        lot_number: given.lot_number.clone(),
        body_site: given.body_site,
        dose_number: given.dose_number,
        performer: given.performer.clone(),
        occurred_at: at(0),
    };
    let first = Injection {
        checked_in_at: Some(at(1)),
        record: Some(record),
        ..injection(1, 1, InjectionStatus::InjectionCompleted)
    };
    let found = all(&store).0;
    assert_eq!(found[0].1, first);
    assert_eq!(found[1].1.record.as_ref().unwrap().occurred_at, at(2));
    let repeated = store.submit(&[complete_with(1, given), complete_with(2, of_lot(7))]);
    let is_repeated = |reply: &_| matches!(reply, Reply::Completed(Ok(Completion::Repeated(_))));
    assert!(repeated.iter().all(is_repeated), "{repeated:?}");
    let published: Vec<_> = store.outbox().into_iter().map(completion).collect();
    let injections: Vec<_> = published.into_iter().map(|(.., it)| it.injection).collect();
    assert_eq!(injections, found.into_iter().map(|(_, known)| known).collect::<Vec<_>>());
    let snapshot = store.snapshot().into_iter().map(|(_, event)| event);
    let outbox = store.outbox().into_iter().map(|entry| entry.event);
    assert_eq!(snapshot.collect::<Vec<_>>(), outbox.collect::<Vec<_>>());
}

/// Two booking stores may both have a booking 7.
fn all_appointments_of_a_booking_number_are_found(new: fn() -> TestDatabase) {
    let mut store = open(new());
    let reservation = ReservationId(Uuid::from_u128(1 << 64));
    let of_another_store = Command::Expect(BookedDose { reservation, ..booked(7) });
    store.submit(&[expect(6), expect(7), of_another_store]);
    let find = |booking| {
        let list = store.read(move |tx| of_booking(tx, BookingId(booking), WHOLE_LIST));
        assert_eq!(list.total, None);
        list.rows.items
    };
    let ready = InjectionReady;
    assert_eq!(find(7), [(2, injection(2, 7, ready)), (3, injection(3, 7, ready))]);
    assert_eq!(find(8), []);
}
