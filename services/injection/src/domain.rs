//! The decisions about appointments. No async, no I/O, no clock, no randomness.
//!
//! ```text
//! expect ──► ready ──┬── complete ──► completed
//!                    └── call off ──► cancelled
//! ```
//!
//! Completed and cancelled are final. Events of bookings may be repeated, and a cancellation may arrive
//! before its booking.

use contracts::{
    booking::BookedSlot,
    ids::{BookingId, InjectionId, ReservationId, UserId, VaccineId},
    injection::InjectionStatus,
};
use jiff::Timestamp;
use platform_store::ChangeSet;
use thiserror::Error;

/// Every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A booking was made: its citizen is expected.
    Expect(BookedDose),
    /// A booking was cancelled.
    CallOff(BookedDose),
    /// A citizen was vaccinated.
    Complete(CompleteInjection),
}

/// A booking, as far as the desk needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookedDose {
    /// The reserved dose.
    pub reservation: ReservationId,
    /// The booking.
    pub booking: BookingId,
    /// The vaccine.
    pub vaccine: VaccineId,
    /// The citizen.
    pub user: UserId,
    /// Where and when; none, where the booking has no time.
    pub slot: Option<BookedSlot>,
}

/// Marks an injection as completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompleteInjection {
    /// The appointment.
    pub injection: InjectionId,
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
    /// To [`Command::Complete`].
    Completed(Result<Appointment, Refusal>),
}

/// Why a command changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No appointment has this id.
    #[error("there is no such injection")]
    NoSuchInjection,
    /// The citizen was vaccinated before.
    #[error("it was completed before")]
    AlreadyCompleted,
    /// The booking was cancelled.
    #[error("its booking was cancelled")]
    Cancelled,
}

/// An appointment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appointment {
    /// Its number.
    pub id: InjectionId,
    /// Its booking.
    pub booked: BookedDose,
    /// Its status.
    pub status: InjectionStatus,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
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
        Command::Complete(complete) => Reply::Completed(appointments.complete(*complete)),
    }
}

impl Appointments {
    fn expect(&mut self, booked: BookedDose) -> Appointment {
        match self.of(booked.reservation) {
            Some(known) => known.clone(),
            None => self.add(booked, InjectionStatus::InjectionReady),
        }
    }

    fn call_off(&mut self, booked: BookedDose) -> Result<Appointment, Refusal> {
        let Some(known) = self.of(booked.reservation) else {
            return Ok(self.add(booked, InjectionStatus::InjectionCancelled));
        };
        match known.status {
            InjectionStatus::InjectionCompleted => Err(Refusal::AlreadyCompleted),
            InjectionStatus::InjectionCancelled => Ok(known.clone()),
            InjectionStatus::InjectionReady => {
                self.set(known.id, InjectionStatus::InjectionCancelled, None)
            }
        }
    }

    fn complete(
        &mut self,
        CompleteInjection { injection, at }: CompleteInjection,
    ) -> Result<Appointment, Refusal> {
        let known = self.appointments.get(&injection).ok_or(Refusal::NoSuchInjection)?;
        match known.status {
            InjectionStatus::InjectionCompleted => Err(Refusal::AlreadyCompleted),
            InjectionStatus::InjectionCancelled => Err(Refusal::Cancelled),
            InjectionStatus::InjectionReady => {
                self.set(injection, InjectionStatus::InjectionCompleted, Some(at))
            }
        }
    }

    fn set(
        &mut self,
        id: InjectionId,
        status: InjectionStatus,
        completed_at: Option<Timestamp>,
    ) -> Result<Appointment, Refusal> {
        let known = self.appointments.get_mut(&id).ok_or(Refusal::NoSuchInjection)?;
        (known.status, known.completed_at) = (status, completed_at);
        Ok(known.clone())
    }

    fn of(&self, reservation: ReservationId) -> Option<&Appointment> {
        self.appointments.get(self.numbers.get(&reservation)?)
    }

    fn add(&mut self, booked: BookedDose, status: InjectionStatus) -> Appointment {
        self.last_number += 1;
        let id = InjectionId(self.last_number);
        let appointment = Appointment { id, booked, status, completed_at: None };
        self.numbers.insert(booked.reservation, id);
        self.appointments.insert(id, appointment.clone());
        appointment
    }
}
