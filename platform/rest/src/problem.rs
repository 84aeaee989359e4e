//! Errors as `application/problem+json` (RFC 9457): a stable `type` for programs, text for people.

use std::{fmt::Display, time::Duration};

use axum::{
    Extension,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use platform_store::{ReadError, WriteError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// When to retry after the own store failed.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(2);

/// An error response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem; stable, `urn:anticorona:…`.
    #[schema(example = "urn:anticorona:sold-out")]
    r#type: &'static str,
    /// The kind in words.
    title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    /// What is wrong this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// The field that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Further members, which depend on the kind (RFC 9457, section 3.2).
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    members: Option<Box<Map<String, Value>>>,
    #[serde(skip)]
    retry_after: Option<Duration>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem of a kind. `type` is `urn:anticorona:` and a name that never changes.
    pub const fn new(status: StatusCode, r#type: &'static str, title: &'static str) -> Self {
        Self { r#type, title, status, detail: None, field: None, members: None, retry_after: None }
    }

    /// 400: the request cannot be parsed.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "urn:anticorona:malformed", "The request cannot be read")
            .detail(detail)
    }

    /// 422: the request can be parsed, but one field of it is wrong; it is named where it is known.
    pub fn invalid<'a>(field: impl Into<Option<&'a str>>, detail: impl Into<String>) -> Self {
        let problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "urn:anticorona:invalid-field",
            "A field is wrong",
        )
        .detail(detail);
        match field.into() {
            Some(field) => problem.field(field),
            None => problem,
        }
    }

    /// 409: the field is valid, but no request can change what it has now.
    pub fn unchangeable(field: &str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "urn:anticorona:unchangeable-field",
            "The field cannot be changed",
        )
        .field(field)
        .detail(detail)
    }

    /// 404: there is nothing at this URL.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "urn:anticorona:not-found", "There is no such thing")
            .detail(detail)
    }

    /// 503 with `Retry-After`, in whole seconds and at least one: the request may be sent again after
    /// that time.
    pub fn retry_later(retry_after: Duration, detail: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let problem = Self::new(status, "urn:anticorona:retry-later", "Please retry later");
        problem.retry_after(retry_after).detail(detail)
    }

    /// Adds what is wrong this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds the name of the field that is wrong.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Adds a further member, which the documentation of its kind describes. One that cannot be serialised is left out.
    #[must_use]
    pub fn member(mut self, name: &str, value: &impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.members.get_or_insert_default().insert(name.to_owned(), value);
        }
        self
    }

    /// Adds a `Retry-After`, in whole seconds and at least one. A 429 or a 503 without it counts as a failure of the
    /// service for its callers, and opens their circuit.
    #[must_use]
    pub const fn retry_after(mut self, retry_after: Duration) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    fn store(error: impl Display) -> Self {
        Self::retry_later(STORE_RETRY_AFTER, error.to_string())
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::store(error)
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        Self::store(error)
    }
}

/// Marks a `Retry-After` of this service, which the ingress spreads over time. One that was forwarded
/// was spread by the service that it comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnRetryAfter(pub(crate) Duration);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default(); // Strings and a number cannot fail.
        let headers = [
            (header::CONTENT_TYPE, "application/problem+json"),
            // A 404 could be stored else (RFC 9110, section 15.1), and may end at any moment.
            (header::CACHE_CONTROL, "no-store"),
        ];
        let retry_after = self.retry_after.map(|after| {
            let seconds = after.as_millis().div_ceil(1000).max(1).to_string();
            ([(header::RETRY_AFTER, seconds)], Extension(OwnRetryAfter(after)))
        });
        (self.status, headers, retry_after, body).into_response()
    }
}
