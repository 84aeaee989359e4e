//! The HTTP side of bookings: routes, handlers, and the status of each error.

use std::{sync::Arc, time::Instant};

use axum::{Router, extract::State, http::StatusCode, response::Response};
use contracts::{
    booking::{Booking, BookingBody, BookingChange, BookingStatus},
    ids::{BookingId, SlotId, UserId, VaccineId},
    number::{WHOLE_MAX, Whole},
};
use platform_rest::{
    RequestDeadline,
    etag::{self, IfMatch},
    hal::{Collection, HalItem, HalPage, Origin},
    index::{self, ServiceCollections},
    json::{Id, Json},
    openapi::{
        BodyProblems, Changed, Condition, ConditionProblem, Found, NotAcceptable, PageOf,
        Unavailable,
    },
    pagination::{PageParams, PageRequest},
    problem::Problem,
    problem_responses,
};
use serde_json::json;
use utoipa::{IntoResponses, OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{change::RequestedChange, headers::BookingHeaders, tickets::TicketItem};
use crate::{
    domain::{Choice, Fingerprint},
    protocol::{Accepted, BookingError, BookingProtocol, BookingRequest, IdempotencyKey},
};

mod change;
mod headers;
mod refused;
mod tickets;

const BOOKINGS: Collection =
    Collection { plural: "bookings", singular: "booking", is_personal: true, searches: &[] };

pub(crate) const COLLECTIONS: ServiceCollections =
    ServiceCollections { service: "booking", collections: &[BOOKINGS] };

type Protocol = State<Arc<BookingProtocol>>;

#[derive(OpenApi)]
#[openapi(
    info(title = "anticorona booking", description = "Takes and cancels bookings."),
    components(schemas(Problem, HalItem<Booking>, HalPage<Booking>))
)]
struct Document;

fn routes() -> OpenApiRouter<Arc<BookingProtocol>> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(index::routes(&[COLLECTIONS], None))
        .routes(routes!(list, book))
        .routes(routes!(show, replace, update, cancel))
        .routes(routes!(tickets::show))
}

/// The routes of bookings.
pub fn router(protocol: Arc<BookingProtocol>) -> Router {
    index::with_document(COLLECTIONS.service, routes().with_state(protocol))
}

/// Their OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// Takes a booking
///
/// With an `Idempotency-Key`, the same request of a user gets the same booking, for as long as it exists.
/// With `Prefer: respond-async` too, the response is a ticket: the request waits in the queue, in the order of
/// arrival, and the ticket shows what came of it.
#[utoipa::path(
    post, path = "/bookings", tag = "bookings",
    params(
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Chosen by the client, new for every booking that it wants; visible ASCII characters",
            nullable = false, min_length = 1, max_length = 255, pattern = "^[!-~]+$", example = "9f86d081-1"
        ),
        (
            "Prefer" = Option<String>, Header,
            description = "`respond-async` (RFC 7240) requests a ticket. Needs an `Idempotency-Key`",
            nullable = false, example = "respond-async"
        ),
    ),
    request_body(
        content = BookingBody,
        examples(
            ("short" = (value = json!({"vaccineId": 1, "userId": 5}))),
            ("slot" = (summary = "At a time", value = json!({"vaccineId": 1, "slotId": 7, "userId": 5}))),
            ("series" = (
                summary = "Two doses, both or neither; the second at the first free time, if no slot is given",
                value = json!({
                    "vaccineId": 1, "slotId": 7, "userId": 5, "plan": "series", "nextSlotId": 205
                })
            )),
            ("reference" = (
                summary = "As clients of the reference send it; the status is ignored",
                value = json!({"vaccineId": 1, "vcName": "FIZER", "userId": 5, "status": "BOOCKED"})
            )),
        )
    ),
    responses(
        (
            status = 201, description = "Booked", body = HalItem<Booking>,
            content_type = "application/hal+json",
            headers(("Location" = String, description = "The URL of the booking"))
        ),
        (
            status = 200, description = "Booked before with this key, and cancelled or completed since",
            body = HalItem<Booking>, content_type = "application/hal+json"
        ),
        (
            status = 202, description = "Queued", body = TicketItem,
            content_type = "application/hal+json",
            headers(
                ("Location" = String, description = "The URL of the ticket"),
                ("Preference-Applied" = String, description = "`respond-async`"),
                ("Retry-After" = u32, description = "When to read the ticket, in seconds; while it waits"),
            )
        ),
        Refused, NotAcceptable, BodyProblems, Unavailable,
    )
)]
async fn book(
    State(protocol): Protocol,
    origin: Origin,
    headers: BookingHeaders,
    RequestDeadline(deadline): RequestDeadline,
    Json(body): Json<BookingBody>,
) -> Result<Response, Problem> {
    let request = parse(&body, headers, deadline)?;
    let choice = request.choice;
    let is_series = body.plan.is_some();
    let booked = if is_series && choice.next.is_none() {
        protocol.book_series(request).await
    } else {
        protocol.book(request).await
    };
    let accepted = match booked {
        Ok(accepted) => accepted,
        Err(error) => return Err(refused::problem(&protocol, error, choice).await),
    };
    Ok(match accepted {
        Accepted::Booking(booking) if booking.status == BookingStatus::Booked => {
            BOOKINGS.created(&origin, booking.booking_id, booking)
        }
        Accepted::Booking(ended) => BOOKINGS.ok(&origin, ended.booking_id, ended),
        Accepted::Ticket(ticket, position) => tickets::accepted(&origin, &ticket, position),
    })
}

/// Lists bookings in the order of their numbers
#[utoipa::path(
    get, path = "/bookings", tag = "bookings", params(PageParams),
    responses(PageOf<Booking>, Unavailable)
)]
async fn list(
    State(protocol): Protocol,
    origin: Origin,
    page: PageRequest,
) -> Result<Response, Problem> {
    let list = protocol.queries.bookings(page.range).await?;
    Ok(BOOKINGS.page(&origin, &page, list, |id, _| id))
}

/// Shows a booking
#[utoipa::path(
    get, path = "/bookings/{id}", tag = "bookings",
    params(("id" = i64, Path, description = "The number of the booking", minimum = 1, example = 1)),
    responses(Found<Booking>, NotFound, Unavailable)
)]
async fn show(
    State(protocol): Protocol,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    Ok(BOOKINGS.ok(&origin, id, find(&protocol, id).await?))
}

/// Moves a booking to another slot, or cancels it
///
/// With a `slotId` it is moved: a place of the new slot is taken first, and the place that it had is given back when the
/// booking has the new one. It is refused as a new booking would be, and stands where it is then. The first dose of a
/// series can be moved together with the second (`nextSlotId`), both or neither; alone, only as far as the second is
/// neither too early nor too late. Who cancels the first dose cancels the second.
#[utoipa::path(
    put, path = "/bookings/{id}", tag = "bookings",
    params(
        ("id" = i64, Path, description = "The number of the booking", minimum = 1, example = 1),
        Condition,
    ),
    request_body(
        content = BookingChange,
        examples(
            ("cancel" = (value = json!({"vaccineId": 1, "userId": 5, "status": "BOOKING_CANCELLED"}))),
            ("move" = (value = json!({"vaccineId": 1, "userId": 5, "slotId": 7, "status": "BOOKED"}))),
        )
    ),
    responses(
        Changed<Booking>, NoBookingOrSlot, ChangeRefused, ConditionProblem, BodyProblems, Unavailable
    )
)]
async fn replace(
    protocol: Protocol,
    origin: Origin,
    id: Id<i64>,
    conditions: (IfMatch, RequestDeadline),
    body: Json<BookingChange>,
) -> Result<Response, Problem> {
    update(protocol, origin, id, conditions, body).await
}

/// Moves a booking to another slot, or cancels it
///
/// With a `slotId` it is moved: a place of the new slot is taken first, and the place that it had is given back when the
/// booking has the new one. It is refused as a new booking would be, and stands where it is then. The first dose of a
/// series can be moved together with the second (`nextSlotId`), both or neither; alone, only as far as the second is
/// neither too early nor too late. Who cancels the first dose cancels the second.
#[utoipa::path(
    patch, path = "/bookings/{id}", tag = "bookings",
    params(
        ("id" = i64, Path, description = "The number of the booking", minimum = 1, example = 1),
        Condition,
    ),
    request_body(
        content = BookingChange,
        examples(
            ("cancel" = (value = json!({"status": "BOOKING_CANCELLED"}))),
            ("move" = (value = json!({"slotId": 7}))),
        )
    ),
    responses(
        Changed<Booking>, NoBookingOrSlot, ChangeRefused, ConditionProblem, BodyProblems, Unavailable
    )
)]
async fn update(
    State(protocol): Protocol,
    origin: Origin,
    Id(id): Id<i64>,
    (if_match, RequestDeadline(deadline)): (IfMatch, RequestDeadline),
    Json(body): Json<BookingChange>,
) -> Result<Response, Problem> {
    let known = protocol.queries.record(BookingId(id)).await?.ok_or(BookingError::NoSuchBooking)?;
    let slots = (slot("slotId", body.slot_id)?, slot("nextSlotId", body.next_slot_id)?);
    let requested = change::parse(&body, slots, &known)?;
    if_match.check(&known.booking)?;
    let booking = match (requested, known.booking.status) {
        (RequestedChange::Cancel, _) => protocol.cancel(known.booking.booking_id).await?,
        (_, BookingStatus::BookingCancelled) => return Err(BookingError::Cancelled.into()),
        (_, BookingStatus::InjectionCompleted) => return Err(BookingError::Completed.into()),
        (RequestedChange::Stay, BookingStatus::Booked) => known.booking,
        (RequestedChange::Move(slot, next), BookingStatus::Booked) => {
            let choice = Choice { slot: Some(slot), next, ..known.choice() };
            match protocol.move_booking(known, (slot, next), deadline).await {
                Ok(booking) => booking,
                Err(error) => return Err(refused::problem(&protocol, error, choice).await),
            }
        }
    };
    Ok(BOOKINGS.ok(&origin, id, booking))
}

/// Cancels a booking; its dose is released once, however often this is repeated
#[utoipa::path(
    delete, path = "/bookings/{id}", tag = "bookings",
    params(
        ("id" = i64, Path, description = "The number of the booking", minimum = 1, example = 1),
        Condition,
    ),
    responses(
        (status = 204, description = "Cancelled"),
        NotFound, Final, ConditionProblem, Unavailable,
    )
)]
async fn cancel(
    State(protocol): Protocol,
    Id(id): Id<i64>,
    if_match: IfMatch,
) -> Result<StatusCode, Problem> {
    if_match.expected(find(&protocol, id), etag::of).await?;
    protocol.cancel(BookingId(id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(protocol: &BookingProtocol, id: i64) -> Result<Booking, Problem> {
    let booking = protocol.queries.booking(BookingId(id)).await?;
    booking.ok_or_else(|| BookingError::NoSuchBooking.into())
}

fn parse(
    body: &BookingBody,
    headers: BookingHeaders,
    deadline: Instant,
) -> Result<BookingRequest, Problem> {
    let vaccine = VaccineId(number("vaccineId", body.vaccine_id, 1)?);
    let slot = slot("slotId", body.slot_id)?;
    let user = UserId(number("userId", body.user_id, 0)?);
    let key = headers.key.map(|key| IdempotencyKey {
        key,
        fingerprint: fingerprint(body),
        wants_ticket: headers.respond_async,
    });
    let choice = Choice { vaccine, slot, next: next_slot(body)? };
    if headers.respond_async && body.plan.is_some() && choice.next.is_none() {
        return Err(Problem::invalid("nextSlotId", "must be given for a ticket of a series"));
    }
    Ok(BookingRequest { choice, user, key, attempt: headers.attempt, deadline })
}

fn slot(field: &'static str, value: Option<Whole>) -> Result<Option<SlotId>, Problem> {
    value.map(|slot| number(field, Some(slot), 1).map(SlotId)).transpose()
}

/// The slot of the second dose, if two are wanted.
fn next_slot(body: &BookingBody) -> Result<Option<SlotId>, Problem> {
    let next = slot("nextSlotId", body.next_slot_id)?;
    match (body.plan.as_deref(), next) {
        (None, None) => Ok(None),
        (None, Some(_)) => {
            Err(Problem::invalid("plan", "must be `series` where nextSlotId is given"))
        }
        (Some("series"), _) if body.slot_id.is_none() => {
            Err(Problem::invalid("slotId", "must be given for a series"))
        }
        (Some("series"), _) => Ok(next),
        (Some(_), _) => Err(Problem::invalid("plan", "must be `series`, or left out")),
    }
}

fn number(field: &'static str, value: Option<Whole>, min: i64) -> Result<i64, Problem> {
    match value {
        None => Err(Problem::invalid(field, "must be given")),
        Some(Whole(value)) if value < min => {
            Err(Problem::invalid(field, format!("must be from {min} to {WHOLE_MAX}")))
        }
        Some(Whole(value)) => Ok(value),
    }
}

/// The status is no part of the request: it is ignored.
fn fingerprint(body: &BookingBody) -> Fingerprint {
    let (slot, next) = (body.slot_id, body.next_slot_id);
    let request = json!([body.vaccine_id, body.user_id, body.vc_name, slot, body.plan, next]);
    Fingerprint::of(request.to_string().as_bytes())
}

#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the responses of `BookingError`")]
enum Refused {
    /// There is no such vaccine, or no such slot for it
    #[response(status = 404, content_type = "application/problem+json")]
    NoSuchVaccine(Problem),
    /// Every dose is taken, or every place of the slot; the slot cannot be booked now; or the person has a booking of
    /// this campaign already. Where the slot is full, `alternatives` are those of `GET /slots/{id}/alternatives`, if they
    /// are known at once
    #[response(
        status = 409,
        content_type = "application/problem+json",
        example = json!({
            "type": "urn:anticorona:sold-out",
            "title": "Sold out",
            "status": 409,
            "detail": "every dose is taken"
        })
    )]
    SoldOut(Problem),
    /// Eight tickets of the user are waiting
    #[response(status = 429, content_type = "application/problem+json")]
    TooManyTickets(Problem),
}

problem_responses! {
    /// There is no such booking
    NotFound = 404;
    /// The citizen was vaccinated
    Final = 409;
    /// There is no such booking, or no such slot for its vaccine
    NoBookingOrSlot = 404;
    /// The booking is cancelled, the citizen was vaccinated, or the field cannot be changed; or no place of the slot can be
    /// taken
    ChangeRefused = 409;
}
