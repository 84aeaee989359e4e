//! The decisions about bookings.

use contracts::{
    booking::{Booking, BookingStatus},
    ids::{BookingId, ReservationId},
};
use jiff::Timestamp;

use super::{
    live::AlreadyBooked,
    records::{Abortable, BookingAttempt, BookingFence, Bookings, CampaignDose, HeldDose, Record},
    tickets::ticket_of,
};

/// Creates the booking of an attempt with a dose that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateBooking {
    /// The attempt.
    pub attempt: BookingAttempt,
    /// The dose.
    pub dose: HeldDose,
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

/// Resolves a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolveHold {
    /// The reservation.
    pub reservation: ReservationId,
    /// When it is resolved.
    pub at: Timestamp,
}

/// Aborts an attempt, or what became of a dose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort {
    /// What is aborted.
    pub what: Abortable,
    /// When it is aborted.
    pub at: Timestamp,
}

/// Completes the booking of a dose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompleteBooking {
    /// The reservation.
    pub reservation: ReservationId,
    /// When the citizen was vaccinated.
    pub at: Timestamp,
}

/// The reply to [`CreateBooking`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateReply {
    /// A new booking.
    Booked(Record),
    /// The same attempt was booked before.
    BookedBefore(Record),
    /// Refused: the attempt was aborted.
    Aborted,
    /// Refused: the dose was aborted, or is booked for another attempt.
    DoseTaken,
    /// Refused: the key belongs to another request.
    KeyReused,
    /// Refused: the person has as many live bookings of this campaign as may be.
    AlreadyBooked,
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

/// The reply to [`ResolveHold`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveReply {
    /// The dose has this booking.
    Booked(Box<Record>),
    /// The dose is aborted, now or before.
    Aborted(ReservationId),
}

/// The reply to [`Abort`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbortReply {
    /// It is aborted, now or before.
    Aborted(Abortable),
    /// Its booking is cancelled now.
    Cancelled(Record),
    /// Its booking was cancelled before.
    CancelledBefore(Record),
    /// Refused: the citizen was vaccinated.
    Completed,
}

/// The reply to [`CompleteBooking`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompleteReply {
    /// The booking is completed, now or before.
    Completed(Record),
    /// The booking is completed with a dose that it had before it was moved, and has that dose again; the one that it
    /// had instead is released.
    MoveUndone {
        /// The booking.
        record: Record,
        /// The dose that is released.
        released: ReservationId,
    },
    /// Refused: the dose has no booking in this store.
    NoSuchBooking,
}

impl Bookings {
    pub(super) fn create(&mut self, create: &CreateBooking) -> CreateReply {
        let CreateBooking { attempt, dose, at } = create;
        if let Some(known) = attempt.id.and_then(|id| self.booking_of(Abortable::Attempt(id))) {
            if known.fingerprint != attempt.fingerprint {
                return CreateReply::KeyReused;
            }
            return CreateReply::BookedBefore(known.clone());
        }
        let ticket = attempt.id.and_then(|id| self.tickets.get(&ticket_of(id)));
        if ticket.is_some_and(|ticket| Some(ticket.fingerprint) != attempt.fingerprint) {
            return CreateReply::KeyReused;
        }
        if attempt.id.is_some_and(|id| self.is_aborted(Abortable::Attempt(id))) {
            return CreateReply::Aborted;
        }
        let of_dose = Abortable::Dose(dose.reservation);
        match self.booking_of(of_dose) {
            Some(known) if known.is_of(attempt) => CreateReply::BookedBefore(known.clone()),
            Some(_) => CreateReply::DoseTaken,
            None if self.is_aborted(of_dose) => CreateReply::DoseTaken,
            None => match self.campaign_dose(attempt.user, dose) {
                Ok(counts_as) => CreateReply::Booked(self.add(*attempt, dose, counts_as, *at)),
                Err(AlreadyBooked) => CreateReply::AlreadyBooked,
            },
        }
    }

    pub(super) fn add(
        &mut self,
        attempt: BookingAttempt,
        HeldDose { reservation, vaccine_name, slot }: &HeldDose,
        campaign_dose: Option<CampaignDose>,
        at: Timestamp,
    ) -> Record {
        self.last_booking += 1;
        let id = BookingId(self.last_booking);
        let record = Record {
            attempt: attempt.id,
            reservation: *reservation,
            previous: Vec::new(),
            booking: Booking {
                booking_id: id,
                vaccine_id: attempt.choice.vaccine,
                vc_name: vaccine_name.clone(),
                slot: slot.map(|slot| slot.booked),
                user_id: attempt.user,
                status: BookingStatus::Booked,
            },
            campaign_dose,
            fingerprint: attempt.fingerprint,
            booked_at: at,
            cancelled_at: None,
        };
        self.index(&record);
        self.count(&record);
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

    pub(super) fn resolve(&mut self, ResolveHold { reservation, at }: ResolveHold) -> ResolveReply {
        let dose = Abortable::Dose(reservation);
        if let Some(record) = self.booking_of(dose) {
            return ResolveReply::Booked(Box::new(record.clone()));
        }
        self.fence(dose, at);
        ResolveReply::Aborted(reservation)
    }

    pub(super) fn abort(&mut self, Abort { what, at }: Abort) -> AbortReply {
        let Some(record) = self.booking_of(what).cloned() else {
            self.fence(what, at);
            return AbortReply::Aborted(what);
        };
        match record.booking.status {
            BookingStatus::BookingCancelled => AbortReply::CancelledBefore(record),
            BookingStatus::InjectionCompleted => AbortReply::Completed,
            BookingStatus::Booked => AbortReply::Cancelled(self.set_cancelled(record, at)),
        }
    }

    pub(super) fn complete(
        &mut self,
        CompleteBooking { reservation, at }: CompleteBooking,
    ) -> CompleteReply {
        match self.booking_of(Abortable::Dose(reservation)).cloned() {
            Some(record) => CompleteReply::Completed(self.set_completed(record)),
            None => self.complete_with_former(reservation, at),
        }
    }

    fn set_cancelled(&mut self, mut record: Record, at: Timestamp) -> Record {
        self.uncount(&record);
        record.cancelled_at = Some(at);
        self.set(record, BookingStatus::BookingCancelled)
    }

    pub(super) fn set_completed(&mut self, record: Record) -> Record {
        self.count(&record);
        self.set(record, BookingStatus::InjectionCompleted)
    }

    fn set(&mut self, mut record: Record, status: BookingStatus) -> Record {
        record.booking.status = status;
        self.bookings.insert(record.booking.booking_id, record.clone());
        record
    }

    pub(super) fn booking_of(&self, what: Abortable) -> Option<&Record> {
        let id = match what {
            Abortable::Attempt(attempt) => self.of_attempt.get(&attempt),
            Abortable::Dose(reservation) => self.of_dose.get(&reservation),
        };
        self.bookings.get(id?)
    }

    pub(super) fn is_aborted(&self, what: Abortable) -> bool {
        self.aborted.contains(&what.id())
    }

    /// Once is enough.
    pub(super) fn fence(&mut self, what: Abortable, at: Timestamp) {
        if !self.is_aborted(what) {
            self.aborted.insert(what.id(), BookingFence { at, former: None });
        }
    }
}
