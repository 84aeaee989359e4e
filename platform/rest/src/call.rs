//! A request to another service, before an endpoint is chosen for it, and why it brought no usable response.

use std::time::Duration;

use axum::{
    body::Bytes,
    http::{HeaderValue, Method, Request, StatusCode, header},
};
use platform_telemetry::BoxError;
use serde::Serialize;
use thiserror::Error;

/// A request to another service.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) request: Request<Bytes>,
    /// How long the first attempt of an idempotent call may take.
    pub(crate) attempt_timeout: Option<Duration>,
}

impl Call {
    /// A call of a request whose URI is a path, perhaps with a query.
    pub fn of(request: Request<Bytes>) -> Self {
        Self { request, attempt_timeout: None }
    }

    /// A GET.
    pub fn get(path: &str) -> Result<Self, CallError> {
        let request = Request::builder().uri(path).body(Bytes::new());
        Ok(Self::of(request.map_err(CallError::unreachable)?))
    }

    /// A POST of JSON.
    pub fn post<T: Serialize>(
        path: &str,
        media_type: &'static str,
        body: &T,
    ) -> Result<Self, CallError> {
        Self::json(Method::POST, path, media_type, body)
    }

    /// A PUT of JSON.
    pub fn put<T: Serialize>(path: &str, body: &T) -> Result<Self, CallError> {
        Self::json(Method::PUT, path, "application/json", body)
    }

    /// A POST of CSV.
    pub fn post_csv(path: &str, rows: &'static str) -> Result<Self, CallError> {
        Self::with_body(Method::POST, path, "text/csv", Bytes::from_static(rows.as_bytes()))
    }

    /// A DELETE with a JSON body.
    pub fn delete<T: Serialize>(path: &str, body: &T) -> Result<Self, CallError> {
        Self::json(Method::DELETE, path, "application/json", body)
    }

    fn json<T: Serialize>(
        method: Method,
        path: &str,
        media_type: &'static str,
        body: &T,
    ) -> Result<Self, CallError> {
        let body = serde_json::to_vec(body).map_err(CallError::unreachable)?;
        Self::with_body(method, path, media_type, Bytes::from(body))
    }

    fn with_body(
        method: Method,
        path: &str,
        media_type: &'static str,
        body: Bytes,
    ) -> Result<Self, CallError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, HeaderValue::from_static(media_type))
            .body(body);
        Ok(Self::of(request.map_err(CallError::unreachable)?))
    }

    /// Marks the call as idempotent: it may be sent to another endpoint once the first has failed,
    /// or has not answered within that time.
    #[must_use]
    pub fn idempotent(mut self, attempt_timeout: Duration) -> Self {
        self.attempt_timeout = Some(attempt_timeout);
        self
    }
}

/// Why a call brought no usable response.
#[derive(Debug, Error)]
pub enum CallError {
    /// It was never sent: nothing has happened there.
    #[error("not reachable")]
    Unreachable(#[source] BoxError),
    /// It was not sent: the circuit of every endpoint is open.
    #[error("circuit open for {} ms", retry_after.as_millis())]
    CircuitOpen {
        /// When a call may be sent again.
        retry_after: Duration,
    },
    /// It was shed by the admission of the other service: nothing has happened.
    #[error("overloaded, retry after {} s", retry_after.as_secs())]
    Shed {
        /// When to retry.
        retry_after: Duration,
    },
    /// It was sent, but the response is missing or unreadable: it may or may not have happened.
    #[error("no response")]
    NoResponse(#[source] BoxError),
    /// It was answered, with a body larger than [`RESPONSE_MAX`](crate::json::RESPONSE_MAX).
    #[error("the response is too large")]
    TooLarge,
    /// The status of the response is not a 2xx.
    #[error("answered {0}")]
    Status(StatusCode),
}

impl CallError {
    pub(crate) fn unreachable(cause: impl Into<BoxError>) -> Self {
        Self::Unreachable(cause.into())
    }

    pub(crate) fn no_response(cause: impl Into<BoxError>) -> Self {
        Self::NoResponse(cause.into())
    }
}
