//! Moving a booking to another slot.
//!
//! 1. `vaccine` holds a dose with a place of the new slot, or refuses: then the booking stands as it is.
//! 2. In one commit the booking gets that dose and its slot, with the event that releases the former dose.
//!
//! Where the answer to step 2 is lost, the booking has one of both doses. The new one is never aborted, since the booking
//! may have it: it is resolved as it is, and released if the booking does not have it. A repeated request finds
//! the booking at its slot, or moves it.

use std::{sync::Arc, time::Instant};

use contracts::{
    booking::Booking,
    ids::{BookingId, SlotId},
};
use platform_telemetry::clock;

use super::{BookingError, BookingProtocol};
use crate::domain::{Choice, MOVES_MAX, MoveBooking, MoveReply, NotGranted, Record};

impl BookingProtocol {
    /// Moves a booking, as the caller has read it, to a slot; with a second slot the second dose of its series too, both
    /// or neither. Nothing changes if they are there already.
    ///
    /// Dropped before it has returned, it leaves the booking at one of both slots, and a place of the other to others.
    pub async fn move_booking(
        self: &Arc<Self>,
        known: Record,
        (slot, next): (SlotId, Option<SlotId>),
        deadline: Instant,
    ) -> Result<Booking, BookingError> {
        if is_at(&known.booking, slot) && self.is_second_at(&known, next).await? {
            return Ok(known.booking);
        }
        if known.previous.len() >= MOVES_MAX {
            return Err(BookingError::MovedTooOften);
        }
        let choice = Choice { slot: Some(slot), next, ..known.choice() };
        let dose = self.doses.take(choice, deadline).await?;
        let booking = known.booking.booking_id;
        let (from, held) = (known.reservation, dose.held());
        let command = MoveBooking { booking, from, dose: held, at: clock::now() };
        let (moved, dose) = self.submit_with(dose, command, true, deadline).await?;
        match moved {
            MoveReply::Moved(record) | MoveReply::MovedBefore(record) => {
                dose.spend();
                Ok(record.booking)
            }
            MoveReply::MovedBoth(both) => {
                dose.spend();
                let [first, _] = *both;
                Ok(first.booking)
            }
            MoveReply::DoseTaken => {
                dose.spend();
                Err(BookingError::RetryLater)
            }
            MoveReply::Changed => self.moved_by_another(booking, slot).await,
            MoveReply::OutsideInterval => Err(NotGranted::OutsideInterval.into()),
            MoveReply::AlreadyBooked => Err(NotGranted::AlreadyBooked.into()),
            MoveReply::TooOften => Err(BookingError::MovedTooOften),
            MoveReply::NoSuchBooking => Err(BookingError::NoSuchBooking),
            MoveReply::Cancelled => Err(BookingError::Cancelled),
            MoveReply::Completed => Err(BookingError::Completed),
        }
    }

    /// Whether the second dose of a series is at this slot, if one is wanted.
    async fn is_second_at(
        &self,
        known: &Record,
        next: Option<SlotId>,
    ) -> Result<bool, BookingError> {
        let Some(next) = next else { return Ok(true) };
        let Some(second) = known.second() else { return Ok(false) };
        let second = self.queries.booking(second).await?;
        Ok(second.is_some_and(|booking| is_at(&booking, next)))
    }

    /// The booking, if another request has moved it to the same slot.
    async fn moved_by_another(
        &self,
        booking: BookingId,
        slot: SlotId,
    ) -> Result<Booking, BookingError> {
        let booking = self.queries.booking(booking).await?;
        booking.filter(|booking| is_at(booking, slot)).ok_or(BookingError::MovedMeanwhile)
    }
}

fn is_at(booking: &Booking, slot: SlotId) -> bool {
    booking.slot.is_some_and(|booked| booked.slot_id == slot)
}
