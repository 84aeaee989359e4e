//! Tickets are stored as everything else is, and found without counting.

use booking::{
    domain::{
        Abortable, AttemptId, Bookings, Command, CreateReply, Fingerprint, NotGranted, Reply,
        tickets::{
            Answer, EnqueueReply, EnqueueTicket, QUEUE_LENGTH_MAX, QueuedTicket, ServeReply,
            ServeTicket, TicketEnd,
        },
    },
    store::{MIGRATIONS, queue_head, ticket},
};
use contracts::ids::{BookingId, TicketId, UserId, VaccineId};
use platform_store::{AggregateStore, Database, Migration, Notifier};
use proptest::prelude::*;
use testkit::{
    TestDatabase, on_both_databases,
    steps::steps,
    store::{prune, submit},
};
use uuid::Uuid;

use super::{BookingStore, abort, at, create, create_with, held_dose, resolve};

/// The ticket of a key.
fn id(key: u8) -> TicketId {
    id_of(key.into())
}

fn id_of(number: u32) -> TicketId {
    let bytes = u128::from(number).to_be_bytes();
    TicketId(Uuid::new_v8(bytes))
}

/// The attempt of a key.
pub(super) fn attempt_of(key: u8) -> AttemptId {
    AttemptId(id(key).0)
}

pub(super) fn enqueue(key: u8, request: u8) -> Command {
    Command::Enqueue(EnqueueTicket {
        ticket: id(key),
        choice: VaccineId(1).into(),
        user: UserId(5),
        fingerprint: Fingerprint([request; 16]),
        at: at(key),
    })
}

pub(super) fn serve(key: u8, answer: Answer) -> Command {
    Command::Serve(ServeTicket { ticket: id(key), answer, at: at(99) })
}

pub(super) fn held(dose: u8) -> Answer {
    Answer::Held(held_dose(dose))
}

pub(super) fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        3 => (0..6_u8).prop_map(held),
        1 => Just(Answer::NotGranted(NotGranted::SoldOut)),
        1 => Just(Answer::NotGranted(NotGranted::NoSuchVaccine)),
    ]
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

fn ids(tickets: &[QueuedTicket]) -> Vec<TicketId> {
    tickets.iter().map(|ticket| ticket.id).collect()
}

on_both_databases!(
    tickets_are_still_there_after_reopening,
    the_queue_is_in_the_order_of_arrival,
    a_position_counts_the_tickets_ahead,
    a_ticket_whose_dose_was_taken_waits_for_another,
    a_key_whose_ticket_has_ended_without_a_booking_is_not_booked_any_more,
    old_tickets_that_have_ended_are_deleted_but_never_the_last,
    two_processes_that_serve_the_same_queue_agree,
    a_full_queue_refuses_tickets_until_its_first_one_has_ended,
    a_citizen_has_eight_waiting_tickets_at_most_also_after_reopening,
);

fn old_tickets_that_have_ended_are_deleted_but_never_the_last(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&(1..=5).map(|key| enqueue(key, key)).collect::<Vec<_>>());
    store.apply(&[1, 3, 4, 5].map(|key| serve(key, held(key))));
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
    store.apply(&(1..=6).map(|key| enqueue(key, key)).collect::<Vec<_>>());
    store.apply(&[
        abort(Abortable::Attempt(attempt_of(4))),
        resolve(5),
        serve(1, held(1)),
        serve(2, Answer::NotGranted(NotGranted::SoldOut)),
        serve(3, Answer::NotGranted(NotGranted::NoSuchVaccine)),
        serve(4, held(2)),
        serve(5, held(5)),
    ]);
    let before = all(&store);
    let ends: Vec<_> = before.0.iter().map(|(ticket, _)| ticket.end).collect();
    let expected = [
        Some(TicketEnd::Booked(BookingId(1))),
        Some(TicketEnd::NotGranted(NotGranted::SoldOut)),
        Some(TicketEnd::NotGranted(NotGranted::NoSuchVaccine)),
        Some(TicketEnd::KeyReused),
        None,
        None,
    ];
    assert_eq!(ends, expected);

    let mut store = store.reopened_with(&[]);
    assert_eq!(all(&store), before);
    let again = store.apply(&[
        enqueue(6, 6),
        enqueue(7, 7),
        serve(6, Answer::NotGranted(NotGranted::SoldOut)),
        serve(5, held(5)),
        serve(5, held(2)),
    ]);
    assert_eq!(again[0], Reply::Enqueue(EnqueueReply::QueuedBefore(before.0[5].0.clone())));
    assert!(matches!(
        &again[1],
        Reply::Enqueue(EnqueueReply::Queued(ticket)) if ticket.number == 7
    ));
    assert!(matches!(
        &again[2],
        Reply::Serve(ServeReply::Ended(ticket)) if ticket.end == Some(TicketEnd::NotGranted(NotGranted::SoldOut))
    ));
    assert_eq!(again[3], Reply::Serve(ServeReply::DoseTaken));
    assert!(matches!(
        &again[4],
        Reply::Serve(ServeReply::Booked(record)) if record.booking.booking_id == BookingId(2)
    ));
}

fn the_queue_is_in_the_order_of_arrival(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[9, 3, 7, 1, 5].map(|key| enqueue(key, 1)));
    assert_eq!(ids(&queue(&store, 1_000)), [9, 3, 7, 1, 5].map(id));
    store.apply(&[serve(9, held(9)), serve(7, Answer::NotGranted(NotGranted::SoldOut))]);
    assert_eq!(ids(&queue(&store, 2)), [3, 1].map(id));
    store.apply(&[serve(3, held(9))]);
    assert_eq!(ids(&queue(&store, 2)), [3, 1].map(id), "it waits for another dose at its place");
}

fn a_position_counts_the_tickets_ahead(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&(1..=4).map(|key| enqueue(key, 1)).collect::<Vec<_>>());
    assert_eq!([1, 4].map(|key| position(&store, key)), [Some(1), Some(4)]);
    store.apply(&[serve(1, held(1)), serve(2, Answer::NotGranted(NotGranted::SoldOut))]);
    assert_eq!([1, 3, 4].map(|key| position(&store, key)), [None, Some(1), Some(2)]);
    assert_eq!(find(&store, 5), None);
}

fn a_ticket_whose_dose_was_taken_waits_for_another(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&[enqueue(1, 1), enqueue(2, 1), create(3, None), resolve(4)]);
    store.apply(&[abort(Abortable::Dose(held_dose(5).reservation)), serve(2, held(6))]);
    let before = (all(&store), store.outbox().len());
    for taken in [3, 4, 5, 6] {
        assert_eq!(
            store.apply(&[serve(1, held(taken))]),
            [Reply::Serve(ServeReply::DoseTaken)],
            "{taken}"
        );
    }
    assert_eq!((all(&store), store.outbox().len()), before);
    let replies = store.apply(&[serve(1, held(7))]);
    assert!(matches!(&replies[0], Reply::Serve(ServeReply::Booked(_))), "{replies:?}");
    assert_eq!(position(&store, 1), None);
}

fn a_key_whose_ticket_has_ended_without_a_booking_is_not_booked_any_more(
    new: fn() -> TestDatabase,
) {
    let mut store = BookingStore::new(new);
    store.apply(&[enqueue(1, 1), enqueue(2, 1), enqueue(3, 1)]);
    store.apply(&[
        serve(1, Answer::NotGranted(NotGranted::SoldOut)),
        serve(2, Answer::NotGranted(NotGranted::NoSuchVaccine)),
    ]);
    let late = |key| Command::from(create_with(Some(attempt_of(key)), Some(1), key));
    let replies = store.apply(&[late(1), late(2), late(3)]);
    let aborted = Reply::Create(CreateReply::Aborted);
    assert_eq!(replies[..2], [aborted.clone(), aborted]);
    assert!(matches!(&replies[2], Reply::Create(CreateReply::Booked(_))), "{replies:?}");
    let replies = store.apply(&[serve(3, Answer::NotGranted(NotGranted::SoldOut))]);
    assert!(matches!(&replies[0], Reply::Serve(ServeReply::BookedBefore(_))), "{replies:?}");
}

/// On PostgreSQL each process has a writer of its own; on SQLite one writer applies both answers.
fn two_processes_that_serve_the_same_queue_agree(new: fn() -> TestDatabase) {
    let mut store = BookingStore::new(new);
    store.apply(&(1..=4).map(|key| enqueue(key, 1)).collect::<Vec<_>>());
    // A dose was released between the two answers.
    let one = [
        held(1),
        held(2),
        Answer::NotGranted(NotGranted::SoldOut),
        Answer::NotGranted(NotGranted::SoldOut),
    ];
    let other = [
        held(3),
        Answer::NotGranted(NotGranted::SoldOut),
        held(4),
        Answer::NotGranted(NotGranted::SoldOut),
    ];
    let serve_all = |answers: [Answer; 4]| -> Vec<_> {
        (1..).zip(answers).map(|(key, answer)| serve(key, answer)).collect()
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
    let replies = store.apply(&[enqueue(3, 1), serve(1, Answer::NotGranted(NotGranted::SoldOut))]);
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
        serve(1, Answer::NotGranted(NotGranted::SoldOut)),
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
    let enqueue = |number: u32| {
        let Command::Enqueue(first) = enqueue(0, 1) else { panic!("it enqueues") };
        let user = UserId(number.into());
        Command::Enqueue(EnqueueTicket { ticket: id_of(number), user, ..first })
    };
    let serve = |number: u32| {
        let Command::Serve(first) = serve(0, Answer::NotGranted(NotGranted::SoldOut)) else {
            panic!("it serves")
        };
        Command::Serve(ServeTicket { ticket: id_of(number), ..first })
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
        steps(database, |tx| {
            let position = ticket(tx, id_of(number))?.and_then(|(_, position)| position);
            assert_eq!(position, Some(40));
            Ok(())
        })
    };
    assert_eq!(position(&many, 4_040), position(&few, 40));
}
