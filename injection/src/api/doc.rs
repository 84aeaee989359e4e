//! The OpenAPI document of the desk. The functions and types here only describe; nobody calls them.

#![expect(dead_code, reason = "read by utoipa's macros alone")]

use chassis::{
    hal::{Link, PageInfo, PageLinks},
    problem::Problem,
};
use contracts::injection::{Cancellation, Injection, InjectionBody};
use utoipa::{OpenApi, ToResponse, ToSchema};

#[derive(OpenApi)]
#[openapi(
    info(title = "anticorona injection", description = "Who is expected, and who was vaccinated."),
    paths(list, find_by_booking, show, replace, change, list_cancelled, show_cancelled),
    components(
        schemas(Problem),
        responses(Malformed, NotFound, Final, TooLarge, NotJson, WrongField, ComeBack)
    )
)]
struct Doc;

/// The document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Doc::openapi()
}

/// Appointments in the order of their numbers, page by page.
#[utoipa::path(
    get,
    path = "/injections",
    tag = "injections",
    params(
        (
            "page" = Option<u32>, Query,
            description = "Which page, counted from 0; 0 unless given", minimum = 0, example = 0
        ),
        (
            "size" = Option<u32>, Query,
            description = "Items on a page, 20 unless given; more than 1000 means 1000",
            minimum = 1, example = 20
        ),
    ),
    responses(
        (
            status = 200, description = "One page of them", body = InjectionPage,
            content_type = "application/hal+json"
        ),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
fn list() {}

/// The appointment of a booking; with several booking stores there may be several.
#[utoipa::path(
    get,
    path = "/injections/search/findByBookingId",
    tag = "injections",
    params((
        "bookingId" = i64, Query, description = "The booking's number", minimum = 1, example = 1
    )),
    responses(
        (
            status = 200, description = "What was found, maybe nothing", body = InjectionPage,
            content_type = "application/hal+json"
        ),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
fn find_by_booking() {}

/// One appointment.
#[utoipa::path(
    get,
    path = "/injections/{id}",
    tag = "injections",
    params(("id" = i64, Path, description = "The injection's number", minimum = 1, example = 1)),
    responses(
        (
            status = 200, description = "Found", body = InjectionItem,
            content_type = "application/hal+json"
        ),
        (status = 404, response = NotFound),
        (status = 503, response = ComeBack),
    )
)]
fn show() {}

/// The appointment as it should be: only its status can differ, to complete it.
#[utoipa::path(
    put,
    path = "/injections/{id}",
    tag = "injections",
    params(("id" = i64, Path, description = "The injection's number", minimum = 1, example = 1)),
    request_body(content = InjectionBody, example = json!({"status": "INJECTION_COMPLETED"})),
    responses(
        (
            status = 200, description = "The injection as it is now", body = InjectionItem,
            content_type = "application/hal+json"
        ),
        (status = 400, response = Malformed),
        (status = 404, response = NotFound),
        (status = 409, response = Final),
        (status = 413, response = TooLarge),
        (status = 415, response = NotJson),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
fn replace() {}

/// What should be different: only the status can be, to complete it.
#[utoipa::path(
    patch,
    path = "/injections/{id}",
    tag = "injections",
    params(("id" = i64, Path, description = "The injection's number", minimum = 1, example = 1)),
    request_body(content = InjectionBody, example = json!({"status": "INJECTION_COMPLETED"})),
    responses(
        (
            status = 200, description = "The injection as it is now", body = InjectionItem,
            content_type = "application/hal+json"
        ),
        (status = 400, response = Malformed),
        (status = 404, response = NotFound),
        (status = 409, response = Final),
        (status = 413, response = TooLarge),
        (status = 415, response = NotJson),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
fn change() {}

/// Appointments whose booking was cancelled, page by page.
///
/// In the order in which that was heard of, so a page that was full stays as it is.
#[utoipa::path(
    get,
    path = "/cancellations",
    tag = "injections",
    params(
        (
            "page" = Option<u32>, Query,
            description = "Which page, counted from 0; 0 unless given", minimum = 0, example = 0
        ),
        (
            "size" = Option<u32>, Query,
            description = "Items on a page, 20 unless given; more than 1000 means 1000",
            minimum = 1, example = 20
        ),
    ),
    responses(
        (
            status = 200, description = "One page of them", body = CancellationPage,
            content_type = "application/hal+json"
        ),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
fn list_cancelled() {}

/// One appointment whose booking was cancelled.
#[utoipa::path(
    get,
    path = "/cancellations/{id}",
    tag = "injections",
    params(("id" = i64, Path, description = "The injection's number", minimum = 1, example = 1)),
    responses(
        (
            status = 200, description = "Found", body = CancellationItem,
            content_type = "application/hal+json"
        ),
        (status = 404, response = NotFound),
        (status = 503, response = ComeBack),
    )
)]
fn show_cancelled() {}

/// An injection with its links.
#[derive(ToSchema)]
struct InjectionItem {
    #[schema(inline)]
    #[serde(flatten)]
    injection: Injection,
    _links: ItemLinks,
}

/// One page of injections.
#[derive(ToSchema)]
struct InjectionPage {
    _embedded: EmbeddedInjections,
    _links: PageLinks,
    page: PageInfo,
}

/// The injections of a page.
#[derive(ToSchema)]
struct EmbeddedInjections {
    injections: Vec<InjectionItem>,
}

/// A cancellation with its links.
#[derive(ToSchema)]
struct CancellationItem {
    #[schema(inline)]
    #[serde(flatten)]
    cancellation: Cancellation,
    _links: CancellationLinks,
}

/// Where a cancellation is.
#[derive(ToSchema)]
struct CancellationLinks {
    #[schema(rename = "self")]
    this: Link,
    cancellation: Link,
}

/// One page of cancellations.
#[derive(ToSchema)]
struct CancellationPage {
    _embedded: EmbeddedCancellations,
    _links: PageLinks,
    page: PageInfo,
}

/// The cancellations of a page.
#[derive(ToSchema)]
struct EmbeddedCancellations {
    cancellations: Vec<CancellationItem>,
}

/// It was completed before, or its booking was cancelled.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct Final(Problem);

/// The body is larger than 64 KiB.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct TooLarge(Problem);

/// The body does not say that it is JSON.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct NotJson(Problem);

/// Where an item is.
#[derive(ToSchema)]
struct ItemLinks {
    #[schema(rename = "self")]
    this: Link,
    injection: Link,
}

/// The request cannot be read.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct Malformed(Problem);

/// There is no such thing.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct NotFound(Problem);

/// A field is wrong, and `field` says which.
#[derive(ToResponse)]
#[response(content_type = "application/problem+json")]
struct WrongField(Problem);

/// Not now; the answer says when to come back.
#[derive(ToResponse)]
#[response(
    content_type = "application/problem+json",
    headers(("Retry-After" = u32, description = "When to come back, in seconds"))
)]
struct ComeBack(Problem);
