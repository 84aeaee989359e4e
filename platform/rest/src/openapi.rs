//! Responses that the operations of all services share, for their OpenAPI documents.
//!
//! An operation names them beside its own: `responses((status = 201, …), BodyProblems, Unavailable)`.

use utoipa::{IntoParams, IntoResponses, ToSchema};

use crate::{
    hal::{HalItem, HalPage, Links},
    problem::Problem,
};

/// The responses to a request whose body is wrong.
#[derive(Debug, IntoResponses)]
pub enum BodyProblems {
    /// The body or a header cannot be read
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
    /// The body is larger than 64 KiB
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not of the media type of this operation
    #[response(status = 415, content_type = "application/problem+json")]
    UnsupportedMediaType(Problem),
    /// A field is wrong; `field` names it
    #[response(status = 422, content_type = "application/problem+json")]
    InvalidField(Problem),
}

/// The response to a request whose path is refused before it is routed: for operations without a body whose path has a
/// text in it.
#[derive(Debug, IntoResponses)]
pub enum PathProblem {
    /// The path has a dot segment, a backslash, or an encoded dot, slash or percent sign
    #[response(status = 400, content_type = "application/problem+json")]
    Malformed(Problem),
}

/// The responses to a request for a page of a list.
#[derive(Debug, IntoResponses)]
pub enum PageOf<T: ToSchema> {
    /// A page
    #[response(status = 200, content_type = "application/hal+json")]
    Page(HalPage<T>),
    /// `Accept` has neither `application/hal+json` nor `application/json`
    #[response(status = 406, content_type = "application/problem+json")]
    NotAcceptable(Problem),
    /// The parameters do not go together: the page is too far from the beginning of the list (follow the
    /// `next` links), or both a page and a cursor are given; or the list cannot be sorted like this: its `sort`
    /// has another field or direction, or is repeated
    #[response(status = 400, content_type = "application/problem+json")]
    Incompatible(Problem),
    /// Too many pages of more than 100 items are waiting
    #[response(status = 429, content_type = "application/problem+json")]
    TooManyLargePages(Problem),
    /// A parameter is wrong; `field` names it
    #[response(status = 422, content_type = "application/problem+json")]
    InvalidField(Problem),
}

/// The response with links alone.
#[derive(Debug, IntoResponses)]
pub enum Linked {
    /// Links
    #[response(status = 200, content_type = "application/hal+json")]
    Links(Links),
}

/// The responses with an item.
#[derive(Debug, IntoResponses)]
pub enum Found<T: ToSchema> {
    /// Found
    #[response(
        status = 200,
        content_type = "application/hal+json",
        headers(("ETag" = String, description = "The tag of this state, for `If-Match`"))
    )]
    Item(HalItem<T>),
    /// `Accept` has neither `application/hal+json` nor `application/json`
    #[response(status = 406, content_type = "application/problem+json")]
    NotAcceptable(Problem),
}

/// The responses with a created item.
#[derive(Debug, IntoResponses)]
pub enum Created<T: ToSchema> {
    /// Created
    #[response(
        status = 201,
        content_type = "application/hal+json",
        headers(("Location" = String, description = "Its URL"))
    )]
    Item(HalItem<T>),
    /// `Accept` has neither `application/hal+json` nor `application/json`
    #[response(status = 406, content_type = "application/problem+json")]
    NotAcceptable(Problem),
}

/// The responses with a changed item.
#[derive(Debug, IntoResponses)]
pub enum Changed<T: ToSchema> {
    /// Changed
    #[response(
        status = 200,
        content_type = "application/hal+json",
        headers(("ETag" = String, description = "The tag of the new state, for `If-Match`"))
    )]
    Item(HalItem<T>),
    /// `Accept` has neither `application/hal+json` nor `application/json`
    #[response(status = 406, content_type = "application/problem+json")]
    NotAcceptable(Problem),
}

/// The response to a request for a HAL body whose client accepts none.
#[derive(Debug, IntoResponses)]
pub enum NotAcceptable {
    /// `Accept` has neither `application/hal+json` nor `application/json`
    #[response(status = 406, content_type = "application/problem+json")]
    Problem(Problem),
}

/// The condition of a change.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header")]
pub struct Condition {
    /// The `ETag` of the state that is to be changed; without it, any state is
    #[param(rename = "If-Match", nullable = false)]
    if_match: Option<String>,
}

/// The response to a change of a state that is not there any more.
#[derive(Debug, IntoResponses)]
pub enum ConditionProblem {
    /// It was changed meanwhile: no `ETag` in `If-Match` is that of its state
    #[response(status = 412, content_type = "application/problem+json")]
    Failed(Problem),
}

/// The response while a request cannot be served.
#[derive(Debug, IntoResponses)]
pub enum Unavailable {
    /// Not now: retry after the given time
    #[response(
        status = 503,
        content_type = "application/problem+json",
        headers(("Retry-After" = u32, description = "When to retry, in seconds"))
    )]
    RetryLater(Problem),
}

/// Types that describe a response with a [`Problem`]. The comment is its description in the document:
///
/// `problem_responses!(/** There is no such vaccine */ NoSuchVaccine = 404;)`
#[macro_export]
macro_rules! problem_responses {
    ($($(#[$description:meta])+ $visibility:vis $name:ident = $status:tt;)+) => {$(
        $(#[$description])+
        #[derive(utoipa::IntoResponses)]
        #[response(status = $status, content_type = "application/problem+json")]
        #[expect(dead_code, reason = "describes a response")]
        $visibility struct $name($crate::problem::Problem);
    )+};
}
