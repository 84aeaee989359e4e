//! The OpenAPI document of bookings. The functions and types here only describe; nobody calls them.

#![expect(dead_code, reason = "read by utoipa's macros alone")]

use chassis::{
    hal::{Link, PageInfo, PageLinks},
    problem::Problem,
};
use contracts::booking::{Booking, BookingBody, Ticket};
use utoipa::{OpenApi, ToResponse, ToSchema};

#[derive(OpenApi)]
#[openapi(
    info(title = "anticorona booking", description = "Takes and cancels bookings."),
    paths(book, list, show, replace, change, cancel, ticket),
    components(
        schemas(Problem),
        responses(
            Malformed,
            NoSuchVaccine,
            NoSuchBooking,
            NoSuchTicket,
            SoldOut,
            StaysCancelled,
            StaysCompleted,
            TooLarge,
            NotJson,
            WrongField,
            ComeBack
        )
    )
)]
struct Doc;

/// The document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Doc::openapi()
}

/// Takes a booking.
///
/// With an `Idempotency-Key`, asking again answers the same booking, for as long as it exists.
/// With `Prefer: respond-async` too, the answer is a ticket: the request waits in line, in the order
/// of arrival, and the ticket says what became of it.
#[utoipa::path(
    post,
    path = "/bookings",
    tag = "bookings",
    params(
        (
            "Idempotency-Key" = Option<String>, Header,
            description = "Chosen by the client, new for every booking that it wants; \
                           visible ASCII characters",
            nullable = false, min_length = 1, max_length = 255, example = "9f86d081-1"
        ),
        (
            "Prefer" = Option<String>, Header,
            description = "`respond-async` (RFC 7240): a ticket, please. \
                           Needs an `Idempotency-Key`",
            nullable = false, example = "respond-async"
        ),
    ),
    request_body(
        content = BookingBody,
        examples(
            ("short" = (value = json!({"vaccineId": 1, "userId": 5}))),
            ("first-clients" = (
                summary = "How the first clients ask; their status is ignored",
                value = json!({"vaccineId": 1, "vcName": "FIZER", "userId": 5, "status": "BOOCKED"})
            )),
        )
    ),
    responses(
        (
            status = 201, description = "Booked", body = BookingItem,
            content_type = "application/hal+json",
            headers(("Location" = String, description = "Where the booking is"))
        ),
        (
            status = 202, description = "In line", body = TicketItem,
            content_type = "application/hal+json",
            headers(
                ("Location" = String, description = "Where the ticket is"),
                ("Preference-Applied" = String, description = "`respond-async`"),
                (
                    "Retry-After" = u32,
                    description = "When to look at the ticket, in seconds; while it waits"
                ),
            )
        ),
        (status = 400, response = Malformed),
        (status = 404, response = NoSuchVaccine),
        (status = 409, response = SoldOut),
        (status = 413, response = TooLarge),
        (status = 415, response = NotJson),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
fn book() {}

/// Bookings in the order of their numbers, page by page.
#[utoipa::path(
    get,
    path = "/bookings",
    tag = "bookings",
    params(
        (
            "page" = Option<u32>, Query,
            description = "Which page, counted from 0; 0 unless given", minimum = 0, example = 0
        ),
        (
            "size" = Option<u32>, Query,
            description = "Bookings on a page, 20 unless given; more than 1000 means 1000",
            minimum = 1, example = 20
        ),
    ),
    responses(
        (
            status = 200, description = "One page of them", body = BookingPage,
            content_type = "application/hal+json"
        ),
        (status = 400, response = Malformed),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
fn list() {}

/// One booking.
#[utoipa::path(
    get,
    path = "/bookings/{id}",
    tag = "bookings",
    params(("id" = i64, Path, description = "The booking's number", minimum = 1, example = 1)),
    responses(
        (
            status = 200, description = "The booking", body = BookingItem,
            content_type = "application/hal+json"
        ),
        (status = 404, response = NoSuchBooking),
        (status = 503, response = ComeBack),
    )
)]
fn show() {}

/// The booking as it should be: only its status can differ, to cancel it.
#[utoipa::path(
    put,
    path = "/bookings/{id}",
    tag = "bookings",
    params(("id" = i64, Path, description = "The booking's number", minimum = 1, example = 1)),
    request_body(
        content = BookingBody,
        example = json!({"vaccineId": 1, "userId": 5, "status": "BOOKING_CANCELLED"})
    ),
    responses(
        (
            status = 200, description = "The booking as it is now", body = BookingItem,
            content_type = "application/hal+json"
        ),
        (status = 400, response = Malformed),
        (status = 404, response = NoSuchBooking),
        (status = 409, response = StaysCancelled),
        (status = 413, response = TooLarge),
        (status = 415, response = NotJson),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
fn replace() {}

/// What should be different: only the status can be, to cancel it.
#[utoipa::path(
    patch,
    path = "/bookings/{id}",
    tag = "bookings",
    params(("id" = i64, Path, description = "The booking's number", minimum = 1, example = 1)),
    request_body(content = BookingBody, example = json!({"status": "BOOKING_CANCELLED"})),
    responses(
        (
            status = 200, description = "The booking as it is now", body = BookingItem,
            content_type = "application/hal+json"
        ),
        (status = 400, response = Malformed),
        (status = 404, response = NoSuchBooking),
        (status = 409, response = StaysCancelled),
        (status = 413, response = TooLarge),
        (status = 415, response = NotJson),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
fn change() {}

/// Cancels the booking. The dose goes back once, however often it is asked.
#[utoipa::path(
    delete,
    path = "/bookings/{id}",
    tag = "bookings",
    params(("id" = i64, Path, description = "The booking's number", minimum = 1, example = 1)),
    responses(
        (status = 204, description = "It is cancelled"),
        (status = 404, response = NoSuchBooking),
        (status = 409, response = StaysCompleted),
        (status = 503, response = ComeBack),
    )
)]
fn cancel() {}

/// A place in the line: where it stands, and what it turned into.
///
/// Always 200 for a ticket that exists: its `status` says the rest.
#[utoipa::path(
    get,
    path = "/tickets/{id}",
    tag = "bookings",
    params((
        "id" = String, Path, description = "The ticket's id", format = Uuid,
        example = "3f2504e0-4f89-81d3-9a0c-0305e82c3301"
    )),
    responses(
        (
            status = 200, description = "The ticket", body = TicketItem,
            content_type = "application/hal+json",
            headers((
                "Retry-After" = u32, description = "When to look again, in seconds; while it waits"
            ))
        ),
        (status = 404, response = NoSuchTicket),
        (status = 503, response = ComeBack),
    )
)]
fn ticket() {}

/// A ticket with its links.
#[derive(ToSchema)]
struct TicketItem {
    #[schema(inline)]
    #[serde(flatten)]
    ticket: Ticket,
    _links: TicketLinks,
}

/// Where a ticket is, and the booking that it turned into.
#[derive(ToSchema)]
struct TicketLinks {
    #[schema(rename = "self")]
    this: Link,
    ticket: Link,
    #[schema(nullable = false)]
    booking: Option<Link>,
}

/// A booking with its links.
#[derive(ToSchema)]
struct BookingItem {
    #[schema(inline)]
    #[serde(flatten)]
    booking: Booking,
    _links: ItemLinks,
}

/// Where a booking is.
#[derive(ToSchema)]
struct ItemLinks {
    #[schema(rename = "self")]
    this: Link,
    booking: Link,
}

/// One page of bookings.
#[derive(ToSchema)]
struct BookingPage {
    _embedded: Embedded,
    _links: PageLinks,
    page: PageInfo,
}

/// The bookings of a page.
#[derive(ToSchema)]
struct Embedded {
    bookings: Vec<BookingItem>,
}

/// The request cannot be read.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct Malformed(Problem);

/// There is no such vaccine.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct NoSuchVaccine(Problem);

/// There is no such booking.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct NoSuchBooking(Problem);

/// There is no such ticket.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct NoSuchTicket(Problem);

/// Every dose is taken.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    example = json!({
        "type": "urn:anticorona:sold-out",
        "title": "Sold out",
        "status": 409,
        "detail": "every dose is taken"
    })
)]
struct SoldOut(Problem);

/// A cancelled booking stays cancelled.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct StaysCancelled(Problem);

/// The citizen was vaccinated: there is nothing to cancel any more.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct StaysCompleted(Problem);

/// The body is larger than 64 KiB.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct TooLarge(Problem);

/// The body does not say that it is JSON.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct NotJson(Problem);

/// A field is wrong, and `field` says which; or the `Idempotency-Key` came with another request.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    example = json!({
        "type": "urn:anticorona:invalid-field",
        "title": "A field is wrong",
        "status": 422,
        "detail": "must be given",
        "field": "vaccineId"
    })
)]
struct WrongField(Problem);

/// Not now; the answer says when to come back. With an `Idempotency-Key`, the same request then
/// continues where this one ended.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    headers(("Retry-After" = u32, description = "When to come back, in seconds")),
    example = json!({
        "type": "urn:anticorona:come-back-later",
        "title": "Please come back later",
        "status": 503,
        "detail": "bookings cannot be taken at this moment"
    })
)]
struct ComeBack(Problem);
