//! The decisions at the desk: rule by rule, and any sequence of commands against a naive model.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use contracts::{
    ids::{BookingId, InjectionId, ReservationId, UserId, VaccineId},
    injection::InjectionStatus::{self, InjectionCancelled, InjectionCompleted, InjectionReady},
};
use injection::domain::{
    Appointment, Booked, Command, Desk,
    Done::{Completed, Noted},
    Outcome, Refusal, decide,
};
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};
use uuid::Uuid;

/// The booking of that number.
fn booked(booking: u8) -> Booked {
    Booked {
        reservation: ReservationId(Uuid::from_u128(booking.into())),
        booking: BookingId(booking.into()),
        vaccine: VaccineId(1),
        user: UserId(i64::from(booking) + 100),
    }
}

fn expect(booking: u8) -> Command {
    Command::Expect(booked(booking))
}

fn call_off(booking: u8) -> Command {
    Command::CallOff(booked(booking))
}

fn complete(injection: i64) -> Command {
    Command::Complete { injection: InjectionId(injection), at: Timestamp::UNIX_EPOCH }
}

fn appointment(id: i64, booking: u8, status: InjectionStatus) -> Appointment {
    Appointment { id: InjectionId(id), booked: booked(booking), status }
}

/// Decides one after the other, from the beginning.
fn decide_all(commands: &[Command]) -> Vec<Outcome> {
    let mut desk = Desk::default();
    commands.iter().map(|command| decide(&mut desk, command)).collect()
}

#[test]
fn whoever_has_booked_is_expected_once() {
    let ready = Ok(Noted(appointment(1, 7, InjectionReady)));
    assert_eq!(decide_all(&[expect(7), expect(7)]), [ready.clone(), ready]);
}

#[test]
fn appointments_are_numbered_in_the_order_in_which_they_are_heard_of() {
    assert_eq!(
        decide_all(&[expect(9), call_off(3), expect(9), expect(4)]),
        [
            Ok(Noted(appointment(1, 9, InjectionReady))),
            Ok(Noted(appointment(2, 3, InjectionCancelled))),
            Ok(Noted(appointment(1, 9, InjectionReady))),
            Ok(Noted(appointment(3, 4, InjectionReady))),
        ]
    );
}

#[test]
fn an_injection_is_completed_once() {
    assert_eq!(
        decide_all(&[expect(7), complete(1), complete(1)])[1..],
        [Ok(Completed(appointment(1, 7, InjectionCompleted))), Err(Refusal::CompletedBefore)]
    );
}

#[test]
fn what_is_no_appointment_cannot_be_completed() {
    assert_eq!(decide_all(&[complete(1)]), [Err(Refusal::NoSuchInjection)]);
    assert_eq!(decide_all(&[expect(7), complete(0)])[1], Err(Refusal::NoSuchInjection));
    assert_eq!(decide_all(&[expect(7), complete(2)])[1], Err(Refusal::NoSuchInjection));
}

#[test]
fn a_cancelled_booking_brings_nobody() {
    let cancelled = Ok(Noted(appointment(1, 7, InjectionCancelled)));
    assert_eq!(
        decide_all(&[expect(7), call_off(7), call_off(7), complete(1)])[1..],
        [cancelled.clone(), cancelled, Err(Refusal::Cancelled)]
    );
}

#[test]
fn a_cancellation_that_comes_before_its_booking_stays() {
    let cancelled = Ok(Noted(appointment(1, 7, InjectionCancelled)));
    assert_eq!(
        decide_all(&[call_off(7), expect(7), complete(1)]),
        [cancelled.clone(), cancelled, Err(Refusal::Cancelled)]
    );
}

#[test]
fn nobody_takes_an_injection_back() {
    let completed = appointment(1, 7, InjectionCompleted);
    assert_eq!(
        decide_all(&[expect(7), complete(1), call_off(7), expect(7)])[2..],
        [Err(Refusal::CompletedBefore), Ok(Noted(completed))]
    );
}

/// The same rules, as one would explain them: every appointment in a row, the first is number 1.
#[derive(Default)]
struct Model(Vec<Appointment>);

impl Model {
    fn decide(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Expect(booked) => Ok(Noted(self.of(*booked, InjectionReady).clone())),
            Command::CallOff(booked) => {
                let known = self.of(*booked, InjectionCancelled);
                if known.status == InjectionCompleted {
                    return Err(Refusal::CompletedBefore);
                }
                known.status = InjectionCancelled;
                Ok(Noted(known.clone()))
            }
            Command::Complete { injection, at: _ } => {
                let known = self.0.iter_mut().find(|known| known.id == *injection);
                let known = known.ok_or(Refusal::NoSuchInjection)?;
                match known.status {
                    InjectionCompleted => Err(Refusal::CompletedBefore),
                    InjectionCancelled => Err(Refusal::Cancelled),
                    InjectionReady => {
                        known.status = InjectionCompleted;
                        Ok(Completed(known.clone()))
                    }
                }
            }
        }
    }

    /// The appointment of a booking; a new one has this status.
    fn of(&mut self, booked: Booked, status: InjectionStatus) -> &mut Appointment {
        let known = self.0.iter().position(|known| known.booked == booked);
        let place = known.unwrap_or_else(|| {
            let id = InjectionId(i64::try_from(self.0.len() + 1).unwrap());
            self.0.push(Appointment { id, booked, status });
            self.0.len() - 1
        });
        &mut self.0[place]
    }
}

/// Few bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        3 => (0..6_u8).prop_map(expect),
        2 => (0..6_u8).prop_map(call_off),
        3 => (0..7_i64).prop_map(complete),
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
    fn what_is_completed_or_cancelled_stays_so(commands in commands()) {
        let mut desk = Desk::default();
        for command in &commands {
            let before = desk.clone();
            decide(&mut desk, command).ok();
            for id in (1..=before.last).map(InjectionId) {
                let was = before.appointments.get(&id).unwrap();
                let is = desk.appointments.get(&id).unwrap();
                prop_assert!(was.status == InjectionReady || was == is, "{was:?} became {is:?}");
            }
        }
    }

    #[test]
    fn a_refusal_changes_nothing(commands in commands()) {
        let mut desk = Desk::default();
        for command in &commands {
            let before = desk.clone();
            if decide(&mut desk, command).is_err() {
                prop_assert_eq!(&before, &desk);
            }
        }
    }
}
