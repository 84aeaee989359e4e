//! What is told after a decision, and what bookings say, as commands.

use contracts::{
    event::{self, CloudEvent, Completed, EventType},
    injection::Injection,
};
use eventing::Hears;
use storage::outbox::Event;

use crate::{
    domain::{Appointment, Booked, Command, Done, Outcome},
    store::Book,
};

/// What has to be told about an outcome.
pub fn of(command: &Command, outcome: &Outcome) -> serde_json::Result<Option<Event>> {
    let (Command::Complete { at, .. }, Ok(Done::Completed(done))) = (command, outcome) else {
        return Ok(None);
    };
    let completed =
        Completed { reservation_id: done.booked.reservation, injection: injection(done) };
    Event::of(EventType::Completed.name(), at.as_millisecond(), &completed).map(Some)
}

/// An appointment as everybody may see it.
pub fn injection(appointment: &Appointment) -> Injection {
    let Appointment { id, booked, status } = appointment;
    Injection {
        injection_id: *id,
        booking_id: booked.booking,
        vaccine_id: booked.vaccine,
        user_id: booked.user,
        status: *status,
    }
}

impl Hears for Book {
    fn command(event: &CloudEvent) -> serde_json::Result<Option<Command>> {
        let command = match event.r#type {
            EventType::Booked => Command::Expect,
            EventType::BookingCancelled => Command::CallOff,
            EventType::Registered
            | EventType::StockAdded
            | EventType::StockModified
            | EventType::ReservationAbandoned
            | EventType::Completed
            | EventType::Other(_) => return Ok(None),
        };
        let event::Booked { reservation_id, booking } = serde_json::from_str(event.data.get())?;
        Ok(Some(command(Booked {
            reservation: reservation_id,
            booking: booking.booking_id,
            vaccine: booking.vaccine_id,
            user: booking.user_id,
        })))
    }

    /// Cancelled too late: the citizen was vaccinated already.
    fn without_effect(outcome: &Outcome) -> Option<String> {
        outcome.as_ref().err().map(ToString::to_string)
    }
}
