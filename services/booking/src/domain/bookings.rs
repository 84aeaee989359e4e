//! The decisions about bookings and their attempts.

use contracts::{
    booking::{Booking, BookingStatus},
    ids::{BookingId, ReservationId},
};
use jiff::Timestamp;

use super::records::{AttemptEnd, BookingAttempt, Bookings, Record};

/// Creates the booking of an attempt whose dose is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateBooking {
    /// The attempt.
    pub attempt: BookingAttempt,
    /// The name of the vaccine.
    pub vaccine_name: String,
    /// When it is booked.
    pub at: Timestamp,
}

/// Cancels a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelBooking {
    /// The booking.
    pub booking: BookingId,
    /// When it is cancelled.
    pub at: Timestamp,
}

/// Resolves an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolveAttempt {
    /// The attempt.
    pub reservation: ReservationId,
    /// When it is resolved.
    pub at: Timestamp,
}

/// Aborts an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortAttempt {
    /// The attempt.
    pub reservation: ReservationId,
    /// When it is aborted.
    pub at: Timestamp,
}

/// Completes the booking of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompleteBooking {
    /// The attempt.
    pub reservation: ReservationId,
    /// When the citizen was vaccinated.
    pub at: Timestamp,
}

/// The reply to [`CreateBooking`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateReply {
    /// A new booking.
    Booked(Record),
    /// The same request was booked before.
    BookedBefore(Record),
    /// Refused: the attempt was aborted.
    Aborted,
    /// Refused: the key belongs to another request.
    KeyReused,
}

/// The reply to [`CancelBooking`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelReply {
    /// Cancelled now.
    Cancelled(Record),
    /// It was cancelled before.
    CancelledBefore(Record),
    /// Refused: no booking has this id.
    NoSuchBooking,
    /// Refused: the citizen was vaccinated.
    Completed,
}

/// The reply to [`ResolveAttempt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveReply {
    /// The attempt has ended with this booking.
    Booked(Record),
    /// The attempt is aborted, now or before.
    Aborted(ReservationId),
    /// Refused: a ticket waits with this attempt, and ends it.
    Waiting,
}

/// The reply to [`AbortAttempt`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbortReply {
    /// The attempt is aborted, now or before.
    Aborted(ReservationId),
    /// Its booking is cancelled now.
    Cancelled(Record),
    /// Its booking was cancelled before.
    CancelledBefore(Record),
    /// Refused: the citizen was vaccinated.
    Completed,
    /// Refused: a ticket waits with this attempt, and ends it.
    Waiting,
}

/// The reply to [`CompleteBooking`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompleteReply {
    /// The booking is completed, now or before.
    Completed(Record),
    /// Refused: the attempt has no booking in this store.
    NoSuchBooking,
}

impl Bookings {
    pub(super) fn create(&mut self, create: &CreateBooking) -> CreateReply {
        match self.end_of(create.attempt.reservation) {
            Some(AttemptEnd::Aborted(_)) => CreateReply::Aborted,
            Some(AttemptEnd::Booked(record))
                if record.fingerprint == create.attempt.fingerprint =>
            {
                CreateReply::BookedBefore(record.clone())
            }
            Some(AttemptEnd::Booked(_)) => CreateReply::KeyReused,
            None => CreateReply::Booked(self.add(create)),
        }
    }

    pub(super) fn add(
        &mut self,
        CreateBooking { attempt, vaccine_name, at }: &CreateBooking,
    ) -> Record {
        self.last_booking += 1;
        let id = BookingId(self.last_booking);
        let record = Record {
            reservation: attempt.reservation,
            booking: Booking {
                booking_id: id,
                vaccine_id: attempt.vaccine,
                vc_name: vaccine_name.clone(),
                user_id: attempt.user,
                status: BookingStatus::Booked,
            },
            fingerprint: attempt.fingerprint,
            booked_at: *at,
            cancelled_at: None,
        };
        self.attempts.insert(attempt.reservation, AttemptEnd::Booked(id));
        self.bookings.insert(id, record.clone());
        record
    }

    pub(super) fn cancel(&mut self, cancel: &CancelBooking) -> CancelReply {
        match self.bookings.get(&cancel.booking) {
            None => CancelReply::NoSuchBooking,
            Some(known) => match known.booking.status {
                BookingStatus::BookingCancelled => CancelReply::CancelledBefore(known.clone()),
                BookingStatus::InjectionCompleted => CancelReply::Completed,
                BookingStatus::Booked => {
                    CancelReply::Cancelled(self.set_cancelled(known.clone(), cancel.at))
                }
            },
        }
    }

    pub(super) fn resolve(&mut self, reservation: ReservationId, at: Timestamp) -> ResolveReply {
        match self.end_of(reservation) {
            Some(AttemptEnd::Booked(record)) => ResolveReply::Booked(record.clone()),
            Some(AttemptEnd::Aborted(_)) => ResolveReply::Aborted(reservation),
            None if self.waiting_attempts.contains(&reservation) => ResolveReply::Waiting,
            None => {
                self.attempts.insert(reservation, AttemptEnd::Aborted(at));
                ResolveReply::Aborted(reservation)
            }
        }
    }

    pub(super) fn abort(&mut self, AbortAttempt { reservation, at }: AbortAttempt) -> AbortReply {
        let record = match self.resolve(reservation, at) {
            ResolveReply::Booked(record) => record,
            ResolveReply::Aborted(aborted) => return AbortReply::Aborted(aborted),
            ResolveReply::Waiting => return AbortReply::Waiting,
        };
        match record.booking.status {
            BookingStatus::BookingCancelled => AbortReply::CancelledBefore(record),
            BookingStatus::InjectionCompleted => AbortReply::Completed,
            BookingStatus::Booked => AbortReply::Cancelled(self.set_cancelled(record, at)),
        }
    }

    pub(super) fn complete(&mut self, reservation: ReservationId) -> CompleteReply {
        match self.end_of(reservation) {
            Some(AttemptEnd::Booked(record)) => {
                let record = self.set(record.clone(), BookingStatus::InjectionCompleted);
                CompleteReply::Completed(record)
            }
            Some(AttemptEnd::Aborted(_)) | None => CompleteReply::NoSuchBooking,
        }
    }

    fn set_cancelled(&mut self, mut record: Record, at: Timestamp) -> Record {
        record.cancelled_at = Some(at);
        self.set(record, BookingStatus::BookingCancelled)
    }

    fn set(&mut self, mut record: Record, status: BookingStatus) -> Record {
        record.booking.status = status;
        self.bookings.insert(record.booking.booking_id, record.clone());
        record
    }

    pub(super) fn end_of(&self, reservation: ReservationId) -> Option<AttemptEnd<&Record>> {
        match self.attempts.get(&reservation)? {
            AttemptEnd::Aborted(at) => Some(AttemptEnd::Aborted(*at)),
            AttemptEnd::Booked(id) => self.bookings.get(id).map(AttemptEnd::Booked),
        }
    }
}
