//! Tickets are stored as everything else is, and found without counting.

use booking::{
    domain::{
        BookingAttempt, Bookings, Command, Fingerprint, Reply,
        tickets::{
            EnqueueReply, EnqueueTicket, QUEUE_LENGTH_MAX, QueuedTicket, ServeReply, ServeTicket,
            TicketEnd,
        },
    },
    store::{MIGRATIONS, queue_head, ticket},
};
use contracts::{
    ids::{BookingId, ReservationId, TicketId, UserId, VaccineId},
    vaccine::HoldOutcome,
};
use platform_store::{AggregateStore, Database, Migration, Notifier};
use proptest::prelude::*;
use testkit::{
    TestDatabase, on_both_databases,
    steps::steps,
    store::{prune, submit},
};
use uuid::Uuid;

use super::{BookingStore, at, create, reservation, resolve};

/// The attempt after the first of a key.
fn second(key: u8) -> ReservationId {
    reservation(key + 100)
}

fn id(key: u8) -> TicketId {
    TicketId(reservation(key).0)
}

pub(super) fn enqueue(key: u8, request: u8) -> Command {
    let attempt = BookingAttempt {
        reservation: reservation(key),
        vaccine: VaccineId(1),
        user: UserId(5),
        fingerprint: Some(Fingerprint([request; 16])),
    };
    Command::Enqueue(EnqueueTicket {
        ticket: id(key),
        key: format!("key {key}"),
        attempt,
        attempt_number: 0,
        at: at(key),
    })
}

pub(super) fn serve(key: u8, attempt: u8, outcome: HoldOutcome) -> Command {
    let attempts = [reservation(key), second(key)];
    Command::Serve(ServeTicket {
        ticket: id(key),
        reservation: attempts[usize::from(attempt)],
        next: attempts.get(usize::from(attempt) + 1).copied(),
        outcome,
        at: at(99),
    })
}

fn held() -> HoldOutcome {
    HoldOutcome::Held { vc_name: "FIZER".to_owned() }
}

pub(super) fn outcome() -> impl Strategy<Value = HoldOutcome> {
    prop::sample::select(vec![
        held(),
        HoldOutcome::SoldOut,
        HoldOutcome::NoSuchVaccine,
        HoldOutcome::Released,
        HoldOutcome::Conflict,
        HoldOutcome::Failed,
    ])
}

/// Every ticket with its position, and the queue.
pub(super) fn all(store: &BookingStore) -> (Vec<(QueuedTicket, Option<i64>)>, Vec<QueuedTicket>) {
    ((0..10).filter_map(|key| find(store, key)).collect(), queue(store, 1_000))
}

fn find(store: &BookingStore, key: u8) -> Option<(QueuedTicket, Option<i64>)> {
    store.database.block_on(store.queries().ticket(id(key))).unwrap()
}

fn queue(store: &BookingStore, limit: usize) -> Vec<QueuedTicket> {
    store.database.block_on(store.queries().queue_head(limit)).unwrap()
}

fn position(store: &BookingStore, key: u8) -> Option<i64> {
    find(store, key).unwrap().1
}

fn keys(tickets: &[QueuedTicket]) -> Vec<&str> {
    tickets.iter().map(|ticket| ticket.key.trim_start_matches("key ")).collect()
}

on_both_databases!(
    tickets_are_still_there_after_reopening,
    the_queue_is_in_the_order_of_arrival,
    a_position_counts_the_tickets_ahead,
    the_attempt_of_a_waiting_ticket_is_not_orphaned,
    old_tickets_that_have_ended_are_deleted_but_never_the_last,
    two_processes_that_serve_the_same_queue_agree,
    a_full_queue_refuses_tickets_until_its_first_one_has_ended,
    a_citizen_has_eight_waiting_tickets_at_most_also_after_reopening,
);

fn old_tickets_that_have_ended_are_deleted_but_never_the_last(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&(1..=5).map(|key| enqueue(key, key)).collect::<Vec<_>>());
    store.apply(&[1, 3, 4, 5].map(|key| serve(key, 0, held())));
    let left = |store: &BookingStore| {
        let tickets = all(store).0.into_iter();
        tickets.map(|(ticket, _)| ticket.number).collect::<Vec<_>>()
    };
    assert_eq!(prune(&mut store.store, at(4).as_millisecond(), 0), 2);
    assert_eq!(left(&store), [2, 4, 5]);
    assert_eq!(prune(&mut store.store, i64::MAX, 0), 1);
    assert_eq!((left(&store), position(&store, 2)), (vec![2, 5], Some(1)));
    store.apply(&[enqueue(6, 6)]);
    assert_eq!(find(&store, 6).unwrap().0.number, 6);
}

fn tickets_are_still_there_after_reopening(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&(1..=7).map(|key| enqueue(key, key)).collect::<Vec<_>>());
    store.apply(&[
        serve(1, 0, held()),
        serve(2, 0, HoldOutcome::SoldOut),
        serve(3, 0, HoldOutcome::NoSuchVaccine),
        serve(4, 0, HoldOutcome::Conflict),
        serve(5, 0, HoldOutcome::Released),
        serve(6, 0, HoldOutcome::Released),
        serve(6, 1, HoldOutcome::Released),
    ]);
    let before = all(&store);
    let ends: Vec<_> = before.0.iter().map(|(ticket, _)| ticket.end).collect();
    let expected = [
        Some(TicketEnd::Booked(BookingId(1))),
        Some(TicketEnd::SoldOut),
        Some(TicketEnd::NoSuchVaccine),
        Some(TicketEnd::KeyReused),
        None,
        Some(TicketEnd::Aborted),
        None,
    ];
    assert_eq!(ends, expected);
    let fifth = &before.0[4].0;
    assert_eq!((fifth.attempt_number, fifth.attempt.reservation), (1, second(5)));

    let mut store = store.reopened_with(&[]);
    assert_eq!(all(&store), before);
    let again = store.apply(&[enqueue(7, 7), enqueue(8, 8), serve(7, 0, HoldOutcome::SoldOut)]);
    assert_eq!(again[0], Reply::Enqueue(EnqueueReply::QueuedBefore(before.0[6].0.clone())));
    assert!(matches!(
        &again[1],
        Reply::Enqueue(EnqueueReply::Queued(ticket)) if ticket.number == 8
    ));
    assert!(matches!(
        &again[2],
        Reply::Serve(ServeReply::Ended(ticket)) if ticket.end == Some(TicketEnd::SoldOut)
    ));
}

fn the_queue_is_in_the_order_of_arrival(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[9, 3, 7, 1, 5].map(|key| enqueue(key, 1)));
    assert_eq!(keys(&queue(&store, 1_000)), ["9", "3", "7", "1", "5"]);
    store.apply(&[serve(9, 0, held()), serve(7, 0, HoldOutcome::SoldOut)]);
    assert_eq!(keys(&queue(&store, 2)), ["3", "1"]);
    store.apply(&[serve(3, 0, HoldOutcome::Released)]);
    assert_eq!(keys(&queue(&store, 2)), ["3", "1"], "a new attempt has the same position");
}

fn a_position_counts_the_tickets_ahead(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&(1..=4).map(|key| enqueue(key, 1)).collect::<Vec<_>>());
    assert_eq!([1, 4].map(|key| position(&store, key)), [Some(1), Some(4)]);
    store.apply(&[serve(1, 0, held()), serve(2, 0, HoldOutcome::SoldOut)]);
    assert_eq!([1, 3, 4].map(|key| position(&store, key)), [None, Some(1), Some(2)]);
    assert_eq!(find(&store, 5), None);
}

fn the_attempt_of_a_waiting_ticket_is_not_orphaned(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[enqueue(1, 1), enqueue(2, 1), create(3, None), resolve(4), enqueue(5, 1)]);
    store.apply(&[serve(2, 0, HoldOutcome::Released), serve(5, 0, HoldOutcome::Conflict)]);
    let held = [reservation(1), reservation(2), second(2), reservation(3), reservation(4)];
    let held = [&held[..], &[reservation(5), reservation(6)]].concat();
    let orphaned = store.database.block_on(store.queries().orphaned(held)).unwrap();
    assert_eq!(orphaned, [reservation(5), reservation(6)]);
}

/// On PostgreSQL each process has a writer of its own; on SQLite one writer applies both answers.
fn two_processes_that_serve_the_same_queue_agree(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&(1..=4).map(|key| enqueue(key, 1)).collect::<Vec<_>>());
    // A dose was released between the two answers.
    let one = [held(), HoldOutcome::SoldOut, HoldOutcome::SoldOut, HoldOutcome::SoldOut];
    let other = [held(), held(), HoldOutcome::SoldOut, HoldOutcome::Released];
    let serve_all = |outcomes: [HoldOutcome; 4]| -> Vec<_> {
        (1..).zip(outcomes).map(|(key, outcome)| serve(key, 0, outcome)).collect()
    };
    store.apply(&serve_all(one));
    let before = (all(&store), store.outbox().len());
    let replies = if matches!(store.database.database, Database::Postgres(_)) {
        let (connection, _) = store.database.open("booking", MIGRATIONS).unwrap();
        let mut other_process = AggregateStore::<Bookings>::new(connection, Notifier::default());
        submit(&mut other_process, &serve_all(other))
    } else {
        store.apply(&serve_all(other))
    };
    let unchanged = |reply: &Reply| matches!(reply, Reply::Serve(ServeReply::Unchanged(_)));
    assert!(replies.iter().all(unchanged), "{replies:?}");
    assert_eq!((all(&store), store.outbox().len()), before);
}

/// Moves the second ticket as far behind the first as a queue may be long.
const LONG_QUEUE: Migration = Migration {
    name: "9998_long_queue.sql",
    sqlite: "UPDATE tickets SET number = 100000 WHERE number = 2",
    postgres: "UPDATE tickets SET number = 100000 WHERE number = 2",
};

fn a_full_queue_refuses_tickets_until_its_first_one_has_ended(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[1, 2].map(|key| enqueue(key, 1)));
    let mut store = store.reopened_with(&[LONG_QUEUE]);
    assert_eq!(position(&store, 2), Some(QUEUE_LENGTH_MAX));
    let replies = store.apply(&[enqueue(3, 1), serve(1, 0, HoldOutcome::SoldOut)]);
    assert_eq!(replies[0], Reply::Enqueue(EnqueueReply::QueueFull));
    let replies = store.apply(&[enqueue(3, 1)]);
    assert!(matches!(&replies[0], Reply::Enqueue(EnqueueReply::Queued(_))), "{replies:?}");
}

fn a_citizen_has_eight_waiting_tickets_at_most_also_after_reopening(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&(1..=8).map(|key| enqueue(key, 1)).collect::<Vec<_>>());
    let mut store = store.reopened_with(&[]);
    let replies = store.apply(&[
        enqueue(9, 1),
        serve(1, 0, HoldOutcome::SoldOut),
        enqueue(9, 1),
        enqueue(10, 1),
    ]);
    assert_eq!(replies[0], Reply::Enqueue(EnqueueReply::TooManyOfUser));
    assert!(matches!(&replies[2], Reply::Enqueue(EnqueueReply::Queued(_))), "{replies:?}");
    assert_eq!(replies[3], Reply::Enqueue(EnqueueReply::TooManyOfUser));
}

/// A store with so many tickets that have ended, and 40 that wait.
fn with_tickets(ended: u32) -> TestDatabase {
    let mut store = BookingStore::new(TestDatabase::sqlite);
    let reservation = |number: u32| ReservationId(Uuid::from_u128(number.into()));
    let enqueue = |number: u32| {
        let Command::Enqueue(first) = enqueue(0, 1) else { panic!("it enqueues") };
        let (reservation, user) = (reservation(number), UserId(number.into()));
        let attempt = BookingAttempt { reservation, user, ..first.attempt };
        Command::Enqueue(EnqueueTicket {
            ticket: TicketId(attempt.reservation.0),
            attempt,
            ..first
        })
    };
    let serve = |number: u32| {
        let Command::Serve(first) = serve(0, 0, HoldOutcome::SoldOut) else { panic!("it serves") };
        let reservation = reservation(number);
        Command::Serve(ServeTicket { ticket: TicketId(reservation.0), reservation, ..first })
    };
    let last = ended + 40;
    store.apply(&(1..=last).map(enqueue).collect::<Vec<_>>());
    store.apply(&(1..=ended).map(serve).collect::<Vec<_>>());
    store.close()
}

#[test]
fn the_queue_costs_the_same_however_many_tickets_have_ended() {
    let (few, many) = (with_tickets(0), with_tickets(4_000));
    let head = |database| steps(database, |tx| queue_head(tx, 20));
    assert_eq!(head(&many), head(&few));
    let position = |database, number: u32| {
        let id = TicketId(Uuid::from_u128(number.into()));
        steps(database, |tx| {
            let position = ticket(tx, id)?.and_then(|(_, position)| position);
            assert_eq!(position, Some(40));
            Ok(())
        })
    };
    assert_eq!(position(&many, 4_040), position(&few, 40));
}
