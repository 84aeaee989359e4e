//! The decisions about bookings: rule by rule, and any sequence of commands against a naive model.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "domain/tickets.rs"]
mod tickets;

use std::collections::BTreeSet;

use booking::domain::{
    Book, Command,
    Done::{
        Abandoned, AbandonedBefore, Booked, BookedBefore, Cancelled, CancelledBefore, Completed,
        Stands,
    },
    Fingerprint, Outcome, Record, Refusal, Register, decide,
};
use contracts::{
    booking::{Booking, BookingStatus},
    ids::{BookingId, ReservationId, UserId, VaccineId},
};
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn reservation(number: u8) -> ReservationId {
    ReservationId(Uuid::from_u128(number.into()))
}

fn book(attempt: u8, asked: Option<u8>) -> Command {
    Command::Book(Book {
        reservation: reservation(attempt),
        vaccine: VaccineId(1),
        vaccine_name: "FIZER".to_owned(),
        user: UserId(5),
        asked: asked.map(|asked| Fingerprint([asked; 16])),
        at: AT,
    })
}

fn cancel(booking: i64) -> Command {
    Command::Cancel { booking: BookingId(booking), at: AT }
}

fn settle(attempt: u8) -> Command {
    Command::Settle { reservation: reservation(attempt), at: AT }
}

fn give_up(attempt: u8) -> Command {
    Command::GiveUp { reservation: reservation(attempt), at: AT }
}

fn complete(attempt: u8) -> Command {
    Command::Complete { reservation: reservation(attempt) }
}

fn record(id: i64, attempt: u8, asked: Option<u8>, status: BookingStatus) -> Record {
    Record {
        reservation: reservation(attempt),
        booking: Booking {
            booking_id: BookingId(id),
            vaccine_id: VaccineId(1),
            vc_name: "FIZER".to_owned(),
            user_id: UserId(5),
            status,
        },
        asked: asked.map(|asked| Fingerprint([asked; 16])),
        at: AT,
    }
}

fn booked(id: i64, attempt: u8, asked: Option<u8>) -> Record {
    record(id, attempt, asked, BookingStatus::Booked)
}

fn cancelled(id: i64, attempt: u8) -> Record {
    record(id, attempt, None, BookingStatus::BookingCancelled)
}

fn completed(id: i64, attempt: u8) -> Record {
    record(id, attempt, None, BookingStatus::InjectionCompleted)
}

/// Decides one after the other, from the beginning.
fn decide_all(commands: &[Command]) -> Vec<Outcome> {
    let mut register = Register::default();
    commands.iter().map(|command| decide(&mut register, command)).collect()
}

#[test]
fn the_same_request_books_once() {
    assert_eq!(
        decide_all(&[book(1, Some(7)), book(1, Some(7))]),
        [Ok(Booked(booked(1, 1, Some(7)))), Ok(BookedBefore(booked(1, 1, Some(7))))]
    );
}

#[test]
fn another_request_under_the_same_key_is_refused() {
    for other in [Some(8), None] {
        assert_eq!(decide_all(&[book(1, Some(7)), book(1, other)])[1], Err(Refusal::KeyReused));
    }
}

#[test]
fn every_attempt_is_a_booking_of_its_own() {
    assert_eq!(
        decide_all(&[book(1, None), book(2, None)]),
        [Ok(Booked(booked(1, 1, None))), Ok(Booked(booked(2, 2, None)))]
    );
}

#[test]
fn a_booking_is_cancelled_once() {
    assert_eq!(
        decide_all(&[book(1, None), cancel(1), cancel(1)])[1..],
        [Ok(Cancelled(cancelled(1, 1))), Ok(CancelledBefore(cancelled(1, 1)))]
    );
}

#[test]
fn what_is_no_booking_cannot_be_cancelled() {
    assert_eq!(decide_all(&[cancel(1)]), [Err(Refusal::NoSuchBooking)]);
    assert_eq!(decide_all(&[book(1, None), cancel(0)])[1], Err(Refusal::NoSuchBooking));
    assert_eq!(decide_all(&[book(1, None), cancel(2)])[1], Err(Refusal::NoSuchBooking));
}

#[test]
fn a_cancelled_booking_is_still_what_its_attempt_became() {
    assert_eq!(
        decide_all(&[book(1, None), cancel(1), book(1, None), settle(1)])[2..],
        [Ok(BookedBefore(cancelled(1, 1))), Ok(Stands(cancelled(1, 1)))]
    );
}

#[test]
fn a_booking_that_comes_after_its_attempt_was_settled_is_refused() {
    assert_eq!(
        decide_all(&[settle(1), book(1, None), settle(1)]),
        [
            Ok(Abandoned(reservation(1))),
            Err(Refusal::Abandoned),
            Ok(AbandonedBefore(reservation(1)))
        ]
    );
}

#[test]
fn an_attempt_that_is_settled_after_it_was_booked_stands() {
    let outcomes = decide_all(&[book(1, None), settle(1), settle(1)]);
    assert_eq!(outcomes[1..], [Ok(Stands(booked(1, 1, None))), Ok(Stands(booked(1, 1, None)))]);
}

#[test]
fn nothing_of_an_attempt_that_is_given_up_stands() {
    assert_eq!(
        decide_all(&[book(1, None), give_up(1), give_up(1)])[1..],
        [Ok(Cancelled(cancelled(1, 1))), Ok(CancelledBefore(cancelled(1, 1)))]
    );
    assert_eq!(
        decide_all(&[give_up(1), book(1, None)]),
        [Ok(Abandoned(reservation(1))), Err(Refusal::Abandoned)]
    );
}

#[test]
fn a_booking_is_completed_however_often_it_is_heard() {
    assert_eq!(
        decide_all(&[book(1, None), complete(1), complete(1), settle(1), book(1, None)])[1..],
        [
            Ok(Completed(completed(1, 1))),
            Ok(Completed(completed(1, 1))),
            Ok(Stands(completed(1, 1))),
            Ok(BookedBefore(completed(1, 1)))
        ]
    );
}

#[test]
fn a_completed_booking_is_neither_cancelled_nor_given_up() {
    assert_eq!(
        decide_all(&[book(1, None), complete(1), cancel(1), give_up(1), settle(1)])[2..],
        [Err(Refusal::Completed), Err(Refusal::Completed), Ok(Stands(completed(1, 1)))]
    );
}

#[test]
fn a_cancelled_booking_whose_dose_was_used_after_all_is_completed() {
    assert_eq!(
        decide_all(&[book(1, None), cancel(1), complete(1), cancel(1)])[2..],
        [Ok(Completed(completed(1, 1))), Err(Refusal::Completed)]
    );
}

#[test]
fn what_is_no_booking_cannot_be_completed() {
    assert_eq!(
        decide_all(&[complete(1), settle(1), complete(1), book(1, None)])[..],
        [
            Err(Refusal::NoSuchBooking),
            Ok(Abandoned(reservation(1))),
            Err(Refusal::NoSuchBooking),
            Err(Refusal::Abandoned)
        ]
    );
    assert_eq!(
        decide_all(&[complete(1), book(1, None)])[1],
        Ok(Booked(booked(1, 1, None))),
        "it was another store's, and leaves nothing"
    );
}

/// The same rules, as one would explain them.
#[derive(Default)]
struct Model {
    bookings: Vec<Record>,
    abandoned: BTreeSet<ReservationId>,
}

impl Model {
    fn decide(&mut self, command: &Command) -> Outcome {
        match command {
            Command::GiveUp { reservation: given_up, at } => match self.of(*given_up) {
                Some(known) => {
                    self.decide(&Command::Cancel { booking: known.booking.booking_id, at: *at })
                }
                None => self.decide(&Command::Settle { reservation: *given_up, at: *at }),
            },
            Command::Book(book) => {
                if self.abandoned.contains(&book.reservation) {
                    return Err(Refusal::Abandoned);
                }
                match self.of(book.reservation) {
                    Some(known) if known.asked == book.asked => Ok(BookedBefore(known)),
                    Some(_) => Err(Refusal::KeyReused),
                    None => {
                        let id = i64::try_from(self.bookings.len() + 1).unwrap();
                        let mut new = booked(id, 0, None);
                        new.reservation = book.reservation;
                        new.asked = book.asked;
                        self.bookings.push(new.clone());
                        Ok(Booked(new))
                    }
                }
            }
            Command::Cancel { booking, .. } => {
                let known = self.bookings.iter_mut().find(|one| one.booking.booking_id == *booking);
                let known = known.ok_or(Refusal::NoSuchBooking)?;
                if known.booking.status == BookingStatus::InjectionCompleted {
                    return Err(Refusal::Completed);
                }
                let before = known.booking.status == BookingStatus::BookingCancelled;
                known.booking.status = BookingStatus::BookingCancelled;
                Ok(if before { CancelledBefore(known.clone()) } else { Cancelled(known.clone()) })
            }
            Command::Settle { reservation, .. } => Ok(match self.of(*reservation) {
                Some(known) => Stands(known),
                None if self.abandoned.insert(*reservation) => Abandoned(*reservation),
                None => AbandonedBefore(*reservation),
            }),
            Command::Complete { reservation } => {
                let known = self.bookings.iter_mut().find(|one| one.reservation == *reservation);
                let known = known.ok_or(Refusal::NoSuchBooking)?;
                known.booking.status = BookingStatus::InjectionCompleted;
                Ok(Completed(known.clone()))
            }
            Command::Enqueue(_) | Command::Serve(_) => panic!("tickets have a model of their own"),
        }
    }

    fn of(&self, reservation: ReservationId) -> Option<Record> {
        self.bookings.iter().find(|known| known.reservation == reservation).cloned()
    }
}

/// Few attempts and bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        3 => (0..6_u8, proptest::option::of(0..2_u8)).prop_map(|(attempt, asked)| book(attempt, asked)),
        2 => (0..8_i64).prop_map(cancel),
        1 => (0..6_u8).prop_map(settle),
        1 => (0..6_u8).prop_map(give_up),
        1 => (0..6_u8).prop_map(complete),
    ];
    vec(command, 0..40)
}

proptest! {
    #[test]
    fn any_commands_are_decided_as_the_model_decides_them(commands in commands()) {
        let mut model = Model::default();
        let expected: Vec<_> = commands.iter().map(|command| model.decide(command)).collect();
        prop_assert_eq!(decide_all(&commands), expected);
    }

    #[test]
    fn an_attempt_ends_once(commands in commands()) {
        let mut ended = BTreeSet::new();
        for outcome in decide_all(&commands) {
            let attempt = match outcome {
                Ok(Booked(record)) => record.reservation,
                Ok(Abandoned(reservation)) => reservation,
                _ => continue,
            };
            prop_assert!(ended.insert(attempt), "{attempt} ended twice");
        }
    }

    #[test]
    fn bookings_are_numbered_without_gaps(commands in commands()) {
        let new = decide_all(&commands).into_iter().filter_map(|outcome| match outcome {
            Ok(Booked(record)) => Some(record.booking.booking_id.0),
            _ => None,
        });
        for (id, expected) in new.zip(1..) {
            prop_assert_eq!(id, expected);
        }
    }

    #[test]
    fn a_refusal_changes_nothing(commands in commands()) {
        let mut register = Register::default();
        for command in &commands {
            let before = register.clone();
            if decide(&mut register, command).is_err() {
                prop_assert_eq!(&before, &register);
            }
        }
    }
}
