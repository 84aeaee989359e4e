//! The HTTP side of the injection desk: routes, handlers, and the status of each refusal.

#![expect(unused_qualifications, reason = "utoipa qualifies the types of `params`")]

use axum::{Router, extract::State, response::Response};
use contracts::{
    ids::{BookingId, InjectionId},
    injection::{Cancellation, Injection},
};
use platform_rest::{
    hal::{HalItem, HalPage, Origin},
    index::{self, ServiceCollections},
    json::{self, Id, Query},
    openapi::{Found, Linked, NotAcceptable, PageOf, Unavailable},
    pagination::{PageParams, PageRequest},
    problem::Problem,
};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

mod changes;
mod day;
mod desk;
mod problems;
mod sheet;

pub use self::desk::InjectionDesk;
use self::{
    desk::{CANCELLATIONS, INJECTIONS, find},
    problems::NotFound,
};

pub(crate) const COLLECTIONS: ServiceCollections =
    ServiceCollections { service: "injection", collections: &[INJECTIONS, CANCELLATIONS] };

#[derive(OpenApi)]
#[openapi(
    info(
        title = "anticorona injection",
        description = "The injection desk: who is expected, who was vaccinated."
    ),
    components(schemas(
        Problem, Injection, HalItem<Injection>, HalPage<Injection>, Cancellation, HalItem<Cancellation>,
        HalPage<Cancellation>
    ))
)]
struct Document;

fn routes() -> OpenApiRouter<InjectionDesk> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(index::routes(&[COLLECTIONS], None))
        .routes(routes!(list))
        .routes(routes!(searches))
        .routes(routes!(find_by_booking_id))
        .routes(routes!(day::find_by_site))
        .routes(routes!(sheet::download, sheet::upload))
        .routes(routes!(show, changes::replace, changes::update))
        .routes(routes!(list_cancelled))
        .routes(routes!(show_cancelled))
}

/// The routes of the injection desk.
pub fn router(desk: InjectionDesk) -> Router {
    index::with_document(COLLECTIONS.service, routes().with_state(desk))
}

/// Their OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// Lists appointments in the order of their numbers
#[utoipa::path(
    get, path = "/injections", tag = "injections", params(PageParams),
    responses(PageOf<Injection>, Unavailable)
)]
async fn list(
    State(desk): State<InjectionDesk>,
    origin: Origin,
    page: PageRequest,
) -> Result<Response, Problem> {
    let list = desk.queries.injections(page.range).await?;
    Ok(INJECTIONS.page(&origin, &page, list, |id, _| id))
}

/// Links to the searches
#[utoipa::path(
    get,
    path = "/injections/search",
    tag = "injections",
    responses(Linked, NotAcceptable, Unavailable)
)]
async fn searches(origin: Origin) -> Response {
    INJECTIONS.searches(&origin)
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct BookingQuery {
    /// The number of a booking
    #[param(value_type = i64, example = 1, minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    booking_id: Option<String>,
}

/// Finds the appointments of a booking
#[utoipa::path(
    get, path = "/injections/search/findByBookingId", tag = "injections",
    params(BookingQuery, PageParams),
    responses(PageOf<Injection>, Unavailable)
)]
async fn find_by_booking_id(
    State(desk): State<InjectionDesk>,
    origin: Origin,
    Query(query): Query<BookingQuery>,
    page: PageRequest,
) -> Result<Response, Problem> {
    let id = json::number("bookingId", query.booking_id.as_deref(), "booking")?;
    let list = desk.queries.of_booking(BookingId(id), page.range).await?;
    Ok(INJECTIONS.page(&origin, &page, list, |id, _| id))
}

/// Shows an appointment
#[utoipa::path(
    get, path = "/injections/{id}", tag = "injections",
    params(("id" = i64, Path, description = "The number of the injection", minimum = 1, example = 1)),
    responses(Found<Injection>, NotFound, Unavailable)
)]
async fn show(
    State(desk): State<InjectionDesk>,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    Ok(INJECTIONS.ok(&origin, id, find(&desk, id).await?))
}

/// Lists appointments whose booking was cancelled
#[utoipa::path(
    get, path = "/cancellations", tag = "injections", params(PageParams),
    responses(PageOf<Cancellation>, Unavailable)
)]
async fn list_cancelled(
    State(desk): State<InjectionDesk>,
    origin: Origin,
    page: PageRequest,
) -> Result<Response, Problem> {
    let list = desk.queries.cancellations(page.range).await?;
    Ok(CANCELLATIONS.page(&origin, &page, list, |id, _| id))
}

/// Shows an appointment whose booking was cancelled
#[utoipa::path(
    get, path = "/cancellations/{id}", tag = "injections",
    params(("id" = i64, Path, description = "The number of the injection", minimum = 1, example = 1)),
    responses(Found<Cancellation>, NotFound, Unavailable)
)]
async fn show_cancelled(
    State(desk): State<InjectionDesk>,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    let known = desk.queries.cancellation(InjectionId(id)).await?;
    let known = known.ok_or_else(|| Problem::not_found("there is no such cancellation"))?;
    Ok(CANCELLATIONS.ok(&origin, id, known))
}
