//! What a body requests of a booking.

use contracts::{booking::BookingChange, ids::SlotId, number::Whole};
use platform_rest::problem::Problem;

use crate::domain::Record;

/// What is requested of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestedChange {
    /// It stays as it is.
    Stay,
    /// It is moved to this slot, and the second dose of its series to another one.
    Move(SlotId, Option<SlotId>),
    /// It is cancelled.
    Cancel,
}

/// What the body requests; the slots are those that it names. `BOOCKED` is how clients of the reference spell it.
pub(super) fn parse(
    body: &BookingChange,
    (slot, next): (Option<SlotId>, Option<SlotId>),
    known: &Record,
) -> Result<RequestedChange, Problem> {
    let booking = &known.booking;
    if next.is_some() && known.second().is_none() {
        return Err(Problem::invalid("nextSlotId", "this booking has no second dose"));
    }
    if next.is_some() && slot.is_none() {
        return Err(Problem::invalid("slotId", "must be given where nextSlotId is"));
    }
    let requested = match (body.status.as_deref(), slot) {
        (Some("BOOKING_CANCELLED"), _) => RequestedChange::Cancel,
        (Some("BOOKED" | "BOOCKED") | None, Some(slot)) => RequestedChange::Move(slot, next),
        (Some("BOOKED" | "BOOCKED"), None) => RequestedChange::Stay,
        (Some(_), _) => {
            return Err(Problem::invalid("status", "must be BOOKED or BOOKING_CANCELLED"));
        }
        (None, None) => {
            return Err(Problem::invalid("status", "must be given, unless a slotId is"));
        }
    };
    unchanged("vaccineId", body.vaccine_id, Some(booking.vaccine_id.0))?;
    unchanged("userId", body.user_id, Some(booking.user_id.0))?;
    if requested == RequestedChange::Cancel {
        unchanged("slotId", body.slot_id, booking.slot.map(|booked| booked.slot_id.0))?;
    }
    Ok(requested)
}

fn unchanged(
    field: &'static str,
    value: Option<Whole>,
    current: Option<i64>,
) -> Result<(), Problem> {
    if value.is_some_and(|Whole(value)| Some(value) != current) {
        return Err(Problem::unchangeable(field, "cancel and book again"));
    }
    Ok(())
}
