//! What a body requests of a booking.

use contracts::{
    booking::{Booking, BookingChange},
    ids::SlotId,
    number::Whole,
};
use platform_rest::problem::Problem;

/// What is requested of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestedChange {
    /// It stays as it is.
    Stay,
    /// It is moved to this slot.
    Move(SlotId),
    /// It is cancelled.
    Cancel,
}

/// What the body requests; the slot is the one that it names. `BOOCKED` is how clients of the reference spell it.
pub(super) fn parse(
    body: &BookingChange,
    slot: Option<SlotId>,
    booking: &Booking,
) -> Result<RequestedChange, Problem> {
    let requested = match (body.status.as_deref(), slot) {
        (Some("BOOKING_CANCELLED"), _) => RequestedChange::Cancel,
        (Some("BOOKED" | "BOOCKED") | None, Some(slot)) => RequestedChange::Move(slot),
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
