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
    booking::{Booking, BookingStatus},
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
        let second = self.second_of(&known, next).await?;
        if is_at(&known.booking, slot) && is_second_at(second.as_ref(), next) {
            return Ok(known.booking);
        }
        if second.is_some_and(|second| second.status != BookingStatus::Booked) {
            return Err(BookingError::Cancelled);
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
            MoveReply::Changed => self.moved_by_another(booking, (slot, next)).await,
            MoveReply::OutsideInterval => Err(NotGranted::OutsideInterval.into()),
            MoveReply::AlreadyBooked => Err(NotGranted::AlreadyBooked.into()),
            MoveReply::TooOften => Err(BookingError::MovedTooOften),
            MoveReply::NoSuchBooking => Err(BookingError::NoSuchBooking),
            MoveReply::Cancelled => Err(BookingError::Cancelled),
            MoveReply::Completed => Err(BookingError::Completed),
        }
    }

    /// The second dose of a series, if it is to be moved too.
    async fn second_of(
        &self,
        first: &Record,
        next: Option<SlotId>,
    ) -> Result<Option<Booking>, BookingError> {
        match first.second().filter(|_| next.is_some()) {
            None => Ok(None),
            Some(second) => Ok(self.queries.booking(second).await?),
        }
    }

    /// The booking, if another request has moved it to the same slot, and its second dose too.
    async fn moved_by_another(
        &self,
        booking: BookingId,
        (slot, next): (SlotId, Option<SlotId>),
    ) -> Result<Booking, BookingError> {
        let first = self.queries.record(booking).await?.ok_or(BookingError::NoSuchBooking)?;
        let second = self.second_of(&first, next).await?;
        let is_same = is_at(&first.booking, slot) && is_second_at(second.as_ref(), next);
        if is_same { Ok(first.booking) } else { Err(BookingError::MovedMeanwhile) }
    }
}

/// Whether the second dose of a series stands at this slot, if it is to be moved.
fn is_second_at(second: Option<&Booking>, next: Option<SlotId>) -> bool {
    next.is_none_or(|next| {
        second.is_some_and(|it| it.status == BookingStatus::Booked && is_at(it, next))
    })
}

fn is_at(booking: &Booking, slot: SlotId) -> bool {
    booking.slot.is_some_and(|booked| booked.slot_id == slot)
}
