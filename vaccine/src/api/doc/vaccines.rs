//! The operations on vaccines, which everybody may use.

#![expect(dead_code, reason = "read by utoipa's macros alone")]

use contracts::vaccine::VaccineBody;

use super::{
    bodies::{VaccineItem, VaccinePage},
    problems::{
        ComeBack, InUse, Malformed, NoSuchVaccine, NotJson, StockBelowBookings, TooLarge,
        WrongField,
    },
};

/// Vaccines in the order of their numbers, page by page.
#[utoipa::path(
    get,
    path = "/vaccines",
    tag = "vaccines",
    params(
        (
            "page" = Option<u32>, Query,
            description = "Which page, counted from 0; 0 unless given", minimum = 0, example = 0
        ),
        (
            "size" = Option<u32>, Query,
            description = "Vaccines on a page, 20 unless given; more than 1000 means 1000",
            minimum = 1, example = 20
        ),
    ),
    responses(
        (
            status = 200, description = "One page of them", body = VaccinePage,
            content_type = "application/hal+json"
        ),
        (status = 400, response = Malformed),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn list() {}

/// Registers a vaccine. Name and stock must be given.
#[utoipa::path(
    post,
    path = "/vaccines",
    tag = "vaccines",
    request_body(
        content = VaccineBody,
        examples(
            ("number" = (value = json!({"vcName": "FIZER", "stock": 1000}))),
            ("text" = (
                summary = "As the first web page sends it",
                value = json!({"vcName": "FIZER", "stock": "1000"})
            )),
        )
    ),
    responses(
        (
            status = 201, description = "Registered", body = VaccineItem,
            content_type = "application/hal+json",
            headers(("Location" = String, description = "Where the vaccine is"))
        ),
        (status = 400, response = Malformed),
        (status = 413, response = TooLarge),
        (status = 415, response = NotJson),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn register() {}

/// One vaccine. Doses still free: `stock - bookQty`.
#[utoipa::path(
    get,
    path = "/vaccines/{id}",
    tag = "vaccines",
    params(("id" = i64, Path, description = "The vaccine's number", minimum = 1, example = 1)),
    responses(
        (
            status = 200, description = "The vaccine", body = VaccineItem,
            content_type = "application/hal+json"
        ),
        (status = 404, response = NoSuchVaccine),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn show() {}

/// The vaccine as it should be. Name and stock must be given; the stock never falls below
/// `bookQty`.
#[utoipa::path(
    put,
    path = "/vaccines/{id}",
    tag = "vaccines",
    params(("id" = i64, Path, description = "The vaccine's number", minimum = 1, example = 1)),
    request_body(content = VaccineBody, example = json!({"vcName": "FIZER", "stock": 1500})),
    responses(
        (
            status = 200, description = "The vaccine as it is now", body = VaccineItem,
            content_type = "application/hal+json"
        ),
        (status = 400, response = Malformed),
        (status = 404, response = NoSuchVaccine),
        (status = 409, response = StockBelowBookings),
        (status = 413, response = TooLarge),
        (status = 415, response = NotJson),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn replace() {}

/// What should be different: the name, the stock, or both. The stock never falls below `bookQty`.
#[utoipa::path(
    patch,
    path = "/vaccines/{id}",
    tag = "vaccines",
    params(("id" = i64, Path, description = "The vaccine's number", minimum = 1, example = 1)),
    request_body(content = VaccineBody, example = json!({"stock": 1500})),
    responses(
        (
            status = 200, description = "The vaccine as it is now", body = VaccineItem,
            content_type = "application/hal+json"
        ),
        (status = 400, response = Malformed),
        (status = 404, response = NoSuchVaccine),
        (status = 409, response = StockBelowBookings),
        (status = 413, response = TooLarge),
        (status = 415, response = NotJson),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn change() {}

/// The vaccine is not offered any more. Only while `bookQty` is 0.
#[utoipa::path(
    delete,
    path = "/vaccines/{id}",
    tag = "vaccines",
    params(("id" = i64, Path, description = "The vaccine's number", minimum = 1, example = 1)),
    responses(
        (status = 204, description = "It is gone; its number is never given again"),
        (status = 404, response = NoSuchVaccine),
        (status = 409, response = InUse),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn remove() {}

/// Takes a dose, as the first clients do it: every GET is one dose.
///
/// Use `POST /bookings` instead, which also says whose dose it is.
/// What this takes stands until it is given back at the address in `Link`.
#[deprecated = "a GET that changes something is repeated by whoever feels like it"]
#[utoipa::path(
    get,
    path = "/vaccines/checkAndBookStock",
    tag = "vaccines",
    params((
        "vaccineId" = i64, Query, description = "The vaccine's number", minimum = 1, example = 1
    )),
    responses(
        (
            status = 200, description = "`true`: a dose was taken; `false`: every dose is taken",
            body = bool, content_type = "application/json",
            headers(
                ("Deprecation" = String, description = "Since when (RFC 9745)"),
                ("Cache-Control" = String, description = "`no-store`"),
                ("Link" = String, description = "Of `true`: where to give the dose back")
            ),
            example = json!(true)
        ),
        (status = 400, response = Malformed),
        (status = 404, response = NoSuchVaccine),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
pub(super) fn check_and_book_stock() {}
