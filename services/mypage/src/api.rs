//! The HTTP side of the views: they can only be read.

#![expect(unused_qualifications, reason = "utoipa qualifies the types of `params`")]

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use contracts::{
    ids::{BookingId, UserId},
    mypage::Mypage,
};
use platform_rest::{
    accept,
    hal::{Collection, HalItem, HalPage, NO_STORE, Origin, Search},
    index::{self, ServiceCollections},
    json::{self, Id, Query},
    openapi::{Found, Linked, NotAcceptable, PageOf, Unavailable},
    pagination::{PageParams, PageRequest},
    problem::Problem,
    problem_responses,
};
use serde::Deserialize;
use utoipa::{IntoParams, OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    calendar::{self, calendar},
    domain::PlacedView,
    store::Queries,
};

const MYPAGES: Collection = Collection {
    plural: "mypages",
    singular: "mypage",
    is_personal: true,
    searches: &[Search { name: "findByUserId", parameter: "userId" }],
};

pub(crate) const COLLECTIONS: ServiceCollections =
    ServiceCollections { service: "mypage", collections: &[MYPAGES] };

#[derive(OpenApi)]
#[openapi(
    info(
        title = "anticorona mypage",
        description = "What citizens see of their bookings, built from events."
    ),
    components(schemas(Problem, Mypage, HalItem<Mypage>, HalPage<Mypage>))
)]
struct Document;

fn routes() -> OpenApiRouter<Queries> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(index::routes(&[COLLECTIONS], None))
        .routes(routes!(list))
        .routes(routes!(searches))
        .routes(routes!(find_by_user_id))
        .routes(routes!(show))
        .routes(routes!(show_calendar))
}

/// The routes of the views.
pub fn router(queries: Queries) -> Router {
    index::with_document(COLLECTIONS.service, routes().with_state(queries))
}

/// Their OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    routes().into_openapi()
}

/// Lists all bookings in the order in which they became known here
#[utoipa::path(
    get, path = "/mypages", tag = "mypages", params(PageParams),
    responses(PageOf<Mypage>, Unavailable)
)]
async fn list(
    State(queries): State<Queries>,
    origin: Origin,
    page: PageRequest,
) -> Result<Response, Problem> {
    let list = queries.all(page.range).await?;
    Ok(MYPAGES.page_linked(&origin, &page, list, |_, one| (one.book_id, related(one))))
}

/// Links to the searches
#[utoipa::path(
    get,
    path = "/mypages/search",
    tag = "mypages",
    responses(Linked, NotAcceptable, Unavailable)
)]
async fn searches(origin: Origin) -> Response {
    MYPAGES.searches(&origin)
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct UserQuery {
    /// The number of a user
    #[param(value_type = i64, example = 5, minimum = 0, maximum = 9_223_372_036_854_775_807_i64)]
    user_id: Option<String>,
}

/// Finds the bookings of a user
#[utoipa::path(
    get, path = "/mypages/search/findByUserId", tag = "mypages", params(UserQuery, PageParams),
    responses(PageOf<Mypage>, Unavailable)
)]
async fn find_by_user_id(
    State(queries): State<Queries>,
    origin: Origin,
    Query(query): Query<UserQuery>,
    page: PageRequest,
) -> Result<Response, Problem> {
    let id = json::number("userId", query.user_id.as_deref(), "user")?;
    let list = queries.of_user(UserId(id), page.range).await?;
    Ok(MYPAGES.page_linked(&origin, &page, list, |_, one| (one.book_id, related(one))))
}

/// Shows a booking
#[utoipa::path(
    get, path = "/mypages/{id}", tag = "mypages",
    params(("id" = i64, Path, description = "The number of the booking", minimum = 1, example = 1)),
    responses(Found<Mypage>, NotFound, Unavailable)
)]
async fn show(
    State(queries): State<Queries>,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    let shown = find(&queries, id).await?.mypage();
    let related = related(&shown);
    Ok(MYPAGES.ok_linked(&origin, id, shown, related))
}

/// Shows a booking as an entry of a calendar
///
/// A calendar replaces the entry when it reads it again: it has the same `UID`, a higher `SEQUENCE` after the booking was
/// moved or cancelled, and a later `DTSTAMP` after its site changed. One that was cancelled has the status `CANCELLED`.
#[utoipa::path(
    get, path = "/mypages/{id}/calendar", tag = "mypages",
    params(
        ("id" = i64, Path, description = "The number of the booking", minimum = 1, example = 1),
        (
            "Accept-Language" = Option<String>, Header, example = "en",
            description = "Korean, unless English is preferred"
        ),
    ),
    responses(
        (
            status = 200, description = "An iCalendar object (RFC 5545)", body = String,
            content_type = "text/calendar",
            headers(("Content-Language" = String, description = "`ko` or `en`"))
        ),
        NoSlot, NoCalendarAccepted, Unavailable,
    )
)]
async fn show_calendar(
    State(queries): State<Queries>,
    headers: HeaderMap,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    accept::require(&headers, calendar::MEDIA_TYPE)?;
    let language = accept::language(&headers, &calendar::LANGUAGES);
    let body = calendar(&find(&queries, id).await?, language).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "urn:anticorona:no-slot", "The booking has no slot")
            .detail("it is of a dose without a time and a place")
    })?;
    let file_name = HeaderValue::try_from(format!("inline; filename=\"booking-{id}.ics\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8")),
        (header::CACHE_CONTROL, NO_STORE),
        (header::CONTENT_LANGUAGE, HeaderValue::from_static(language)),
        (header::VARY, HeaderValue::from_static("accept, accept-language")),
    ];
    let file_name = file_name.ok().map(|name| [(header::CONTENT_DISPOSITION, name)]);
    Ok((headers, file_name, body).into_response())
}

async fn find(queries: &Queries, id: i64) -> Result<PlacedView, Problem> {
    let known = queries.of_booking(BookingId(id)).await?;
    known.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "urn:anticorona:no-such-booking",
            "There is no such booking",
        )
        .detail("a booking appears here a moment after it was made")
    })
}

/// What an item has below its own path.
fn related(booking: &Mypage) -> Option<&'static str> {
    booking.visit.as_ref().map(|_| "calendar")
}

problem_responses! {
    /// There is no such booking, or not yet
    NotFound = 404;
    /// There is no such booking, or not yet, or it has no slot
    NoSlot = 404;
    /// `Accept` does not have `text/calendar`
    NoCalendarAccepted = 406;
}
