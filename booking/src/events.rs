//! What is told after a decision.

use contracts::{
    booking::BookingStatus,
    event::{Booked, EventType, ReservationAbandoned},
};

use crate::domain::{Done, Outcome, Record};

/// An event before it has its place in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub r#type: EventType,
    /// The event itself, JSON.
    pub data: String,
}

/// What has to be told about an outcome.
///
/// A settled attempt is told again each time somebody asks: who asks may have missed it.
pub fn of(outcome: &Outcome) -> serde_json::Result<Option<Event>> {
    match outcome {
        Ok(Done::Booked(record) | Done::Cancelled(record) | Done::Stands(record)) => {
            standing(record).map(Some)
        }
        Ok(Done::Abandoned(reservation) | Done::AbandonedBefore(reservation)) => {
            let data =
                serde_json::to_string(&ReservationAbandoned { reservation_id: *reservation })?;
            Ok(Some(Event { r#type: EventType::ReservationAbandoned, data }))
        }
        Ok(Done::BookedBefore(_) | Done::CancelledBefore(_)) | Err(_) => Ok(None),
    }
}

fn standing(record: &Record) -> serde_json::Result<Event> {
    let r#type = match record.booking.status {
        BookingStatus::Booked => EventType::Booked,
        BookingStatus::BookingCancelled => EventType::BookingCancelled,
    };
    let booked = Booked { reservation_id: record.reservation, booking: record.booking.clone() };
    Ok(Event { r#type, data: serde_json::to_string(&booked)? })
}
