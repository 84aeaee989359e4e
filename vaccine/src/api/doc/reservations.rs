//! The operations on reservations, with which the parts speak to each other.

#![expect(dead_code, reason = "read by utoipa's macros alone")]

use contracts::{
    event::{Heard, ParkedEvents},
    vaccine::{HoldBatch, HoldReply, Reservation, UnsettledHolds},
};

use super::{
    bodies::CloudEvent,
    problems::{
        ComeBack, Malformed, NoSuchReservation, NoSuchVaccine, NotHeld, NotJson, TooLarge,
        WrongField,
    },
};

/// Holds a dose that stands until it is given back. Repeating it repeats the answer.
#[utoipa::path(
    put,
    path = "/vaccines/{id}/reservations/{reservation}",
    tag = "internal",
    params(
        ("id" = i64, Path, description = "The vaccine's number", minimum = 1, example = 1),
        ("reservation" = Uuid, Path, description = "The attempt, chosen by whoever makes it"),
    ),
    responses(
        (status = 204, description = "A dose is held"),
        (status = 404, response = NoSuchVaccine),
        (status = 409, response = NotHeld),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn hold() {}

/// Gives the dose back, once, however often it is asked. A hold that comes later is refused.
#[utoipa::path(
    delete,
    path = "/vaccines/{id}/reservations/{reservation}",
    tag = "internal",
    params(
        ("id" = i64, Path, description = "The vaccine's number", minimum = 1, example = 1),
        ("reservation" = Uuid, Path, description = "The attempt"),
    ),
    responses(
        (status = 204, description = "This reservation takes no dose"),
        (status = 404, response = NoSuchReservation),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn release() {}

/// A reservation as the ledger remembers it.
#[utoipa::path(
    get,
    path = "/vaccines/{id}/reservations/{reservation}",
    tag = "internal",
    params(
        ("id" = i64, Path, description = "The vaccine's number", minimum = 1, example = 1),
        ("reservation" = Uuid, Path, description = "The attempt"),
    ),
    responses(
        (status = 200, description = "The reservation", body = Reservation),
        (status = 404, response = NoSuchReservation),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn reservation() {}

/// Holds many doses in one commit; each is decided alone.
#[utoipa::path(
    post,
    path = "/holds",
    tag = "internal",
    request_body(
        content = HoldBatch,
        example = json!({
            "holder": "019abcde-0000-7000-8000-000000000001",
            "holds": [{"reservationId": "019abcde-0000-7000-8000-00000000000a", "vaccineId": 1}]
        })
    ),
    responses(
        (
            status = 200, description = "One outcome per hold, in their order", body = HoldReply,
            example = json!({"outcomes": [{"outcome": "held", "vcName": "FIZER"}]})
        ),
        (status = 400, response = Malformed),
        (status = 413, response = TooLarge),
        (status = 415, response = NotJson),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn hold_many() {}

/// Holds whose holder has not said yet what becomes of them, oldest first.
#[utoipa::path(
    get,
    path = "/holds",
    tag = "internal",
    params(
        ("holder" = Option<Uuid>, Query, description = "Only those of this holder"),
        (
            "heldForMs" = u32, Query,
            description = "Only those that are held for so many milliseconds or longer",
            example = 10_000
        ),
    ),
    responses(
        (status = 200, description = "Their reservations", body = UnsettledHolds),
        (status = 400, response = Malformed),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn unsettled() {}

/// What one holder says of its reservations, in its own order. Saying it again changes nothing.
#[utoipa::path(
    post,
    path = "/events",
    tag = "internal",
    request_body(
        content = Vec<CloudEvent>,
        content_type = "application/cloudevents-batch+json",
        example = json!([{
            "specversion": "1.0",
            "id": "019abcde-0000-7000-8000-000000000001/1",
            "source": "019abcde-0000-7000-8000-000000000001",
            "sequence": "1",
            "type": "anticorona.Booked.v1",
            "time": "2026-11-24T08:00:00Z",
            "data": {"reservationId": "019abcde-0000-7000-8000-00000000000a", "vaccineId": 1}
        }])
    ),
    responses(
        (
            status = 200, description = "How far this holder was heard; go on from there",
            body = Heard, example = json!({"sequence": 1})
        ),
        (status = 400, response = Malformed),
        (status = 413, response = TooLarge),
        (status = 415, response = NotJson),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn hear() {}

/// How far a holder was heard.
#[utoipa::path(
    get,
    path = "/events/heard",
    tag = "internal",
    params(("source" = Uuid, Query, description = "The holder")),
    responses(
        (
            status = 200, description = "The position; 0 before the first event", body = Heard,
            example = json!({"sequence": 1})
        ),
        (status = 400, response = Malformed),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn heard() {}

/// What could not be heard and was put aside, oldest first.
#[utoipa::path(
    get,
    path = "/events/parked",
    tag = "internal",
    responses(
        (status = 200, description = "How many there are, and the oldest", body = ParkedEvents),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn parked() {}
