//! The decisions at the injection desk. No async, no I/O, no clock, no chance.
//!
//! ```text
//! expect ──► ready ──┬── complete ──► completed
//!                    └── call off ──► cancelled
//! ```
//!
//! Both ends are final. What bookings say may come twice, and a call-off may come before its
//! booking was heard of.

use contracts::{
    ids::{BookingId, InjectionId, ReservationId, UserId, VaccineId},
    injection::InjectionStatus,
};
use jiff::Timestamp;
use storage::rows::Rows;
use thiserror::Error;

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// There is a booking: its citizen will come.
    Expect(Booked),
    /// It was cancelled.
    CallOff(Booked),
    /// The citizen was vaccinated.
    Complete { injection: InjectionId, at: Timestamp },
}

/// A booking, as far as the desk needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Booked {
    /// The dose behind it.
    pub reservation: ReservationId,
    /// The booking.
    pub booking: BookingId,
    /// The vaccine booked.
    pub vaccine: VaccineId,
    /// Who comes.
    pub user: UserId,
}

/// What was done, or had been done before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The appointment as it stands.
    Noted(Appointment),
    /// It is completed now.
    Completed(Appointment),
}

/// Why nothing was done. A healthy answer, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// No appointment of that id.
    #[error("there is no such injection")]
    NoSuchInjection,
    /// The citizen was vaccinated before.
    #[error("it was completed before")]
    CompletedBefore,
    /// The booking was cancelled.
    #[error("its booking was cancelled")]
    Cancelled,
}

/// The answer to a command.
pub type Outcome = Result<Done, Refusal>;

/// An appointment as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appointment {
    /// Its number.
    pub id: InjectionId,
    /// The booking behind it.
    pub booked: Booked,
    /// Where it stands.
    pub status: InjectionStatus,
}

/// The rows that a batch of commands is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desk {
    /// Appointments.
    pub appointments: Rows<InjectionId, Appointment>,
    /// Their numbers by reservation.
    pub numbers: Rows<ReservationId, InjectionId>,
    /// The highest number ever given.
    pub last: i64,
    /// Those that were cancelled, by their places in the order in which they were, counted from 1
    /// without gaps. Nothing reads them to decide: only new ones are here.
    pub cancellations: Rows<i64, InjectionId>,
    /// How many were cancelled.
    pub last_cancelled: i64,
}

/// Decides one command and changes the desk accordingly; a refusal changes nothing.
pub fn decide(desk: &mut Desk, command: &Command) -> Outcome {
    match command {
        Command::Expect(booked) => Ok(desk.expect(*booked)),
        Command::CallOff(booked) => desk.call_off(*booked),
        Command::Complete { injection, at: _ } => desk.complete(*injection),
    }
}

impl Desk {
    fn expect(&mut self, booked: Booked) -> Done {
        match self.of(booked.reservation) {
            Some(known) => Done::Noted(known.clone()),
            None => Done::Noted(self.add(booked, InjectionStatus::InjectionReady)),
        }
    }

    fn call_off(&mut self, booked: Booked) -> Outcome {
        let Some(known) = self.of(booked.reservation) else {
            return Ok(Done::Noted(self.add(booked, InjectionStatus::InjectionCancelled)));
        };
        let (id, status) = (known.id, known.status);
        match status {
            InjectionStatus::InjectionCompleted => Err(Refusal::CompletedBefore),
            InjectionStatus::InjectionCancelled => Ok(Done::Noted(known.clone())),
            InjectionStatus::InjectionReady => {
                self.set(id, InjectionStatus::InjectionCancelled).map(Done::Noted)
            }
        }
    }

    fn complete(&mut self, id: InjectionId) -> Outcome {
        let known = self.appointments.get(&id).ok_or(Refusal::NoSuchInjection)?;
        match known.status {
            InjectionStatus::InjectionCompleted => Err(Refusal::CompletedBefore),
            InjectionStatus::InjectionCancelled => Err(Refusal::Cancelled),
            InjectionStatus::InjectionReady => {
                self.set(id, InjectionStatus::InjectionCompleted).map(Done::Completed)
            }
        }
    }

    fn set(&mut self, id: InjectionId, status: InjectionStatus) -> Result<Appointment, Refusal> {
        let known = self.appointments.get_mut(&id).ok_or(Refusal::NoSuchInjection)?;
        known.status = status;
        let known = known.clone();
        self.list(&known);
        Ok(known)
    }

    fn of(&self, reservation: ReservationId) -> Option<&Appointment> {
        self.appointments.get(self.numbers.get(&reservation)?)
    }

    fn add(&mut self, booked: Booked, status: InjectionStatus) -> Appointment {
        self.last += 1;
        let id = InjectionId(self.last);
        let appointment = Appointment { id, booked, status };
        self.numbers.put(booked.reservation, id);
        self.appointments.put(id, appointment.clone());
        self.list(&appointment);
        appointment
    }

    /// Gives what has just been cancelled its place.
    fn list(&mut self, appointment: &Appointment) {
        if appointment.status == InjectionStatus::InjectionCancelled {
            self.last_cancelled += 1;
            self.cancellations.put(self.last_cancelled, appointment.id);
        }
    }
}
