//! Forwarding a request to a service.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Version, header},
    response::Response,
};
use platform_resilience::deadline;
use platform_rest::{
    RequestDeadline,
    client::{Call, CallError, Client},
    headers::SHED,
    json::{self, BODY_MAX},
    problem::Problem,
};

/// When to retry after a service did not answer.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Headers that belong to one connection and not to the request (RFC 9110, sections 7.6.1 and 11.7).
const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Sends the same request to the service and returns its response. The caller's `Host` is kept, so that
/// links lead back here. Both bodies are read in full: a slow caller must not hold a connection to the
/// service, and half a response is no response.
pub(crate) async fn forward(
    State(client): State<Client>,
    RequestDeadline(deadline): RequestDeadline,
    request: Request,
) -> Result<Response, Problem> {
    let (mut head, body) = request.into_parts();
    let body = json::read(body, BODY_MAX).await?;
    // Links for a caller without a host have none; the service's own address is not for it.
    let host = head.headers.get(header::HOST).cloned().unwrap_or(HeaderValue::from_static(""));
    remove_hop_by_hop(&mut head.headers);
    head.headers.insert(header::HOST, host);
    head.headers.remove(header::CONTENT_LENGTH); // Set again from the body.
    head.headers.remove(header::EXPECT); // Met: the body was read.
    head.version = Version::HTTP_11;
    let call = Call::of(Request::from_parts(head, body));
    // Before the own deadline, so that a time-out is the service's and counts in its breaker.
    let call_deadline = deadline.checked_sub(deadline::MARGIN).unwrap_or(deadline);
    let mut response = client.send(call, call_deadline).await.map_err(|error| problem(&error))?;
    remove_hop_by_hop(response.headers_mut());
    response.headers_mut().remove(SHED); // Between services only; the edge adds its own.
    Ok(response.map(Body::from))
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

fn problem(error: &CallError) -> Problem {
    let (retry_after, detail) = match error {
        CallError::Unreachable(_) => {
            (RETRY_AFTER, "nothing has happened; the service cannot be reached")
        }
        CallError::CircuitOpen { retry_after } | CallError::Shed { retry_after } => {
            (*retry_after, "nothing has happened; the service is unavailable or overloaded")
        }
        CallError::NoResponse(_) | CallError::Status(_) => {
            (RETRY_AFTER, "it may or may not have happened; the service did not answer")
        }
    };
    Problem::retry_later(retry_after, detail)
}
