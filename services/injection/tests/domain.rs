//! The decisions about appointments: rule by rule, and any sequence of commands against a naive model.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "fixture/commands.rs"]
mod commands;

use contracts::{
    ids::InjectionId,
    injection::InjectionStatus::{self, InjectionCancelled, InjectionCompleted, InjectionReady},
};
use injection::domain::{
    Appointment, Appointments, BookedDose, Command, CompleteInjection, Refusal,
    Reply::{self, CalledOff, Completed, Expected},
    decide,
};
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*};

use commands::{booked, call_off, expect};

const AT: Timestamp = Timestamp::UNIX_EPOCH;

fn complete(injection: i64) -> Command {
    let injection = InjectionId(injection);
    Command::Complete(CompleteInjection { injection, at: AT })
}

fn appointment(id: i64, booking: u8, status: InjectionStatus) -> Appointment {
    let completed_at = (status == InjectionCompleted).then_some(AT);
    Appointment { id: InjectionId(id), booked: booked(booking), status, completed_at }
}

/// Decides one after the other, from the beginning.
fn decide_all(commands: &[Command]) -> Vec<Reply> {
    let mut appointments = Appointments::default();
    commands.iter().map(|command| decide(&mut appointments, command)).collect()
}

#[test]
fn a_refused_completion_leaves_no_row_to_be_saved() {
    for status in [InjectionCompleted, InjectionCancelled] {
        let mut stored = Appointments::default();
        stored.appointments.load(InjectionId(1), appointment(1, 7, status));
        let refused = decide(&mut stored, &complete(1));
        assert!(matches!(refused, Completed(Err(_))), "{refused:?}");
        assert_eq!(stored.appointments.changes().count(), 0);
    }
}

#[test]
fn a_booking_has_one_appointment() {
    let ready = Expected(appointment(1, 7, InjectionReady));
    assert_eq!(decide_all(&[expect(7), expect(7)]), [ready.clone(), ready]);
}

#[test]
fn appointments_are_numbered_in_the_order_in_which_their_events_arrive() {
    assert_eq!(
        decide_all(&[expect(9), call_off(3), expect(9), expect(4)]),
        [
            Expected(appointment(1, 9, InjectionReady)),
            CalledOff(Ok(appointment(2, 3, InjectionCancelled))),
            Expected(appointment(1, 9, InjectionReady)),
            Expected(appointment(3, 4, InjectionReady)),
        ]
    );
}

#[test]
fn an_injection_is_completed_once() {
    assert_eq!(
        decide_all(&[expect(7), complete(1), complete(1)])[1..],
        [
            Completed(Ok(appointment(1, 7, InjectionCompleted))),
            Completed(Err(Refusal::AlreadyCompleted))
        ]
    );
}

#[test]
fn an_unknown_injection_cannot_be_completed() {
    let unknown = Completed(Err(Refusal::NoSuchInjection));
    assert_eq!(decide_all(&[complete(1)])[0], unknown);
    assert_eq!(decide_all(&[expect(7), complete(0)])[1], unknown);
    assert_eq!(decide_all(&[expect(7), complete(2)])[1], unknown);
}

#[test]
fn a_cancelled_booking_cannot_be_completed() {
    let cancelled = CalledOff(Ok(appointment(1, 7, InjectionCancelled)));
    assert_eq!(
        decide_all(&[expect(7), call_off(7), call_off(7), complete(1)])[1..],
        [cancelled.clone(), cancelled, Completed(Err(Refusal::Cancelled))]
    );
}

#[test]
fn a_cancellation_that_arrives_before_its_booking_stays() {
    let cancelled = appointment(1, 7, InjectionCancelled);
    assert_eq!(
        decide_all(&[call_off(7), expect(7), complete(1)]),
        [CalledOff(Ok(cancelled.clone())), Expected(cancelled), Completed(Err(Refusal::Cancelled))]
    );
}

#[test]
fn a_completed_injection_stays_completed() {
    let completed = appointment(1, 7, InjectionCompleted);
    assert_eq!(
        decide_all(&[expect(7), complete(1), call_off(7), expect(7)])[2..],
        [CalledOff(Err(Refusal::AlreadyCompleted)), Expected(completed)]
    );
}

/// The same rules in a naive way: every appointment in a list, the first has number 1.
#[derive(Default)]
struct Model(Vec<Appointment>);

impl Model {
    fn decide(&mut self, command: &Command) -> Reply {
        match command {
            Command::Expect(booked) => Expected(self.of(*booked, InjectionReady).clone()),
            Command::CallOff(booked) => CalledOff(self.call_off(*booked)),
            Command::Complete(complete) => Completed(self.complete(complete.injection)),
        }
    }

    fn call_off(&mut self, booked: BookedDose) -> Result<Appointment, Refusal> {
        let known = self.of(booked, InjectionCancelled);
        if known.status == InjectionCompleted {
            return Err(Refusal::AlreadyCompleted);
        }
        known.status = InjectionCancelled;
        Ok(known.clone())
    }

    fn complete(&mut self, injection: InjectionId) -> Result<Appointment, Refusal> {
        let known = self.0.iter_mut().find(|known| known.id == injection);
        let known = known.ok_or(Refusal::NoSuchInjection)?;
        match known.status {
            InjectionCompleted => Err(Refusal::AlreadyCompleted),
            InjectionCancelled => Err(Refusal::Cancelled),
            InjectionReady => {
                (known.status, known.completed_at) = (InjectionCompleted, Some(AT));
                Ok(known.clone())
            }
        }
    }

    /// The appointment of a booking; a new one has this status.
    fn of(&mut self, booked: BookedDose, status: InjectionStatus) -> &mut Appointment {
        let known = self.0.iter().position(|known| known.booked == booked);
        let index = known.unwrap_or_else(|| {
            let id = InjectionId(i64::try_from(self.0.len() + 1).unwrap());
            self.0.push(Appointment { id, booked, status, completed_at: None });
            self.0.len() - 1
        });
        &mut self.0[index]
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
    fn any_commands_are_decided_as_by_the_model(commands in commands()) {
        let mut model = Model::default();
        let expected: Vec<_> = commands.iter().map(|command| model.decide(command)).collect();
        prop_assert_eq!(decide_all(&commands), expected);
    }

    #[test]
    fn a_completed_or_cancelled_appointment_never_changes(commands in commands()) {
        let mut appointments = Appointments::default();
        for command in &commands {
            let before = appointments.clone();
            decide(&mut appointments, command);
            for id in (1..=before.last_number).map(InjectionId) {
                let was = before.appointments.get(&id).unwrap();
                let is = appointments.appointments.get(&id).unwrap();
                prop_assert!(was.status == InjectionReady || was == is, "{was:?} became {is:?}");
            }
        }
    }

    #[test]
    fn a_refusal_changes_nothing(commands in commands()) {
        let mut appointments = Appointments::default();
        for command in &commands {
            let before = appointments.clone();
            if let CalledOff(Err(_)) | Completed(Err(_)) = decide(&mut appointments, command) {
                prop_assert_eq!(&before, &appointments);
            }
        }
    }
}
