//! The decisions about moving a booking to another slot.
//!
//! The booking gets a dose that is held with a place of the new slot, and the one that it had is fenced: both in one
//! decision. If the former dose was used, since the desk did not know of the move yet, the booking is completed with that
//! dose: the move is undone.

use contracts::{
    booking::{BookedSlot, BookingStatus},
    ids::{BookingId, ReservationId},
};
use jiff::Timestamp;

use super::{
    bookings::CompleteReply,
    records::{BookingFence, Bookings, FormerDose, HeldDose, Record},
};

/// How often a booking may be moved; once more is refused with [`MoveReply::TooOften`].
pub const MOVES_MAX: usize = 16;

/// Moves a booking to the slot of a dose that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveBooking {
    /// The booking.
    pub booking: BookingId,
    /// The reservation that it had when its caller read it.
    pub from: ReservationId,
    /// The dose, of the same vaccine.
    pub dose: HeldDose,
    /// When it is moved.
    pub at: Timestamp,
}

/// The reply to [`MoveBooking`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveReply {
    /// Moved now.
    Moved(Record),
    /// Both doses of a series are moved now.
    MovedBoth(Box<[Record; 2]>),
    /// It was moved to this dose before.
    MovedBefore(Record),
    /// Refused: the dose was aborted, or is booked.
    DoseTaken,
    /// Refused: another move came first.
    Changed,
    /// Refused: it was moved [`MOVES_MAX`] times.
    TooOften,
    /// Refused: the person has as many live bookings of the campaign of the new slot as may be.
    AlreadyBooked,
    /// Refused: the second dose of its series would be too early or too late.
    OutsideInterval,
    /// Refused: no booking has this id.
    NoSuchBooking,
    /// Refused: it was cancelled.
    Cancelled,
    /// Refused: the citizen was vaccinated.
    Completed,
}

impl Bookings {
    pub(super) fn move_booking(&mut self, command: &MoveBooking) -> MoveReply {
        let MoveBooking { booking, from, dose, at } = command;
        let Some(known) = self.bookings.get(booking) else { return MoveReply::NoSuchBooking };
        match known.booking.status {
            BookingStatus::BookingCancelled => MoveReply::Cancelled,
            BookingStatus::InjectionCompleted => MoveReply::Completed,
            BookingStatus::Booked if known.reservation == dose.reservation => {
                MoveReply::MovedBefore(known.clone())
            }
            BookingStatus::Booked if known.reservation != *from => MoveReply::Changed,
            BookingStatus::Booked if known.previous.len() >= MOVES_MAX => MoveReply::TooOften,
            BookingStatus::Booked => self.move_to(known.clone(), dose, *at),
        }
    }

    fn move_to(&mut self, first: Record, dose: &HeldDose, at: Timestamp) -> MoveReply {
        let next = dose.next.as_deref();
        if self.is_taken(dose.reservation) || next.is_some_and(|it| self.is_taken(it.reservation)) {
            return MoveReply::DoseTaken;
        }
        let Ok(counts_as) = self.campaign_dose_at(&first, dose.slot) else {
            return MoveReply::AlreadyBooked;
        };
        let slot = dose.slot.map(|slot| slot.booked);
        let Some(next) = next else {
            if !self.is_within_interval(&first, slot) {
                return MoveReply::OutsideInterval;
            }
            let first = self.count_as(first, counts_as);
            return MoveReply::Moved(self.exchange(first, dose.reservation, slot, at));
        };
        let Some(second) = self.booked(first.second()).cloned() else {
            return MoveReply::Changed;
        };
        if second.previous.len() >= MOVES_MAX {
            return MoveReply::TooOften;
        }
        let Ok(second_counts_as) = self.campaign_dose_at(&second, Some(next.slot)) else {
            return MoveReply::AlreadyBooked;
        };
        let mut first = self.count_as(first, counts_as);
        let mut second = self.count_as(second, second_counts_as);
        (first.interval, second.interval) = (Some(next.interval), Some(next.interval));
        let both = [
            self.exchange(first, dose.reservation, slot, at),
            self.exchange(second, next.reservation, Some(next.slot.booked), at),
        ];
        MoveReply::MovedBoth(Box::new(both))
    }

    fn exchange(
        &mut self,
        record: Record,
        reservation: ReservationId,
        slot: Option<BookedSlot>,
        at: Timestamp,
    ) -> Record {
        let booking = record.booking.booking_id;
        self.replace_dose(record, reservation, FormerDose { booking, slot }, at)
    }

    /// The booking that had a dose before is completed with it, and the dose that it has now is released. A booking that
    /// was completed stays as it is: its dose was used too.
    pub(super) fn complete_with_former(
        &mut self,
        reservation: ReservationId,
        at: Timestamp,
    ) -> CompleteReply {
        let fence = self.aborted.get(&reservation.0);
        let Some(former) = fence.and_then(|fence| fence.former) else {
            return CompleteReply::NoSuchBooking;
        };
        let Some(known) = self.bookings.get(&former.booking).cloned() else {
            return CompleteReply::NoSuchBooking;
        };
        if known.booking.status == BookingStatus::InjectionCompleted {
            return CompleteReply::Completed(known);
        }
        let released = known.reservation;
        let record = self.replace_dose(known, reservation, former, at);
        let record = self.set_completed(record);
        CompleteReply::MoveUndone { record, released }
    }

    /// The booking with this dose and its slot; that which it had can never become a booking again, and leads to it.
    fn replace_dose(
        &mut self,
        mut record: Record,
        reservation: ReservationId,
        FormerDose { booking, slot }: FormerDose,
        at: Timestamp,
    ) -> Record {
        let former = FormerDose { booking, slot: record.booking.slot };
        self.aborted.insert(record.reservation.0, BookingFence { at, former: Some(former) });
        self.of_dose.remove(&record.reservation);
        record.previous.push(record.reservation);
        (record.reservation, record.booking.slot) = (reservation, slot);
        self.index(&record);
        self.bookings.insert(booking, record.clone());
        record
    }
}
