//! The decisions about appointments: rule by rule, and any sequence of commands against a naive model.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "fixture/commands.rs"]
mod commands;
#[path = "domain/record.rs"]
mod record;

use contracts::{
    ids::InjectionId,
    injection::{
        InjectionRecord,
        InjectionStatus::{
            self, CheckedIn, InjectionCancelled, InjectionCompleted, InjectionReady, NoShow,
        },
    },
};
use injection::domain::{
    Appointment, Appointments, BookedDose, CheckIn, CheckedRecord, Command, CompleteInjection,
    Completion, GivenRecord, LATE_MAX, MarkNoShow, Refusal,
    Reply::{self, CalledOff, Completed, Expected},
    ReturnToReady, decide,
};
use jiff::{SignedDuration, Timestamp};
use proptest::{collection::vec, prelude::*};

use commands::{booked, call_off, expect, expect_moved, moved};

/// After the start of every slot here, and before the end of its day.
const AT: Timestamp = Timestamp::constant(3_600, 0);

fn complete(injection: i64) -> Command {
    let injection = InjectionId(injection);
    Command::Complete(CompleteInjection { injection, record: None, at: AT })
}

/// With the number of a lot.
fn complete_with(injection: i64, lot: u8) -> Command {
    let given = GivenRecord { lot_number: Some(lot.to_string()), ..GivenRecord::default() };
    let record = CheckedRecord::parse(given).unwrap();
    Command::Complete(CompleteInjection { injection: InjectionId(injection), record, at: AT })
}

fn check_in(injection: i64) -> Command {
    Command::CheckIn(CheckIn { injection: InjectionId(injection), at: AT })
}

fn mark_no_show(injection: i64) -> Command {
    Command::MarkNoShow(MarkNoShow { injection: InjectionId(injection), at: AT })
}

fn return_to_ready(injection: i64) -> Command {
    Command::ReturnToReady(ReturnToReady { injection: InjectionId(injection) })
}

fn appointment(id: i64, booking: u8, status: InjectionStatus) -> Appointment {
    Appointment {
        id: InjectionId(id),
        booked: booked(booking),
        status,
        checked_in_at: (status == CheckedIn).then_some(AT),
        completed_at: (status == InjectionCompleted).then_some(AT),
        record: None,
    }
}

/// Decides a command about booking 7, whose appointment has this status: the reply, and whether a row changed.
fn decide_with(status: InjectionStatus, command: &Command) -> (Result<Appointment, Refusal>, bool) {
    let mut stored = Appointments { last_number: 1, ..Appointments::default() };
    stored.numbers.load(booked(7).reservation, InjectionId(1));
    stored.appointments.load(InjectionId(1), appointment(1, 7, status));
    let result = result(decide(&mut stored, command));
    (result, stored.appointments.changes().count() > 0)
}

fn result(reply: Reply) -> Result<Appointment, Refusal> {
    match reply {
        Expected(appointment) => Ok(appointment),
        CalledOff(result)
        | Reply::CheckedIn(result)
        | Reply::MarkedNoShow(result)
        | Reply::ReturnedToReady(result) => result,
        Completed(result) => result.map(|completion| match completion {
            Completion::New(appointment) | Completion::Repeated(appointment) => appointment,
        }),
    }
}

/// Decides one after the other, from the beginning.
fn decide_all(commands: &[Command]) -> Vec<Reply> {
    let mut appointments = Appointments::default();
    commands.iter().map(|command| decide(&mut appointments, command)).collect()
}

/// Every status with every command: the status afterwards, or the refusal.
#[test]
fn each_status_has_its_transitions_and_refuses_the_others_with_a_reason() {
    let already = Err(Refusal::AlreadyCompleted);
    let cancelled = Err(Refusal::Cancelled);
    let commands =
        [call_off(7), check_in(1), mark_no_show(1), return_to_ready(1), complete(1), expect(7)];
    let [off, here, ready, done] =
        [InjectionCancelled, CheckedIn, InjectionReady, InjectionCompleted].map(Ok);
    for (status, expected) in [
        (InjectionReady, [off, here, Ok(NoShow), ready, done, ready]),
        (CheckedIn, [off, here, Err(Refusal::CheckedIn), ready, done, here]),
        (NoShow, [off, Err(Refusal::NoShow), Ok(NoShow), ready, done, Ok(NoShow)]),
        (InjectionCompleted, [already, already, already, already, already, done]),
        (InjectionCancelled, [off, cancelled, cancelled, cancelled, cancelled, off]),
    ] {
        for (command, expected) in commands.iter().zip(expected) {
            let (result, is_changed) = decide_with(status, command);
            let found = result.map(|appointment| appointment.status);
            assert_eq!(found, expected, "{status:?}, {command:?}");
            let is_other = expected.is_ok_and(|expected| expected != status);
            assert_eq!(is_changed, is_other, "{status:?}, {command:?}");
        }
    }
}

#[test]
fn a_check_in_has_its_time_which_a_return_removes_and_a_completion_keeps() {
    let (here, _) = decide_with(InjectionReady, &check_in(1));
    assert_eq!(here.unwrap().checked_in_at, Some(AT));
    let (ready, _) = decide_with(CheckedIn, &return_to_ready(1));
    assert_eq!(ready, Ok(appointment(1, 7, InjectionReady)));
    let (completed, _) = decide_with(CheckedIn, &complete(1));
    let completed = completed.unwrap();
    assert_eq!((completed.checked_in_at, completed.completed_at), (Some(AT), Some(AT)));
}

#[test]
fn nobody_is_a_no_show_before_the_slot_starts_or_without_one() {
    let starts_at = booked(7).slot.unwrap().starts_at;
    let missed = |at| Command::MarkNoShow(MarkNoShow { injection: InjectionId(1), at });
    let before = missed(starts_at - SignedDuration::from_millis(1));
    assert_eq!(decide_with(InjectionReady, &before), (Err(Refusal::NotStarted), false));
    assert!(decide_with(InjectionReady, &missed(starts_at)).0.is_ok());
    let without_slot = decide_all(&[expect(8), mark_no_show(1)]).remove(1);
    assert_eq!(result(without_slot), Err(Refusal::NoSlot));
}

#[test]
fn a_no_show_is_completed_on_the_same_day_only() {
    let starts_at = booked(7).slot.unwrap().starts_at;
    let complete =
        |at| Command::Complete(CompleteInjection { injection: InjectionId(1), record: None, at });
    assert!(decide_with(NoShow, &complete(starts_at + LATE_MAX)).0.is_ok());
    let late = complete(starts_at + LATE_MAX + SignedDuration::from_millis(1));
    assert_eq!(decide_with(NoShow, &late), (Err(Refusal::DayOver), false));
    assert!(decide_with(InjectionReady, &late).0.is_ok(), "it was set back first");
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
            Completed(Ok(Completion::New(appointment(1, 7, InjectionCompleted)))),
            Completed(Err(Refusal::AlreadyCompleted))
        ]
    );
}

#[test]
fn an_unknown_injection_cannot_be_changed() {
    for id in [0, 2] {
        for command in [complete(id), check_in(id), mark_no_show(id), return_to_ready(id)] {
            let reply = decide_all(&[expect(7), command]).remove(1);
            assert_eq!(result(reply), Err(Refusal::NoSuchInjection));
        }
    }
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

#[test]
fn a_moved_booking_keeps_its_appointment_with_another_dose() {
    let ready = |moves| {
        Expected(Appointment { booked: moved(7, moves), ..appointment(1, 7, InjectionReady) })
    };
    let repeated_and_late = [expect(7), expect_moved(7, 1), expect_moved(7, 2), expect_moved(7, 1)];
    assert_eq!(decide_all(&repeated_and_late), [ready(0), ready(1), ready(2), ready(2)]);
    let unknown = [expect_moved(7, 1), expect(7), complete(1)];
    let done = Appointment { booked: moved(7, 1), ..appointment(1, 7, InjectionCompleted) };
    assert_eq!(decide_all(&unknown), [ready(1), ready(1), Completed(Ok(Completion::New(done)))]);
}

#[test]
fn a_moved_booking_is_expected_again_also_after_a_check_in_or_a_no_show() {
    for arrival in [check_in(1), mark_no_show(1)] {
        let replies = decide_all(&[expect(7), arrival, expect_moved(7, 1)]);
        let ready = Appointment { booked: moved(7, 1), ..appointment(1, 7, InjectionReady) };
        assert_eq!(replies[2], Expected(ready));
    }
}

#[test]
fn an_appointment_that_ended_is_not_moved() {
    for (end, status) in [(complete(1), InjectionCompleted), (call_off(7), InjectionCancelled)] {
        let replies = decide_all(&[expect(7), end, expect_moved(7, 1), expect_moved(7, 2)]);
        let ended = Expected(appointment(1, 7, status));
        assert_eq!(replies[2..], [ended.clone(), ended]);
    }
}

/// A record that is one of two lots, as it is stored.
fn stored(record: &CheckedRecord) -> InjectionRecord {
    let of = |lot| matches!(complete_with(1, lot), Command::Complete(it) if it.record.as_ref() == Some(record));
    let lot = (0..2).find(|lot| of(*lot)).unwrap();
    InjectionRecord { lot_number: Some(lot.to_string()), ..empty_record() }
}

fn empty_record() -> InjectionRecord {
    InjectionRecord {
        lot_number: None,
        body_site: None,
        dose_number: None,
        performer: None,
        occurred_at: AT,
    }
}

/// The same rules in a naive way: every appointment in a list, the first has number 1.
#[derive(Default)]
struct Model(Vec<Appointment>);

impl Model {
    fn decide(&mut self, command: &Command) -> Reply {
        match command {
            Command::Expect(booked) => {
                let known = self.of(*booked, InjectionReady);
                let is_over = [InjectionCompleted, InjectionCancelled].contains(&known.status);
                if !is_over && known.booked.moves < booked.moves {
                    (known.booked, known.status, known.checked_in_at) =
                        (*booked, InjectionReady, None);
                }
                Expected(known.clone())
            }
            Command::CallOff(booked) => CalledOff(self.call_off(*booked)),
            Command::CheckIn(CheckIn { injection, at: _ }) => {
                let refused = [(NoShow, Refusal::NoShow)];
                Reply::CheckedIn(self.change(*injection, CheckedIn, &refused))
            }
            Command::MarkNoShow(MarkNoShow { injection, at: _ }) => {
                Reply::MarkedNoShow(self.mark_no_show(*injection))
            }
            Command::ReturnToReady(ReturnToReady { injection }) => {
                Reply::ReturnedToReady(self.change(*injection, InjectionReady, &[]))
            }
            Command::Complete(complete) => Completed(self.complete(complete)),
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

    fn complete(
        &mut self,
        CompleteInjection { injection, record, at: _ }: &CompleteInjection,
    ) -> Result<Completion, Refusal> {
        let known = self.0.iter_mut().find(|known| known.id == *injection);
        let given = record.as_ref().map(stored);
        if let Some(known) = known
            && known.status == InjectionCompleted
            && given.is_some()
            && known.record == given
        {
            return Ok(Completion::Repeated(known.clone()));
        }
        self.change(*injection, InjectionCompleted, &[])?;
        let known = self.0.iter_mut().find(|known| known.id == *injection).unwrap();
        known.record = given;
        Ok(Completion::New(known.clone()))
    }

    fn mark_no_show(&mut self, injection: InjectionId) -> Result<Appointment, Refusal> {
        let without_slot = self.0.iter().any(|known| {
            let is_meant = known.id == injection && known.status == InjectionReady;
            is_meant && known.booked.slot.is_none()
        });
        if without_slot {
            return Err(Refusal::NoSlot);
        }
        self.change(injection, NoShow, &[(CheckedIn, Refusal::CheckedIn)])
    }

    /// A new status, if the one before is not final and none of these.
    fn change(
        &mut self,
        injection: InjectionId,
        status: InjectionStatus,
        refused: &[(InjectionStatus, Refusal)],
    ) -> Result<Appointment, Refusal> {
        let known = self.0.iter_mut().find(|known| known.id == injection);
        let known = known.ok_or(Refusal::NoSuchInjection)?;
        let ends = [
            (InjectionCompleted, Refusal::AlreadyCompleted),
            (InjectionCancelled, Refusal::Cancelled),
        ];
        if let Some((_, refusal)) = ends.iter().chain(refused).find(|(it, _)| *it == known.status) {
            return Err(*refusal);
        }
        known.status = status;
        match status {
            CheckedIn => known.checked_in_at = Some(AT),
            InjectionReady => known.checked_in_at = None,
            InjectionCompleted => known.completed_at = Some(AT),
            NoShow | InjectionCancelled => {}
        }
        Ok(known.clone())
    }

    /// The appointment of a booking; a new one has this status.
    fn of(&mut self, booked: BookedDose, status: InjectionStatus) -> &mut Appointment {
        let known = self.0.iter().position(|known| known.booked.reservation == booked.reservation);
        let index = known.unwrap_or_else(|| {
            let id = InjectionId(i64::try_from(self.0.len() + 1).unwrap());
            self.0.push(Appointment {
                id,
                booked,
                status,
                checked_in_at: None,
                completed_at: None,
                record: None,
            });
            self.0.len() - 1
        });
        &mut self.0[index]
    }
}

/// Few bookings, so that the commands meet.
fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        3 => (0..6_u8).prop_map(expect),
        2 => (0..6_u8, 0..4_u8).prop_map(|(booking, moves)| expect_moved(booking, moves)),
        2 => (0..6_u8).prop_map(call_off),
        3 => (0..7_i64).prop_map(complete),
        2 => (0..7_i64, 0..2_u8).prop_map(|(injection, lot)| complete_with(injection, lot)),
        2 => (0..7_i64).prop_map(check_in),
        2 => (0..7_i64).prop_map(mark_no_show),
        2 => (0..7_i64).prop_map(return_to_ready),
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
                let is_final = matches!(was.status, InjectionCompleted | InjectionCancelled);
                prop_assert!(!is_final || was == is, "{was:?} became {is:?}");
            }
        }
    }

    #[test]
    fn a_refusal_changes_nothing(commands in commands()) {
        let mut appointments = Appointments::default();
        for command in &commands {
            let before = appointments.clone();
            if result(decide(&mut appointments, command)).is_err() {
                prop_assert_eq!(&before, &appointments);
            }
        }
    }
}
