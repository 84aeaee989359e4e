//! The decisions about appointments. No async, no I/O, no clock, no randomness.
//!
//! ```text
//!               ┌── check in ──► checked in ──┐
//! expect ──► ready ───────────────────────────┼── complete ──► completed
//!             ▲ └── mark no-show ──► no-show ─┘
//!             └── return to ready: from checked in, from no-show
//!
//! ready, checked in, no-show ── call off ──► cancelled
//! ```
//!
//! Completed and cancelled are final. Events of bookings may be repeated, and a cancellation may arrive
//! before its booking. A booking that is moved keeps its appointment, which is ready again. To repeat a check-in, a no-show or a return changes nothing.

mod appointment;
mod record;
mod sheet;

use contracts::{
    ids::{InjectionId, ReservationId},
    injection::InjectionStatus,
};
use jiff::Timestamp;
use platform_store::ChangeSet;

pub use self::{
    appointment::{Appointment, BookedDose, LATE_MAX, Refusal},
    record::{
        CheckedRecord, DOSE_NUMBERS, GivenRecord, InvalidRecord, LOT_NUMBER_MAX, OCCURRED_AGO_MAX,
        PERFORMER_MAX,
    },
    sheet::SheetRowId,
};

/// Every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A booking was made, or moved: its citizen is expected.
    Expect(BookedDose),
    /// A booking was cancelled.
    CallOff(BookedDose),
    /// A citizen is at the desk.
    CheckIn(CheckIn),
    /// A citizen did not come.
    MarkNoShow(MarkNoShow),
    /// A check-in or a no-show was a mistake.
    ReturnToReady(ReturnToReady),
    /// A citizen was vaccinated.
    Complete(CompleteInjection),
}

/// Records that a citizen is at the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckIn {
    /// The appointment.
    pub injection: InjectionId,
    /// When they came.
    pub at: Timestamp,
}

/// Records that a citizen did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkNoShow {
    /// The appointment.
    pub injection: InjectionId,
    /// The time now, by which the slot must have begun.
    pub at: Timestamp,
}

/// Takes back a check-in or a no-show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReturnToReady {
    /// The appointment.
    pub injection: InjectionId,
}

/// Marks an injection as completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteInjection {
    /// The appointment.
    pub injection: InjectionId,
    /// The record, if one is given. Where it is stored already, nothing changes.
    pub record: Option<CheckedRecord>,
    /// When it was completed.
    pub at: Timestamp,
}

/// Every reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::Expect`]: the appointment, new or known.
    Expected(Appointment),
    /// To [`Command::CallOff`]: the appointment, cancelled now or before.
    CalledOff(Result<Appointment, Refusal>),
    /// To [`Command::CheckIn`]: the appointment, checked in now or before.
    CheckedIn(Result<Appointment, Refusal>),
    /// To [`Command::MarkNoShow`]: the appointment, a no-show now or before.
    MarkedNoShow(Result<Appointment, Refusal>),
    /// To [`Command::ReturnToReady`]: the appointment, ready now or before.
    ReturnedToReady(Result<Appointment, Refusal>),
    /// To [`Command::Complete`].
    Completed(Result<Completion, Refusal>),
}

/// What became of a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The appointment was completed.
    New(Appointment),
    /// The appointment was completed before, with the same record.
    Repeated(Appointment),
}

/// The appointments that a batch of commands names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Appointments {
    /// Appointments by number.
    pub appointments: ChangeSet<InjectionId, Appointment>,
    /// Their numbers by reservation.
    pub numbers: ChangeSet<ReservationId, InjectionId>,
    /// The highest number ever given.
    pub last_number: i64,
}

/// Decides one command; a refusal changes nothing.
pub fn decide(appointments: &mut Appointments, command: &Command) -> Reply {
    match command {
        Command::Expect(booked) => Reply::Expected(appointments.expect(*booked)),
        Command::CallOff(booked) => Reply::CalledOff(appointments.call_off(*booked)),
        Command::CheckIn(check_in) => Reply::CheckedIn(appointments.check_in(*check_in)),
        Command::MarkNoShow(missed) => Reply::MarkedNoShow(appointments.mark_no_show(*missed)),
        Command::ReturnToReady(ReturnToReady { injection }) => {
            Reply::ReturnedToReady(appointments.return_to_ready(*injection))
        }
        Command::Complete(complete) => Reply::Completed(appointments.complete(complete)),
    }
}

impl Appointments {
    fn expect(&mut self, booked: BookedDose) -> Appointment {
        let Some(known) = self.of(booked.reservation).cloned() else {
            return self.add(booked, InjectionStatus::InjectionReady);
        };
        let is_over = matches!(
            known.status,
            InjectionStatus::InjectionCompleted | InjectionStatus::InjectionCancelled
        );
        if is_over || booked.moves <= known.booked.moves {
            return known;
        }
        let status = InjectionStatus::InjectionReady;
        let moved = Appointment { booked, status, checked_in_at: None, ..known };
        self.appointments.insert(moved.id, moved.clone());
        moved
    }

    fn call_off(&mut self, booked: BookedDose) -> Result<Appointment, Refusal> {
        let Some(known) = self.of(booked.reservation) else {
            return Ok(self.add(booked, InjectionStatus::InjectionCancelled));
        };
        match known.status {
            InjectionStatus::InjectionCompleted => Err(Refusal::AlreadyCompleted),
            InjectionStatus::InjectionCancelled => Ok(known.clone()),
            InjectionStatus::InjectionReady
            | InjectionStatus::CheckedIn
            | InjectionStatus::NoShow => {
                self.change(known.id, |known| known.status = InjectionStatus::InjectionCancelled)
            }
        }
    }

    fn check_in(&mut self, CheckIn { injection, at }: CheckIn) -> Result<Appointment, Refusal> {
        let known = self.known(injection)?;
        match known.status {
            InjectionStatus::CheckedIn => Ok(known.clone()),
            InjectionStatus::NoShow => Err(Refusal::NoShow),
            InjectionStatus::InjectionCompleted => Err(Refusal::AlreadyCompleted),
            InjectionStatus::InjectionCancelled => Err(Refusal::Cancelled),
            InjectionStatus::InjectionReady => self.change(injection, |known| {
                (known.status, known.checked_in_at) = (InjectionStatus::CheckedIn, Some(at));
            }),
        }
    }

    fn mark_no_show(
        &mut self,
        MarkNoShow { injection, at }: MarkNoShow,
    ) -> Result<Appointment, Refusal> {
        let known = self.known(injection)?;
        match known.status {
            InjectionStatus::NoShow => Ok(known.clone()),
            InjectionStatus::CheckedIn => Err(Refusal::CheckedIn),
            InjectionStatus::InjectionCompleted => Err(Refusal::AlreadyCompleted),
            InjectionStatus::InjectionCancelled => Err(Refusal::Cancelled),
            InjectionStatus::InjectionReady => {
                let slot = known.booked.slot.ok_or(Refusal::NoSlot)?;
                if at < slot.starts_at {
                    return Err(Refusal::NotStarted);
                }
                self.change(injection, |known| known.status = InjectionStatus::NoShow)
            }
        }
    }

    fn return_to_ready(&mut self, injection: InjectionId) -> Result<Appointment, Refusal> {
        let known = self.known(injection)?;
        match known.status {
            InjectionStatus::InjectionReady => Ok(known.clone()),
            InjectionStatus::InjectionCompleted => Err(Refusal::AlreadyCompleted),
            InjectionStatus::InjectionCancelled => Err(Refusal::Cancelled),
            InjectionStatus::CheckedIn | InjectionStatus::NoShow => {
                self.change(injection, |known| {
                    (known.status, known.checked_in_at) = (InjectionStatus::InjectionReady, None);
                })
            }
        }
    }

    fn complete(
        &mut self,
        CompleteInjection { injection, record, at }: &CompleteInjection,
    ) -> Result<Completion, Refusal> {
        let (known, record) = (self.known(*injection)?, record.as_ref());
        match known.status {
            InjectionStatus::InjectionCompleted if record.is_some_and(|it| is_of(it, known)) => {
                return Ok(Completion::Repeated(known.clone()));
            }
            InjectionStatus::InjectionCompleted => return Err(Refusal::AlreadyCompleted),
            InjectionStatus::InjectionCancelled => return Err(Refusal::Cancelled),
            InjectionStatus::NoShow => {
                check_day(known, record.map_or(*at, |it| it.occurred_at(*at)))?;
            }
            InjectionStatus::InjectionReady | InjectionStatus::CheckedIn => {}
        }
        record.map(|record| check_time(record.occurred_at(*at), *at)).transpose()?;
        let completed = self.change(*injection, |known| {
            known.status = InjectionStatus::InjectionCompleted;
            known.completed_at = Some(*at);
            known.record = record.map(|record| record.recorded(*at));
        });
        completed.map(Completion::New)
    }

    fn known(&self, id: InjectionId) -> Result<&Appointment, Refusal> {
        self.appointments.get(&id).ok_or(Refusal::NoSuchInjection)
    }

    fn change(
        &mut self,
        id: InjectionId,
        change: impl FnOnce(&mut Appointment),
    ) -> Result<Appointment, Refusal> {
        let known = self.appointments.get_mut(&id).ok_or(Refusal::NoSuchInjection)?;
        change(known);
        Ok(known.clone())
    }

    fn of(&self, reservation: ReservationId) -> Option<&Appointment> {
        self.appointments.get(self.numbers.get(&reservation)?)
    }

    fn add(&mut self, booked: BookedDose, status: InjectionStatus) -> Appointment {
        self.last_number += 1;
        let id = InjectionId(self.last_number);
        let appointment = Appointment {
            id,
            booked,
            status,
            checked_in_at: None,
            completed_at: None,
            record: None,
        };
        self.numbers.insert(booked.reservation, id);
        self.appointments.insert(id, appointment.clone());
        appointment
    }
}

/// Whether a citizen who was missed can have been vaccinated then.
fn check_day(known: &Appointment, occurred_at: Timestamp) -> Result<(), Refusal> {
    let starts_at = known.booked.slot.map_or(occurred_at, |slot| slot.starts_at);
    let late = occurred_at.duration_since(starts_at);
    if late > LATE_MAX { Err(Refusal::DayOver) } else { Ok(()) }
}

/// Whether a completed appointment has this record already.
fn is_of(record: &CheckedRecord, known: &Appointment) -> bool {
    known.completed_at.is_some_and(|at| known.record.as_ref() == Some(&record.recorded(at)))
}

/// Refuses a time that cannot be recorded at this time.
fn check_time(occurred_at: Timestamp, at: Timestamp) -> Result<(), Refusal> {
    let ago = at.duration_since(occurred_at);
    if ago.is_negative() {
        return Err(Refusal::OccurredLater);
    }
    if ago > OCCURRED_AGO_MAX { Err(Refusal::OccurredTooEarly) } else { Ok(()) }
}
