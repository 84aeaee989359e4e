//! The OpenAPI document of the views. The functions and types here only describe; nobody calls them.

#![expect(dead_code, reason = "read by utoipa's macros alone")]

use chassis::{
    hal::{Link, PageInfo, PageLinks},
    problem::Problem,
};
use contracts::mypage::Mypage;
use utoipa::{OpenApi, ToResponse, ToSchema};

#[derive(OpenApi)]
#[openapi(
    info(title = "anticorona mypage", description = "What citizens see of their bookings."),
    paths(list, find_by_user, show),
    components(schemas(Problem), responses(NotFound, WrongField, ComeBack))
)]
struct Doc;

/// The document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Doc::openapi()
}

/// Bookings as their citizens see them, page by page.
///
/// In the order in which they were first heard of, so a page that was full keeps its bookings.
#[utoipa::path(
    get,
    path = "/mypages",
    tag = "mypages",
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
            status = 200, description = "One page of them", body = MypagePage,
            content_type = "application/hal+json"
        ),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
fn list() {}

/// The bookings of one citizen, page by page.
///
/// In the order in which they were first heard of.
#[utoipa::path(
    get,
    path = "/mypages/search/findByUserId",
    tag = "mypages",
    params(
        ("userId" = i64, Query, description = "The citizen's number", minimum = 0, example = 5),
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
            status = 200, description = "One page of them", body = MypagePage,
            content_type = "application/hal+json"
        ),
        (status = 422, response = WrongField),
        (status = 503, response = ComeBack),
    )
)]
fn find_by_user() {}

/// One booking. It is shown a moment after it was made.
#[utoipa::path(
    get,
    path = "/mypages/{id}",
    tag = "mypages",
    params(("id" = i64, Path, description = "The booking's number", minimum = 1, example = 1)),
    responses(
        (
            status = 200, description = "Found", body = MypageItem,
            content_type = "application/hal+json"
        ),
        (status = 404, response = NotFound),
        (status = 503, response = ComeBack),
    )
)]
fn show() {}

/// A view with its links.
#[derive(ToSchema)]
struct MypageItem {
    #[schema(inline)]
    #[serde(flatten)]
    mypage: Mypage,
    _links: ItemLinks,
}

/// One page of views.
#[derive(ToSchema)]
struct MypagePage {
    _embedded: EmbeddedMypages,
    _links: PageLinks,
    page: PageInfo,
}

/// The views of a page.
#[derive(ToSchema)]
struct EmbeddedMypages {
    mypages: Vec<MypageItem>,
}

/// Where an item is.
#[derive(ToSchema)]
struct ItemLinks {
    #[schema(rename = "self")]
    this: Link,
    mypage: Link,
}

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
