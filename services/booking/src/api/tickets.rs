//! Tickets over HTTP.
//!
//! The response is 200 with the status also when the ticket has become a booking: a client reads one URL
//! until the end without a redirect, and finds "sold out" and "booked" in the same field.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::State,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, LOCATION, RETRY_AFTER},
    },
    response::Response,
};
use contracts::{
    booking::{Ticket, TicketStatus},
    ids::{BookingId, TicketId},
};
use platform_rest::{
    hal::{Link, NO_STORE, Origin},
    json::Id,
    openapi::{NotAcceptable, PathProblem, Unavailable},
    problem::Problem,
    problem_responses,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    domain::{
        NotGranted,
        tickets::{self, TicketEnd},
    },
    protocol::BookingProtocol,
};

const TICKETS: &str = "tickets";

/// Clients that wait retry so that all of them together send about this many requests a second.
const REQUESTS_PER_SECOND: i64 = 4_096;

/// The longest `Retry-After` of a waiting ticket, in seconds.
const RETRY_AFTER_MAX: i64 = 30;

/// A ticket with its links
#[derive(Serialize, ToSchema)]
pub(super) struct TicketItem {
    #[serde(flatten)]
    #[schema(inline)]
    ticket: Ticket,
    #[serde(rename = "_links")]
    links: TicketLinks,
}

/// Its own URL, and that of its booking
#[derive(Serialize, ToSchema)]
struct TicketLinks {
    #[serde(rename = "self")]
    this: Link,
    ticket: Link,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    booking: Option<Link>,
}

/// 202 with a ticket.
pub(super) fn accepted(
    origin: &Origin,
    ticket: &tickets::QueuedTicket,
    position: Option<i64>,
) -> Response {
    let mut response = reply(StatusCode::ACCEPTED, origin, ticket, position);
    let headers = response.headers_mut();
    headers.insert("preference-applied", HeaderValue::from_static("respond-async"));
    if let Ok(location) = HeaderValue::try_from(origin.item(TICKETS, ticket.id)) {
        headers.insert(LOCATION, location);
    }
    response
}

/// Shows a ticket: whether it waits, and what came of it
///
/// Always 200 for a ticket that exists; its `status` shows the rest.
#[utoipa::path(
    get, path = "/tickets/{id}", tag = "bookings",
    params((
        "id" = String, Path, description = "The id of the ticket", format = Uuid,
        example = "3f2504e0-4f89-81d3-9a0c-0305e82c3301"
    )),
    responses(
        (
            status = 200, description = "Found", body = TicketItem,
            content_type = "application/hal+json",
            headers(("Retry-After" = u32, description = "When to read it again, in seconds; while it waits"))
        ),
        PathProblem, NotFound, NotAcceptable, Unavailable,
    )
)]
pub(super) async fn show(
    State(protocol): State<Arc<BookingProtocol>>,
    origin: Origin,
    Id(id): Id<Uuid>,
) -> Result<Response, Problem> {
    let (ticket, position) = protocol.ticket(TicketId(id)).await?;
    Ok(reply(StatusCode::OK, &origin, &ticket, position))
}

problem_responses! {
    /// There is no such ticket
    NotFound = 404;
}

fn reply(
    status: StatusCode,
    origin: &Origin,
    ticket: &tickets::QueuedTicket,
    position: Option<i64>,
) -> Response {
    let (ticket_status, booking_id) = ticket_status(ticket);
    let link = || Link::to(origin.item(TICKETS, ticket.id));
    let item = TicketItem {
        ticket: Ticket {
            ticket_id: ticket.id,
            vaccine_id: ticket.choice.vaccine,
            slot_id: ticket.choice.slot,
            next_slot_id: ticket.choice.next,
            status: ticket_status,
            position,
            booking_id,
        },
        links: TicketLinks {
            this: link(),
            ticket: link(),
            booking: booking_id.map(|id| Link::to(origin.item("bookings", id))),
        },
    };
    let mut response = origin.reply(status, &item);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    if let Some(position) = position {
        let seconds = retry_after(position).as_secs();
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn ticket_status(ticket: &tickets::QueuedTicket) -> (TicketStatus, Option<BookingId>) {
    match ticket.end {
        None => (TicketStatus::Waiting, None),
        Some(TicketEnd::Booked(booking)) => (TicketStatus::Booked, Some(booking)),
        Some(TicketEnd::NotGranted(reason)) => (not_granted(reason), None),
        Some(TicketEnd::KeyReused) => (TicketStatus::KeyReused, None),
    }
}

fn not_granted(reason: NotGranted) -> TicketStatus {
    match reason {
        NotGranted::SoldOut => TicketStatus::SoldOut,
        NotGranted::SlotFull => TicketStatus::SlotFull,
        NotGranted::NoSuchVaccine => TicketStatus::NoSuchVaccine,
        NotGranted::NoSuchSlot => TicketStatus::NoSuchSlot,
        NotGranted::NotOpen => TicketStatus::NotOpen,
        NotGranted::AlreadyBooked => TicketStatus::AlreadyBooked,
        NotGranted::NextSlotFull => TicketStatus::NextSlotFull,
        NotGranted::OutsideInterval => TicketStatus::OutsideInterval,
        NotGranted::SingleDose => TicketStatus::SingleDose,
    }
}

/// When to read a ticket at this position again: it grows with the position, so that a queue of any length
/// causes [`REQUESTS_PER_SECOND`], until it reaches its limit.
fn retry_after(position: i64) -> Duration {
    let seconds = (1 + position / REQUESTS_PER_SECOND).clamp(1, RETRY_AFTER_MAX);
    Duration::from_secs(seconds.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_grows_with_the_position_up_to_its_limit() {
        let seconds =
            [1, 4_095, 4_096, 100_000, 1_000_000].map(|position| retry_after(position).as_secs());
        assert_eq!(seconds, [1, 1, 2, 25, 30]);
    }
}
