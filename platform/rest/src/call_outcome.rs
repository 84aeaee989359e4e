//! Classifies the result of an attempt: for the breaker of the endpoint, its load, and retries.

use std::{
    error::Error,
    io::{self, ErrorKind},
    time::Duration,
};

use axum::http::{HeaderMap, Response, StatusCode, header};
use platform_resilience::breaker::CallOutcome;

use crate::call::CallError;

/// A refusal that takes longer than this counts as a timeout.
const REFUSAL_MAX: Duration = Duration::from_millis(500);

/// An endpoint that was given less time than this, and did not answer in it, is not to blame: the caller
/// had no useful time left. A client decides how much that is, by sending its body slowly.
const SILENCE_MIN: Duration = Duration::from_millis(500);

/// A quick refusal with `Retry-After` is a success: the endpoint protects itself, and a breaker that
/// opened for it would reject requests that the endpoint would have served. Our services always send
/// `Retry-After`. So a 503 without it comes from a proxy that reaches no endpoint, and is a failure
/// as any other 5xx.
pub(crate) fn from_response<B>(response: &Response<B>, elapsed: Duration) -> CallOutcome {
    let has_retry_after = retry_after(response.headers()).is_some();
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE if has_retry_after => {
            if elapsed < REFUSAL_MAX {
                CallOutcome::Success
            } else {
                CallOutcome::Timeout
            }
        }
        StatusCode::TOO_MANY_REQUESTS => CallOutcome::Overload,
        status if status.is_server_error() => CallOutcome::Failure,
        _ => CallOutcome::Success,
    }
}

/// No response in the time that the endpoint was given.
pub(crate) fn from_silence(given: Duration) -> CallOutcome {
    if given < SILENCE_MIN { CallOutcome::Cancelled } else { CallOutcome::Timeout }
}

/// A connection attempt that times out is a timeout: the packets may be dropped, or late. A response that
/// is too large is one: who requests it must not be able to open the circuit for everybody.
pub(crate) fn from_error(error: &CallError) -> CallOutcome {
    if matches!(error, CallError::TooLarge) {
        return CallOutcome::Success;
    }
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(this) = cause {
        let io = this.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == ErrorKind::TimedOut) {
            return CallOutcome::Timeout;
        }
        cause = this.source();
    }
    CallOutcome::Failure
}

/// How long the circuit should stay open at least. The `Retry-After` of a late 503 does not count: it
/// is the retry time of one client.
pub(crate) fn open_for<B>(response: &Response<B>, outcome: CallOutcome) -> Option<Duration> {
    retry_after(response.headers()).filter(|_| outcome != CallOutcome::Timeout)
}

/// `Retry-After` in seconds; a date is ignored.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// Whether another endpoint may answer better. An overload is never retried: the other endpoints
/// are overloaded too.
pub(crate) fn is_retryable<B>(
    result: &Result<Response<B>, CallError>,
    is_idempotent: bool,
) -> bool {
    match result {
        Err(CallError::Unreachable(_)) => true,
        Err(CallError::NoResponse(_)) => is_idempotent,
        Err(
            CallError::CircuitOpen { .. }
            | CallError::Shed { .. }
            | CallError::TooLarge
            | CallError::Status(_),
        ) => false,
        Ok(response) => {
            let status = response.status();
            let is_overload = status == StatusCode::SERVICE_UNAVAILABLE;
            is_idempotent && status.is_server_error() && !is_overload
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: StatusCode) -> Response<()> {
        Response::builder().status(status).header(header::RETRY_AFTER, 30).body(()).unwrap()
    }

    #[test]
    fn the_retry_after_of_a_late_503_does_not_keep_a_circuit_open() {
        let late = response(StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(open_for(&late, from_response(&late, REFUSAL_MAX)), None);
        let broken = response(StatusCode::BAD_GATEWAY);
        let open_for = open_for(&broken, from_response(&broken, REFUSAL_MAX));
        assert_eq!(open_for, Some(Duration::from_secs(30)));
    }

    #[test]
    fn only_an_idempotent_call_is_retried_after_it_was_sent_and_never_an_overload() {
        let retryable = |result: Result<Response<()>, CallError>| {
            [true, false].map(|is_idempotent| is_retryable(&result, is_idempotent))
        };
        assert_eq!(retryable(Err(CallError::unreachable("refused"))), [true, true]);
        assert_eq!(retryable(Err(CallError::no_response("reset"))), [true, false]);
        assert_eq!(retryable(Ok(response(StatusCode::BAD_GATEWAY))), [true, false]);
        assert_eq!(retryable(Ok(response(StatusCode::SERVICE_UNAVAILABLE))), [false, false]);
        assert_eq!(retryable(Ok(response(StatusCode::CONFLICT))), [false, false]);
    }
}
