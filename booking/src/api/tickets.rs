//! Tickets over HTTP: `Prefer: respond-async` (RFC 7240), and one address that says how it stands.
//!
//! That address always answers 200 with the status, also when the ticket has turned into a booking:
//! a client that follows one address to its end needs no redirect, and reads "sold out" and "booked"
//! in the same way.

use std::time::Duration;

use axum::{
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, LOCATION, RETRY_AFTER},
    },
    response::Response,
};
use chassis::{
    hal::{Link, MEDIA_TYPE, Origin},
    json::{self, Id},
    problem::Problem,
};
use contracts::{
    booking::{Ticket, TicketStatus},
    ids::{BookingId, TicketId},
};
use serde::Serialize;
use uuid::Uuid;

use super::{BOOKINGS, Shared, problem};
use crate::{
    bookings::{Bookings, Key, Request},
    domain::tickets::{self, End},
    tickets::Given,
};

const TICKETS: &str = "tickets";

/// Clients that wait are told to ask so that about this many ask in a second.
const ASKED_PER_SECOND: i64 = 4_096;

/// The longest time until a client that waits is told to ask again, in seconds.
const ASK_AGAIN_MAX: i64 = 30;

/// A ticket with its links.
#[derive(Serialize)]
struct Item {
    #[serde(flatten)]
    ticket: Ticket,
    _links: Links,
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    this: Link,
    ticket: Link,
    #[serde(skip_serializing_if = "Option::is_none")]
    booking: Option<Link>,
}

/// 202 with the ticket, instead of a booking or of a 503; 201 if the key stands for a booking
/// already.
pub(super) async fn queue(
    bookings: &Bookings,
    origin: &Origin,
    request: &Request,
    key: &Key,
) -> Result<Response, Problem> {
    let (ticket, position) = match bookings.queue(request, key).await.map_err(problem)? {
        Given::Booking(booking) => {
            return Ok(BOOKINGS.created(origin, booking.booking_id, booking));
        }
        Given::Ticket(ticket, position) => (ticket, position),
    };
    let mut response = reply(StatusCode::ACCEPTED, origin, &ticket, position);
    let headers = response.headers_mut();
    headers.insert("preference-applied", HeaderValue::from_static("respond-async"));
    if let Ok(location) = HeaderValue::try_from(origin.item(TICKETS, ticket.id)) {
        headers.insert(LOCATION, location);
    }
    Ok(response)
}

pub(super) async fn show(
    State(bookings): Shared,
    origin: Origin,
    Id(id): Id<Uuid>,
) -> Result<Response, Problem> {
    let (ticket, position) = bookings.ticket(TicketId(id)).await.map_err(problem)?;
    Ok(reply(StatusCode::OK, &origin, &ticket, position))
}

/// Whether the client would rather have a ticket than wait. Quoted text is no preference.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut preferences =
        values.flat_map(|value| value.split('"').step_by(2)).flat_map(|plain| plain.split(','));
    preferences.any(|preference| {
        let name = preference.split(';').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("respond-async")
    })
}

fn reply(
    status: StatusCode,
    origin: &Origin,
    ticket: &tickets::Ticket,
    position: Option<i64>,
) -> Response {
    let (standing, booking_id) = standing(ticket);
    let address = || Link::to(origin.item(TICKETS, ticket.id));
    let item = Item {
        ticket: Ticket {
            ticket_id: ticket.id,
            vaccine_id: ticket.vaccine,
            status: standing,
            position,
            booking_id,
        },
        _links: Links {
            this: address(),
            ticket: address(),
            booking: booking_id.map(|id| Link::to(origin.item(BOOKINGS.plural, id))),
        },
    };
    let mut response = json::reply(status, MEDIA_TYPE, &item);
    // What is true of a ticket now is not true in a second.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(position) = position {
        let seconds = ask_again_after(position).as_secs();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn standing(ticket: &tickets::Ticket) -> (TicketStatus, Option<BookingId>) {
    match ticket.ended.map(|ended| ended.with) {
        None => (TicketStatus::Waiting, None),
        Some(End::Booked(booking)) => (TicketStatus::Booked, Some(booking)),
        Some(End::SoldOut) => (TicketStatus::SoldOut, None),
        Some(End::NoSuchVaccine) => (TicketStatus::NoSuchVaccine, None),
        Some(End::KeyReused) => (TicketStatus::KeyReused, None),
        Some(End::GivenUp) => (TicketStatus::GivenUp, None),
    }
}

/// When a client at this place of the line should ask again: the one place that decides it. However
/// long the line, those who wait in it ask no more often than [`ASKED_PER_SECOND`] in all, until
/// the wait reaches its limit.
fn ask_again_after(position: i64) -> Duration {
    let seconds = (1 + position / ASKED_PER_SECOND).clamp(1, ASK_AGAIN_MAX);
    Duration::from_secs(seconds.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_further_back_is_told_to_ask_later() {
        let seconds = [1, 4_095, 4_096, 100_000, 1_000_000]
            .map(|position| ask_again_after(position).as_secs());
        assert_eq!(seconds, [1, 1, 2, 25, 30]);
    }

    #[test]
    fn the_preference_is_found_among_others() {
        let wanted = |values: &[&'static str]| {
            let values = values.iter().map(|value| HeaderValue::from_static(value));
            is_wanted(&values.map(|value| ("prefer".parse().expect("a name"), value)).collect())
        };
        assert!(wanted(&["respond-async"]));
        assert!(wanted(&["return=minimal, Respond-Async; x=1, wait=10"]));
        assert!(wanted(&["return=minimal", "respond-async"]));
        assert!(wanted(&[r#"note="a, b",respond-async"#]));
        assert!(!wanted(&[]));
        assert!(!wanted(&["respond-asynchronously"]));
        assert!(!wanted(&[r#"note="a, respond-async, b""#]));
    }
}
