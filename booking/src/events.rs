//! What is told after a decision, and what others say about bookings, as commands.

use contracts::{
    booking::BookingStatus,
    event::{Booked, CloudEvent, EventType, ReservationAbandoned},
    ids::ReservationId,
};
use eventing::Hears;
use jiff::Timestamp;
use storage::outbox::Event;

use crate::{
    domain::{Command, Done, Outcome, Record, tickets::End},
    store::Book,
};

/// What has to be told about an outcome.
///
/// A settled attempt is told again each time somebody asks: who asks may have missed it.
pub fn of(command: &Command, outcome: &Outcome) -> serde_json::Result<Option<Event>> {
    let at = match command {
        Command::Book(book) => book.at,
        Command::Serve(serve) => serve.at,
        Command::Cancel { at, .. } | Command::Settle { at, .. } | Command::GiveUp { at, .. } => *at,
        // Whoever said the one has told everybody, and after the other nothing has happened yet.
        Command::Complete { .. } | Command::Enqueue(_) => return Ok(None),
    };
    match outcome {
        Ok(Done::Booked(record) | Done::Cancelled(record) | Done::Stands(record)) => {
            standing(record, at).map(Some)
        }
        Ok(
            Done::Abandoned(reservation)
            | Done::AbandonedBefore(reservation)
            | Done::GoesOn { spent: reservation, ticket: _ },
        ) => abandoned(*reservation, at).map(Some),
        Ok(Done::Ended(ticket)) => match ticket.ended.map(|ended| ended.with) {
            Some(End::SoldOut | End::NoSuchVaccine | End::GivenUp) => {
                abandoned(ticket.reservation, at).map(Some)
            }
            Some(End::Booked(_) | End::KeyReused) | None => Ok(None),
        },
        Ok(
            Done::BookedBefore(_)
            | Done::CancelledBefore(_)
            | Done::Completed(_)
            | Done::Queued(_)
            | Done::QueuedBefore(_)
            | Done::Unmoved(_),
        )
        | Err(_) => Ok(None),
    }
}

fn abandoned(reservation: ReservationId, at: Timestamp) -> serde_json::Result<Event> {
    let abandoned = ReservationAbandoned { reservation_id: reservation };
    Event::of(EventType::ReservationAbandoned.name(), at.as_millisecond(), &abandoned)
}

fn standing(record: &Record, at: Timestamp) -> serde_json::Result<Event> {
    let r#type = match record.booking.status {
        BookingStatus::Booked | BookingStatus::InjectionCompleted => EventType::Booked,
        BookingStatus::BookingCancelled => EventType::BookingCancelled,
    };
    let booked = Booked { reservation_id: record.reservation, booking: record.booking.clone() };
    Event::of(r#type.name(), at.as_millisecond(), &booked)
}

impl Hears for Book {
    fn command(event: &CloudEvent) -> serde_json::Result<Option<Command>> {
        if event.r#type != EventType::Completed {
            return Ok(None);
        }
        let ReservationAbandoned { reservation_id } = serde_json::from_str(event.data.get())?;
        Ok(Some(Command::Complete { reservation: reservation_id }))
    }

    /// A booking that is not here is another store's.
    fn without_effect(_: &Outcome) -> Option<String> {
        None
    }
}
