//! Appointments, and why they cannot be changed.

use contracts::{
    booking::BookedSlot,
    ids::{BookingId, InjectionId, ReservationId, UserId, VaccineId},
    injection::{InjectionRecord, InjectionStatus},
};
use jiff::{SignedDuration, Timestamp};
use thiserror::Error;

use super::record::OCCURRED_AGO_MAX;

/// How long after its start a no-show can be completed: the same day, in any time zone. Afterwards it has to become
/// ready first.
pub const LATE_MAX: SignedDuration = SignedDuration::from_hours(24);

/// A booking, as far as the desk needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookedDose {
    /// The reservation that the booking was made with: what it is recognised by.
    pub reservation: ReservationId,
    /// The reservation of the dose that it has.
    pub dose: ReservationId,
    /// How often it was moved until then.
    pub moves: i64,
    /// The booking.
    pub booking: BookingId,
    /// The vaccine.
    pub vaccine: VaccineId,
    /// The citizen.
    pub user: UserId,
    /// Where and when; none, where the booking has no time.
    pub slot: Option<BookedSlot>,
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
    /// When the citizen was checked in, if they were.
    pub checked_in_at: Option<Timestamp>,
    /// When it was completed.
    pub completed_at: Option<Timestamp>,
    /// The record of the injection, if it has one.
    pub record: Option<InjectionRecord>,
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
    /// The citizen is at the desk, and so no no-show.
    #[error("its citizen is checked in; it must become ready first")]
    CheckedIn,
    /// The citizen was missed before.
    #[error("it was marked as a no-show; it must become ready first")]
    NoShow,
    /// The booking has no time.
    #[error("it has no slot, so nobody knows when it starts")]
    NoSlot,
    /// The citizen may still come in time.
    #[error("its slot has not started")]
    NotStarted,
    /// More than [`LATE_MAX`] has passed since a citizen was missed.
    #[error("it was marked as a no-show, and its day is over; it must become ready first")]
    DayOver,
    /// The record is of a later time than now.
    #[error("must not be in the future")]
    OccurredLater,
    /// The record is of a time more than [`OCCURRED_AGO_MAX`] ago.
    #[error("must be at most {} days ago", OCCURRED_AGO_MAX.as_hours() / 24)]
    OccurredTooEarly,
}
