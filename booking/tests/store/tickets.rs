//! Tickets are kept like everything else, and found without counting.

use booking::{
    domain::{
        Command, Done, Fingerprint,
        tickets::{End, Ended, Enqueue, Serve, Ticket},
    },
    store::{Book, MIGRATIONS},
};
use contracts::{
    ids::{BookingId, ReservationId, TicketId, UserId, VaccineId},
    vaccine::HoldOutcome,
};
use proptest::prelude::*;
use storage::store::Stored;

use super::{Kept, apply, at, book, reservation, settle};
use crate::place::{Place, on_both};

/// The attempt after the first of a key.
fn second(key: u8) -> ReservationId {
    reservation(key + 100)
}

fn id(key: u8) -> TicketId {
    TicketId(reservation(key).0)
}

pub(super) fn enqueue(key: u8, asked: u8) -> Command {
    Command::Enqueue(Enqueue {
        ticket: id(key),
        key: format!("the key {key}"),
        asked: Fingerprint([asked; 16]),
        vaccine: VaccineId(1),
        user: UserId(5),
        attempt: 0,
        reservation: reservation(key),
        at: at(key),
    })
}

pub(super) fn serve(key: u8, attempt: u8, said: HoldOutcome) -> Command {
    let attempts = [reservation(key), second(key)];
    Command::Serve(Serve {
        ticket: id(key),
        reservation: attempts[usize::from(attempt)],
        next: attempts.get(usize::from(attempt) + 1).copied(),
        said,
        at: at(99),
    })
}

fn held() -> HoldOutcome {
    HoldOutcome::Held { vc_name: "FIZER".to_owned() }
}

pub(super) fn said() -> impl Strategy<Value = HoldOutcome> {
    prop::sample::select(vec![
        held(),
        HoldOutcome::SoldOut,
        HoldOutcome::NoSuchVaccine,
        HoldOutcome::Released,
        HoldOutcome::Conflict,
        HoldOutcome::Failed,
    ])
}

/// Every ticket with its place in the line, and the line.
pub(super) fn all(kept: &Kept) -> (Vec<(Ticket, Option<i64>)>, Vec<Ticket>) {
    let find = |key| kept.place.wait(kept.reads().ticket(id(key))).unwrap();
    ((0..10).filter_map(find).collect(), line(kept, 1_000))
}

fn line(kept: &Kept, most: usize) -> Vec<Ticket> {
    kept.place.wait(kept.reads().head_of_line(most)).unwrap()
}

fn position(kept: &Kept, key: u8) -> Option<i64> {
    kept.place.wait(kept.reads().ticket(id(key))).unwrap().unwrap().1
}

fn keys(tickets: &[Ticket]) -> Vec<&str> {
    tickets.iter().map(|ticket| ticket.key.trim_start_matches("the key ")).collect()
}

on_both!(
    tickets_are_still_there_after_reopening,
    the_line_is_in_the_order_of_arrival,
    a_place_in_the_line_counts_those_ahead,
    an_attempt_that_a_ticket_waits_with_is_not_unknown,
    two_processes_that_serve_the_same_line_agree,
    a_store_of_the_build_before_is_brought_up_to_date,
);

fn tickets_are_still_there_after_reopening(new: fn() -> Place) {
    let mut kept = Kept::new(new);
    let story: Vec<_> = (1..=7).map(|key| enqueue(key, key)).collect();
    kept.apply(&story);
    kept.apply(&[
        serve(1, 0, held()),
        serve(2, 0, HoldOutcome::SoldOut),
        serve(3, 0, HoldOutcome::NoSuchVaccine),
        serve(4, 0, HoldOutcome::Conflict),
        serve(5, 0, HoldOutcome::Released),
        serve(6, 0, HoldOutcome::Released),
        serve(6, 1, HoldOutcome::Released),
    ]);
    let before = all(&kept);
    let ends: Vec<_> = before.0.iter().map(|(ticket, _)| ticket.ended).collect();
    let end = |place, with| Some(Ended { place, with });
    let expected = [
        end(1, End::Booked(BookingId(1))),
        end(2, End::SoldOut),
        end(3, End::NoSuchVaccine),
        end(4, End::KeyReused),
        None,
        end(5, End::GivenUp),
        None,
    ];
    assert_eq!(ends, expected);
    assert_eq!((before.0[4].0.attempt, before.0[4].0.reservation), (1, second(5)));

    let mut kept = kept.reopened_with(&[]);
    assert_eq!(all(&kept), before);
    let again = kept.apply(&[enqueue(7, 7), enqueue(8, 8), serve(7, 0, HoldOutcome::SoldOut)]);
    assert_eq!(again[0], Ok(Done::QueuedBefore(before.0[6].0.clone())));
    assert!(matches!(&again[1], Ok(Done::Queued(ticket)) if ticket.number == 8));
    assert!(matches!(&again[2], Ok(Done::Ended(ticket)) if ticket.ended == end(6, End::SoldOut)));
}

fn the_line_is_in_the_order_of_arrival(new: fn() -> Place) {
    let mut kept = Kept::new(new);
    let story: Vec<_> = [9, 3, 7, 1, 5].map(|key| enqueue(key, 1)).into();
    kept.apply(&story);
    assert_eq!(keys(&line(&kept, 1_000)), ["9", "3", "7", "1", "5"]);
    kept.apply(&[serve(9, 0, held()), serve(7, 0, HoldOutcome::SoldOut)]);
    assert_eq!(keys(&line(&kept, 2)), ["3", "1"]);
    kept.apply(&[serve(3, 0, HoldOutcome::Released)]);
    assert_eq!(keys(&line(&kept, 2)), ["3", "1"], "a new attempt is no new place");
}

fn a_place_in_the_line_counts_those_ahead(new: fn() -> Place) {
    let mut kept = Kept::new(new);
    let story: Vec<_> = (1..=4).map(|key| enqueue(key, 1)).collect();
    kept.apply(&story);
    assert_eq!((position(&kept, 1), position(&kept, 4)), (Some(1), Some(4)));
    kept.apply(&[serve(1, 0, held()), serve(2, 0, HoldOutcome::SoldOut)]);
    assert_eq!(
        (position(&kept, 1), position(&kept, 3), position(&kept, 4)),
        (None, Some(1), Some(2))
    );
    assert_eq!(kept.place.wait(kept.reads().ticket(id(5))), Ok(None));
}

fn an_attempt_that_a_ticket_waits_with_is_not_unknown(new: fn() -> Place) {
    let mut kept = Kept::new(new);
    kept.apply(&[enqueue(1, 1), enqueue(2, 1), book(3, None), settle(4), enqueue(5, 1)]);
    kept.apply(&[serve(2, 0, HoldOutcome::Released), serve(5, 0, HoldOutcome::Conflict)]);
    let held = [reservation(1), reservation(2), second(2), reservation(3), reservation(4)];
    let held = [&held[..], &[reservation(5), reservation(6)]].concat();
    let unknown = kept.place.wait(kept.reads().unknown(held)).unwrap();
    assert_eq!(unknown, [reservation(5), reservation(6)]);
}

/// Where each process has a store of its own on one database; on SQLite one store asked twice.
fn two_processes_that_serve_the_same_line_agree(new: fn() -> Place) {
    let mut kept = Kept::new(new);
    let story: Vec<_> = (1..=4).map(|key| enqueue(key, 1)).collect();
    kept.apply(&story);
    // A dose came back between the answers to one and to the other.
    let one = [held(), HoldOutcome::SoldOut, HoldOutcome::SoldOut, HoldOutcome::SoldOut];
    let other = [held(), held(), HoldOutcome::SoldOut, HoldOutcome::Released];
    let serve_all = |said: [HoldOutcome; 4]| -> Vec<_> {
        (1..).zip(said).map(|(key, said)| serve(key, 0, said)).collect()
    };
    kept.apply(&serve_all(one));
    let (before, told_before) = (all(&kept), kept.outbox().len());
    let outcomes = if matches!(kept.place.database, storage::database::Database::Postgres(_)) {
        let (writable, _) = kept.place.open("booking", MIGRATIONS).unwrap();
        apply(&mut Stored::new(writable, Book), &serve_all(other)).unwrap()
    } else {
        kept.apply(&serve_all(other))
    };
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(Done::Unmoved(_)))), "{outcomes:?}");
    assert_eq!((all(&kept), kept.outbox().len()), (before, told_before));
}

fn a_store_of_the_build_before_is_brought_up_to_date(new: fn() -> Place) {
    let place = new();
    let (writable, readers) = place.open("booking", &MIGRATIONS[..1]).unwrap();
    let id = writable.store_id;
    keep_a_booking(writable);
    drop(readers);

    let (writable, _) = place.open("booking", MIGRATIONS).unwrap();
    assert_eq!(writable.store_id, id, "who holds doses is the same as before");
    drop(writable);
    let mut kept = Kept::open(place, &[]);
    assert_eq!(kept.all().1, 1);
    let outcomes = kept.apply(&[book(1, Some(7)), enqueue(2, 1), serve(2, 0, held())]);
    assert!(matches!(&outcomes[0], Ok(Done::BookedBefore(_))), "{outcomes:?}");
    assert!(
        matches!(&outcomes[2], Ok(Done::Booked(record)) if record.booking.booking_id.0 == 2),
        "{outcomes:?}"
    );
}

/// What the build before wrote: a booking, with its key.
fn keep_a_booking(mut writable: storage::database::Writable) {
    writable
        .transaction(|tx| {
            tx.execute(
                "INSERT INTO bookings (id, reservation, vaccine, vaccine_name, user_id, status, asked, booked_at_ms)
                      VALUES (1, ?1, 1, 'FIZER', 5, 0, ?2, 0)",
                &[reservation(1).0.into(), uuid::Uuid::from_bytes([7; 16]).into()],
            )?;
            tx.execute("INSERT INTO attempts VALUES (?1, 1)", &[reservation(1).0.into()])
        })
        .unwrap();
}
