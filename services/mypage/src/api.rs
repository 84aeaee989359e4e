//! The HTTP side of the views: they can only be read.

#![expect(unused_qualifications, reason = "utoipa qualifies the types of `params`")]

use axum::{Router, extract::State, http::StatusCode, response::Response};
use contracts::{
    ids::{BookingId, UserId},
    mypage::Mypage,
};
use platform_rest::{
    hal::{Collection, HalItem, HalPage, Origin, Search},
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

use crate::store::Queries;

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
    Ok(MYPAGES.page(&origin, &page, list, |_, one| one.book_id))
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
    Ok(MYPAGES.page(&origin, &page, list, |_, one| one.book_id))
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
    let known = queries.of_booking(BookingId(id)).await?;
    let known = known.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "urn:anticorona:no-such-booking",
            "There is no such booking",
        )
        .detail("a booking appears here a moment after it was made")
    })?;
    Ok(MYPAGES.ok(&origin, id, known.mypage()))
}

problem_responses! {
    /// There is no such booking, or not yet
    NotFound = 404;
}
