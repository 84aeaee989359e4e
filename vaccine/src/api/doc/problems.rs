//! The answers that are not what was asked for: `application/problem+json`.

#![expect(dead_code, reason = "read by utoipa's macros alone")]

use chassis::problem::Problem;
use utoipa::ToResponse;

/// The request cannot be read.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    example = json!({
        "type": "urn:anticorona:malformed",
        "title": "The request cannot be read",
        "status": 400,
        "detail": "not JSON: expected value at line 1 column 10"
    })
)]
pub(super) struct Malformed(Problem);

/// There is no such vaccine.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    example = json!({
        "type": "urn:anticorona:no-such-vaccine",
        "title": "There is no such vaccine",
        "status": 404,
        "detail": "there is no such vaccine"
    })
)]
pub(super) struct NoSuchVaccine(Problem);

/// There is no such reservation of this vaccine.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    example = json!({
        "type": "urn:anticorona:no-such-reservation",
        "title": "There is no such reservation",
        "status": 404,
        "detail": "there is no such reservation"
    })
)]
pub(super) struct NoSuchReservation(Problem);

/// Every dose is taken, or the id is spent, or it belongs to another reservation; `type` says
/// which.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    example = json!({
        "type": "urn:anticorona:sold-out",
        "title": "Sold out",
        "status": 409,
        "detail": "every dose is held or booked"
    })
)]
pub(super) struct NotHeld(Problem);

/// The stock would be less than what is booked.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    example = json!({
        "type": "urn:anticorona:stock-below-bookings",
        "title": "The stock would be less than what is booked",
        "status": 409,
        "detail": "7 doses are held or booked"
    })
)]
pub(super) struct StockBelowBookings(Problem);

/// The vaccine is booked.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    example = json!({
        "type": "urn:anticorona:vaccine-in-use",
        "title": "The vaccine is booked",
        "status": 409,
        "detail": "7 doses are held or booked"
    })
)]
pub(super) struct InUse(Problem);

/// The body is too large; `detail` says what fits.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    example = json!({
        "type": "urn:anticorona:body-too-large",
        "title": "The body is too large",
        "status": 413,
        "detail": "at most 65536 bytes"
    })
)]
pub(super) struct TooLarge(Problem);

/// The body does not say that it is JSON.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    example = json!({
        "type": "urn:anticorona:unsupported-media-type",
        "title": "The body must be JSON",
        "status": 415,
        "detail": "send Content-Type: application/json",
        "field": "Content-Type"
    })
)]
pub(super) struct NotJson(Problem);

/// A field is wrong; `field` says which.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    example = json!({
        "type": "urn:anticorona:invalid-field",
        "title": "A field is wrong",
        "status": 422,
        "detail": "must be from 0 to 1000000000",
        "field": "stock"
    })
)]
pub(super) struct WrongField(Problem);

/// Not now. Ask again after `Retry-After`.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    headers(("Retry-After" = u32, description = "When to come back, in seconds")),
    example = json!({
        "type": "urn:anticorona:come-back-later",
        "title": "Please come back later",
        "status": 503,
        "detail": "too many writes are waiting"
    })
)]
pub(super) struct ComeBack(Problem);
