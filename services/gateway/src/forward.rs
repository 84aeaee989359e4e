//! Forwarding a request to a service.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, Bytes},
    extract::{self, State},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
    },
};
use platform_resilience::deadline;
use platform_rest::{
    RequestDeadline,
    client::{Call, CallError, Client},
    headers::{ATTEMPT, Attempt, SHED},
    json::{self, BODY_MAX, RESPONSE_MAX},
    problem::Problem,
};
use tokio::time;

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

/// Pause before a request whose connection broke is repeated: the service may be starting again.
const REPEAT_PAUSE: Duration = Duration::from_millis(100);

/// A service behind the edge.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) client: Client,
    /// Whether it recognises a repeated `POST`.
    pub(crate) recognises_attempts: bool,
}

/// Sends the same request to the service and returns its response. The caller's `Host` is kept, so that
/// links lead back here. Both bodies are read in full: a slow caller must not hold a connection to the
/// service, and half a response is no response.
///
/// Where the service recognises attempts, a `POST` whose connection broke is repeated until it is answered, or its
/// time is over: a service that was killed may have done what was requested, and nobody would say so.
pub(crate) async fn forward(
    State(upstream): State<Upstream>,
    RequestDeadline(deadline): RequestDeadline,
    request: extract::Request,
) -> Result<Response<Body>, Problem> {
    let (mut head, body) = request.into_parts();
    let body = json::read(body, BODY_MAX).await?;
    // Links for a caller without a host have none; the service's own address is not for it.
    let host = head.headers.get(header::HOST).cloned().unwrap_or(HeaderValue::from_static(""));
    remove_hop_by_hop(&mut head.headers);
    head.headers.insert(header::HOST, host);
    head.headers.remove(header::CONTENT_LENGTH); // Set again from the body.
    head.headers.remove(ATTEMPT); // A client does not choose it.
    head.headers.remove(header::EXPECT); // Met: the body was read.
    head.version = Version::HTTP_11;
    let request = Request::from_parts(head, body);
    // Before the own deadline, so that a time-out is the service's and counts in its breaker.
    let call_deadline = deadline.checked_sub(deadline::MARGIN).unwrap_or(deadline);
    let mut response = upstream.send(request, call_deadline).await?;
    remove_hop_by_hop(response.headers_mut());
    response.headers_mut().remove(SHED); // Between services only; the edge adds its own.
    Ok(response.map(Body::from))
}

impl Upstream {
    async fn send(
        &self,
        mut request: Request<Bytes>,
        deadline: Instant,
    ) -> Result<Response<Bytes>, Problem> {
        if !self.recognises_attempts || request.method() != Method::POST {
            let response = self.client.send(Call::of(request), deadline).await;
            return response.map_err(|error| problem(&error));
        }
        let mut attempt = Attempt::first();
        loop {
            if let Ok(value) = HeaderValue::try_from(attempt.header()) {
                request.headers_mut().insert(ATTEMPT, value);
            }
            let error = match self.client.send(Call::of(request.clone()), deadline).await {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            attempt.is_repeated |= matches!(error, CallError::NoResponse(_));
            if !attempt.is_repeated {
                return Err(problem(&error));
            }
            if time::Instant::now() + REPEAT_PAUSE >= deadline.into()
                || matches!(error, CallError::TooLarge)
            {
                return Err(unknown());
            }
            time::sleep(REPEAT_PAUSE).await;
        }
    }
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
        CallError::TooLarge => return too_large(),
        CallError::Unreachable(_) => {
            (RETRY_AFTER, "nothing has happened; the service cannot be reached")
        }
        CallError::CircuitOpen { retry_after } | CallError::Shed { retry_after } => {
            (*retry_after, "nothing has happened; the service is unavailable or overloaded")
        }
        CallError::NoResponse(_) | CallError::Status(_) => return unknown(),
    };
    Problem::retry_later(retry_after, detail)
}

fn unknown() -> Problem {
    let detail = "it may or may not have happened; the service did not answer";
    Problem::retry_later(RETRY_AFTER, detail)
}

/// A retry would not help, and others are answered: no 503.
fn too_large() -> Problem {
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "urn:anticorona:response-too-large",
        "The response is too large",
    )
    .detail(format!("it may have happened; a response has at most {RESPONSE_MAX} bytes"))
}
