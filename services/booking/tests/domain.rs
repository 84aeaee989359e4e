//! The decisions about bookings: rule by rule, and any sequence of commands against a naive model.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "domain/queue.rs"]
mod queue;
#[path = "domain/tickets.rs"]
mod tickets;

use std::collections::{BTreeMap, BTreeSet};

use booking::domain::{
    AbortAttempt, AbortReply, BookingAttempt, Bookings, CancelBooking, CancelReply, Command,
    CompleteBooking, CompleteReply, CreateBooking, CreateReply, Fingerprint, Record, Reply,
    ResolveAttempt, ResolveReply, decide,
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

fn fingerprint(number: u8) -> Fingerprint {
    Fingerprint([number; 16])
}

fn create(attempt: u8, request: Option<u8>) -> Command {
    Command::Create(CreateBooking {
        attempt: BookingAttempt {
            reservation: reservation(attempt),
            vaccine: VaccineId(1),
            user: UserId(5),
            fingerprint: request.map(fingerprint),
        },
        vaccine_name: "FIZER".to_owned(),
        at: AT,
    })
}

fn cancel(booking: i64) -> Command {
    Command::Cancel(CancelBooking { booking: BookingId(booking), at: AT })
}

fn resolve(attempt: u8) -> Command {
    Command::Resolve(ResolveAttempt { reservation: reservation(attempt), at: AT })
}

fn abort(attempt: u8) -> Command {
    Command::Abort(AbortAttempt { reservation: reservation(attempt), at: AT })
}

fn complete(attempt: u8) -> Command {
    Command::Complete(CompleteBooking { reservation: reservation(attempt), at: AT })
}

fn record(id: i64, attempt: u8, request: Option<u8>, status: BookingStatus) -> Record {
    Record {
        reservation: reservation(attempt),
        booking: Booking {
            booking_id: BookingId(id),
            vaccine_id: VaccineId(1),
            vc_name: "FIZER".to_owned(),
            user_id: UserId(5),
            status,
        },
        fingerprint: request.map(fingerprint),
        booked_at: AT,
        cancelled_at: None,
    }
}

fn booked(id: i64, attempt: u8, request: Option<u8>) -> Record {
    record(id, attempt, request, BookingStatus::Booked)
}

fn cancelled(id: i64, attempt: u8) -> Record {
    let record = record(id, attempt, None, BookingStatus::BookingCancelled);
    Record { cancelled_at: Some(AT), ..record }
}

fn completed(id: i64, attempt: u8) -> Record {
    record(id, attempt, None, BookingStatus::InjectionCompleted)
}

/// Decides one after the other, from an empty store.
fn decide_all(commands: &[Command]) -> Vec<Reply> {
    let mut bookings = Bookings::default();
    commands.iter().map(|command| decide(&mut bookings, command)).collect()
}

#[test]
fn the_same_request_books_once() {
    assert_eq!(
        decide_all(&[create(1, Some(7)), create(1, Some(7))]),
        [
            Reply::Create(CreateReply::Booked(booked(1, 1, Some(7)))),
            Reply::Create(CreateReply::BookedBefore(booked(1, 1, Some(7))))
        ]
    );
}

#[test]
fn another_request_under_the_same_key_is_refused() {
    for other in [Some(8), None] {
        let replies = decide_all(&[create(1, Some(7)), create(1, other)]);
        assert_eq!(replies[1], Reply::Create(CreateReply::KeyReused));
    }
}

#[test]
fn every_attempt_is_a_booking_of_its_own() {
    assert_eq!(
        decide_all(&[create(1, None), create(2, None)]),
        [
            Reply::Create(CreateReply::Booked(booked(1, 1, None))),
            Reply::Create(CreateReply::Booked(booked(2, 2, None)))
        ]
    );
}

#[test]
fn a_booking_is_cancelled_once() {
    assert_eq!(
        decide_all(&[create(1, None), cancel(1), cancel(1)])[1..],
        [
            Reply::Cancel(CancelReply::Cancelled(cancelled(1, 1))),
            Reply::Cancel(CancelReply::CancelledBefore(cancelled(1, 1)))
        ]
    );
}

#[test]
fn a_booking_that_does_not_exist_cannot_be_cancelled() {
    let refused = Reply::Cancel(CancelReply::NoSuchBooking);
    assert_eq!(decide_all(&[cancel(1)])[0], refused);
    assert_eq!(decide_all(&[create(1, None), cancel(0)])[1], refused);
    assert_eq!(decide_all(&[create(1, None), cancel(2)])[1], refused);
}

#[test]
fn a_cancelled_booking_is_still_how_its_attempt_ended() {
    assert_eq!(
        decide_all(&[create(1, None), cancel(1), create(1, None), resolve(1)])[2..],
        [
            Reply::Create(CreateReply::BookedBefore(cancelled(1, 1))),
            Reply::Resolve(ResolveReply::Booked(cancelled(1, 1)))
        ]
    );
}

#[test]
fn a_booking_is_refused_after_its_attempt_was_resolved() {
    let aborted = Reply::Resolve(ResolveReply::Aborted(reservation(1)));
    assert_eq!(
        decide_all(&[resolve(1), create(1, None), resolve(1)]),
        [aborted.clone(), Reply::Create(CreateReply::Aborted), aborted]
    );
}

#[test]
fn an_attempt_that_is_resolved_after_it_was_booked_stays_booked() {
    let replies = decide_all(&[create(1, None), resolve(1), resolve(1)]);
    let stays = Reply::Resolve(ResolveReply::Booked(booked(1, 1, None)));
    assert_eq!(replies[1..], [stays.clone(), stays]);
}

#[test]
fn an_aborted_attempt_leaves_no_booking() {
    assert_eq!(
        decide_all(&[create(1, None), abort(1), abort(1)])[1..],
        [
            Reply::Abort(AbortReply::Cancelled(cancelled(1, 1))),
            Reply::Abort(AbortReply::CancelledBefore(cancelled(1, 1)))
        ]
    );
    assert_eq!(
        decide_all(&[abort(1), create(1, None), abort(1)]),
        [
            Reply::Abort(AbortReply::Aborted(reservation(1))),
            Reply::Create(CreateReply::Aborted),
            Reply::Abort(AbortReply::Aborted(reservation(1)))
        ]
    );
}

#[test]
fn a_booking_is_completed_however_often_the_event_arrives() {
    assert_eq!(
        decide_all(&[create(1, None), complete(1), complete(1), resolve(1), create(1, None)])[1..],
        [
            Reply::Complete(CompleteReply::Completed(completed(1, 1))),
            Reply::Complete(CompleteReply::Completed(completed(1, 1))),
            Reply::Resolve(ResolveReply::Booked(completed(1, 1))),
            Reply::Create(CreateReply::BookedBefore(completed(1, 1)))
        ]
    );
}

#[test]
fn a_completed_booking_is_neither_cancelled_nor_aborted() {
    assert_eq!(
        decide_all(&[create(1, None), complete(1), cancel(1), abort(1), resolve(1)])[2..],
        [
            Reply::Cancel(CancelReply::Completed),
            Reply::Abort(AbortReply::Completed),
            Reply::Resolve(ResolveReply::Booked(completed(1, 1)))
        ]
    );
}

#[test]
fn a_cancelled_booking_whose_dose_was_used_is_completed() {
    let used = Record { cancelled_at: Some(AT), ..completed(1, 1) };
    assert_eq!(
        decide_all(&[create(1, None), cancel(1), complete(1), cancel(1)])[2..],
        [Reply::Complete(CompleteReply::Completed(used)), Reply::Cancel(CancelReply::Completed)]
    );
}

#[test]
fn a_booking_that_does_not_exist_cannot_be_completed() {
    assert_eq!(
        decide_all(&[complete(1), resolve(1), complete(1), create(1, None)]),
        [
            Reply::Complete(CompleteReply::NoSuchBooking),
            Reply::Resolve(ResolveReply::Aborted(reservation(1))),
            Reply::Complete(CompleteReply::NoSuchBooking),
            Reply::Create(CreateReply::Aborted)
        ]
    );
    assert_eq!(
        decide_all(&[complete(1), create(1, None)])[1],
        Reply::Create(CreateReply::Booked(booked(1, 1, None))),
        "a booking of another store leaves nothing"
    );
}

/// The same rules in their simplest form.
#[derive(Default)]
struct Model {
    bookings: Vec<Record>,
    aborted: BTreeSet<ReservationId>,
}

impl Model {
    fn decide(&mut self, command: &Command) -> Reply {
        match command {
            Command::Create(create) => Reply::Create(self.create(create)),
            Command::Cancel(cancel) => Reply::Cancel(self.cancel(cancel.booking)),
            Command::Resolve(resolve) => Reply::Resolve(self.resolve(resolve.reservation)),
            Command::Abort(abort) => Reply::Abort(match self.resolve(abort.reservation) {
                ResolveReply::Aborted(reservation) => AbortReply::Aborted(reservation),
                ResolveReply::Waiting => AbortReply::Waiting,
                ResolveReply::Booked(known) => match self.cancel(known.booking.booking_id) {
                    CancelReply::Cancelled(record) => AbortReply::Cancelled(record),
                    CancelReply::CancelledBefore(record) => AbortReply::CancelledBefore(record),
                    CancelReply::Completed => AbortReply::Completed,
                    CancelReply::NoSuchBooking => panic!("it was found"),
                },
            }),
            Command::Complete(complete) => Reply::Complete(self.complete(complete.reservation)),
            Command::Enqueue(_) | Command::Serve(_) => panic!("tickets have a model of their own"),
        }
    }

    fn create(&mut self, create: &CreateBooking) -> CreateReply {
        let attempt = create.attempt;
        if self.aborted.contains(&attempt.reservation) {
            return CreateReply::Aborted;
        }
        match self.of(attempt.reservation) {
            Some(known) if known.fingerprint == attempt.fingerprint => {
                CreateReply::BookedBefore(known.clone())
            }
            Some(_) => CreateReply::KeyReused,
            None => {
                let id = i64::try_from(self.bookings.len() + 1).unwrap();
                let (reservation, fingerprint) = (attempt.reservation, attempt.fingerprint);
                let new = Record { reservation, fingerprint, ..booked(id, 0, None) };
                self.bookings.push(new.clone());
                CreateReply::Booked(new)
            }
        }
    }

    fn cancel(&mut self, id: BookingId) -> CancelReply {
        let known = self.bookings.iter_mut().find(|known| known.booking.booking_id == id);
        let Some(known) = known else { return CancelReply::NoSuchBooking };
        match known.booking.status {
            BookingStatus::InjectionCompleted => CancelReply::Completed,
            BookingStatus::BookingCancelled => CancelReply::CancelledBefore(known.clone()),
            BookingStatus::Booked => {
                known.booking.status = BookingStatus::BookingCancelled;
                known.cancelled_at = Some(AT);
                CancelReply::Cancelled(known.clone())
            }
        }
    }

    fn resolve(&mut self, reservation: ReservationId) -> ResolveReply {
        if let Some(known) = self.of(reservation) {
            return ResolveReply::Booked(known.clone());
        }
        self.aborted.insert(reservation);
        ResolveReply::Aborted(reservation)
    }

    fn complete(&mut self, reservation: ReservationId) -> CompleteReply {
        let Some(known) = self.of(reservation) else { return CompleteReply::NoSuchBooking };
        known.booking.status = BookingStatus::InjectionCompleted;
        CompleteReply::Completed(known.clone())
    }

    fn of(&mut self, reservation: ReservationId) -> Option<&mut Record> {
        self.bookings.iter_mut().find(|known| known.reservation == reservation)
    }
}

/// Few attempts and bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        3 => (0..6_u8, proptest::option::of(0..2_u8)).prop_map(|(attempt, request)| {
            create(attempt, request)
        }),
        2 => (0..8_i64).prop_map(cancel),
        1 => (0..6_u8).prop_map(resolve),
        1 => (0..6_u8).prop_map(abort),
        1 => (0..6_u8).prop_map(complete),
    ];
    vec(command, 0..40)
}

fn is_refusal(reply: &Reply) -> bool {
    match reply {
        Reply::Create(reply) => matches!(reply, CreateReply::Aborted | CreateReply::KeyReused),
        Reply::Cancel(reply) => {
            matches!(reply, CancelReply::NoSuchBooking | CancelReply::Completed)
        }
        Reply::Abort(reply) => matches!(reply, AbortReply::Completed | AbortReply::Waiting),
        Reply::Complete(reply) => matches!(reply, CompleteReply::NoSuchBooking),
        Reply::Resolve(_) | Reply::Enqueue(_) | Reply::Serve(_) => false,
    }
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
        let (mut bookings, mut ends) = (Bookings::default(), BTreeMap::new());
        for command in &commands {
            decide(&mut bookings, command);
            for attempt in 0..6 {
                let Some(end) = bookings.attempts.get(&reservation(attempt)) else {
                    prop_assert!(!ends.contains_key(&attempt));
                    continue;
                };
                prop_assert_eq!(ends.entry(attempt).or_insert(*end), end);
            }
        }
    }

    #[test]
    fn bookings_are_numbered_without_gaps(commands in commands()) {
        let new = decide_all(&commands).into_iter().filter_map(|reply| match reply {
            Reply::Create(CreateReply::Booked(record)) => Some(record.booking.booking_id.0),
            _ => None,
        });
        for (id, expected) in new.zip(1..) {
            prop_assert_eq!(id, expected);
        }
    }

    #[test]
    fn a_refusal_changes_nothing(commands in commands()) {
        let mut bookings = Bookings::default();
        for command in &commands {
            let before = bookings.clone();
            if is_refusal(&decide(&mut bookings, command)) {
                prop_assert_eq!(&before, &bookings);
            }
        }
    }
}
