//! The decisions about bookings.

use contracts::{
    booking::{Booking, BookingStatus},
    ids::{BookingId, ReservationId},
};
use jiff::Timestamp;

use super::records::{
    Abortable, BookingAttempt, BookingFence, Bookings, CampaignDose, FIRST_DOSE, HeldDose, Record,
    SECOND_DOSE, ticket_of,
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
    /// A new booking for each dose of a series.
    BookedBoth(Box<[Record; 2]>),
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
    /// It is cancelled now, and the second dose of its series too.
    CancelledBoth(Box<[Record; 2]>),
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
    /// The bookings of both doses of its series are cancelled now.
    CancelledBoth(Box<[Record; 2]>),
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
        match self.booking_of(Abortable::Dose(dose.reservation)) {
            Some(known) if known.is_of(attempt) => CreateReply::BookedBefore(known.clone()),
            Some(_) => CreateReply::DoseTaken,
            None => self.create_new(*attempt, dose, *at),
        }
    }

    pub(super) fn create_new(
        &mut self,
        attempt: BookingAttempt,
        dose: &HeldDose,
        at: Timestamp,
    ) -> CreateReply {
        let next = dose.next.as_deref();
        if self.is_taken(dose.reservation) || next.is_some_and(|it| self.is_taken(it.reservation)) {
            return CreateReply::DoseTaken;
        }
        let Ok(counts_as) = self.campaign_dose(attempt.user, dose.slot, FIRST_DOSE) else {
            return CreateReply::AlreadyBooked;
        };
        let Some(next) = next else {
            return CreateReply::Booked(self.add(attempt, dose, counts_as, at));
        };
        match self.campaign_dose(attempt.user, Some(next.slot), SECOND_DOSE) {
            Ok(second) => {
                let first = self.add(attempt, dose, counts_as, at);
                CreateReply::BookedBoth(self.add_second(first, next, second))
            }
            Err(_) => CreateReply::AlreadyBooked,
        }
    }

    /// Whether a dose is booked, or can never be.
    pub(super) fn is_taken(&self, reservation: ReservationId) -> bool {
        let dose = Abortable::Dose(reservation);
        self.booking_of(dose).is_some() || self.is_aborted(dose)
    }

    pub(super) fn add(
        &mut self,
        attempt: BookingAttempt,
        HeldDose { reservation, vaccine_name, slot, next: _ }: &HeldDose,
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
                series: None,
                user_id: attempt.user,
                status: BookingStatus::Booked,
            },
            campaign_dose,
            interval: None,
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
                BookingStatus::Booked => match self.booked(known.second()).cloned() {
                    None => CancelReply::Cancelled(self.set_cancelled(known.clone(), cancel.at)),
                    Some(second) => {
                        let both = [known.clone(), second];
                        CancelReply::CancelledBoth(self.set_both_cancelled(both, cancel.at))
                    }
                },
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
            // The response was that there is no booking: none of both may stand.
            BookingStatus::Booked => match self.other_booked(&record).cloned() {
                None => AbortReply::Cancelled(self.set_cancelled(record, at)),
                Some(other) => {
                    let both =
                        if record.second().is_some() { [record, other] } else { [other, record] };
                    AbortReply::CancelledBoth(self.set_both_cancelled(both, at))
                }
            },
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

    pub(super) fn set_cancelled(&mut self, mut record: Record, at: Timestamp) -> Record {
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
