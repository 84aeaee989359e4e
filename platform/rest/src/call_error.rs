//! Why a call to a service brought no usable response.

use std::time::Duration;

use axum::http::StatusCode;
use platform_telemetry::BoxError;
use thiserror::Error;

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
    /// The response has another status than the expected one.
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
