//! The guards between a connection and the routes of a service, from the outside in:
//!
//! 1. *Deadline*, outermost: its clock starts with the head of the request and includes everything
//!    below, the body and the wait for admission too. It is the time that the caller has left, at most
//!    what the service promises; at the public edge, where callers are clients, it is what the service
//!    promises. A request that exceeds it is still answered.
//! 2. *Body*: read to its end before admission, within its own time, so that clients on slow networks
//!    do not use capacity while they send.
//! 3. *Admission*: a request is admitted, queued, or shed at once with `Retry-After`. Cancellations
//!    and completions go before new bookings, and bookings before reads; operators are always
//!    admitted. It is innermost, since it learns its limit from the duration of what it admits. How
//!    many items a request counts as follows from its body, never from a header.
//!
//! On the way out, a 503 gets a `Retry-After` that spreads retries over time, and becomes a page if a
//! browser asked.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use hyper::body::Incoming;
use platform_resilience::{
    admission::{Admission, AdmissionConfig, Admitted, ShedError},
    config::GuardConfigError,
    deadline::{self, Deadline},
    limiter::{LimiterConfig, Sample},
    wait_queue::Priority,
};
use tokio::time::timeout;
use tower::ServiceExt;

use crate::{
    headers::SHED,
    json::{self, BODY_MAX},
    problem::{OwnRetryAfter, Problem},
    retry_page,
};

/// The most items that one request counts as.
const ITEMS_MAX: u32 = 512;

/// How long a client may take to send the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(2);

/// Items in flight that are always admitted, as long as they have time: more than the 200 users of
/// the reference, which must be served however slow the machine is.
const ALWAYS_ADMITTED: u32 = 256;

/// When to retry after a request that was not answered within its deadline.
const EXPIRED_RETRY_AFTER: Duration = Duration::from_secs(2);

/// How many items a request to that path carries in that body. Admission limits items, not requests.
pub type CountItems = fn(&Method, &str, &[u8]) -> usize;

/// What the guards of a listener know of its callers and requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IngressConfig {
    /// How long a response may take.
    pub(crate) request_timeout: Duration,
    /// Whether the callers are clients: the time that they state is not believed.
    pub(crate) is_edge: bool,
    pub(crate) count_items: CountItems,
}

/// The guards in front of the routes of one service.
#[derive(Debug)]
pub(crate) struct Ingress {
    router: Router,
    admission: Admission,
    config: IngressConfig,
}

/// When a request must be answered. Its time starts with the head of the request, and is never more
/// than its caller has left.
#[derive(Clone, Copy, Debug)]
pub struct RequestDeadline(pub Instant);

impl<S: Send + Sync> FromRequestParts<S> for RequestDeadline {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let deadline = parts.extensions.get().copied();
        Ok(deadline.unwrap_or_else(|| Self(Instant::now() + deadline::CAP)))
    }
}

impl Ingress {
    /// The guards in front of these routes.
    pub(crate) fn new(router: Router, config: IngressConfig) -> Result<Self, GuardConfigError> {
        let limiter = LimiterConfig { min: ALWAYS_ADMITTED, ..LimiterConfig::default() };
        let admission = AdmissionConfig { limiter, ..AdmissionConfig::default() };
        let admission = Admission::new(admission)?;
        Ok(Self { router, admission, config })
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Answers a request within its deadline. `arrived` is called once it has been read to its end,
    /// unless the handler reads it.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        arrived: impl FnOnce(),
    ) -> Response {
        let deadline = self.deadline(request.headers());
        let page = retry_page::is_accepted(request.headers()).then(|| request.method().clone());
        let left = deadline.left(self.admission.clock().now());
        let response = timeout(left, self.serve(request, deadline, arrived)).await;
        let response = response.unwrap_or_else(|_| expired().into_response());
        match response.status() {
            StatusCode::SERVICE_UNAVAILABLE => self.retry_later(response, page.as_ref()),
            _ => response,
        }
    }

    fn deadline(&self, headers: &HeaderMap) -> Deadline {
        let now = self.admission.clock().now();
        let stated = headers.get(deadline::HEADER).filter(|_| !self.config.is_edge);
        let left = Deadline::from_header(stated.map(HeaderValue::as_bytes), now).left(now);
        Deadline::within(left.min(self.config.request_timeout), now)
    }

    async fn serve(
        &self,
        request: Request<Incoming>,
        deadline: Deadline,
        arrived: impl FnOnce(),
    ) -> Response {
        let priority = priority(request.method(), request.uri().path());
        let (mut request, items) = match self.with_body(request, priority).await {
            Ok(read) => read,
            Err(problem) => return problem.into_response(),
        };
        if request.body().is_end_stream() || priority != Priority::Operator {
            arrived();
        }
        let admitted = match self.admission.admit(priority, items, deadline).await {
            Ok(admitted) => admitted,
            Err(shed) => return rejection(shed),
        };
        let left = deadline.left(self.admission.clock().now());
        request.extensions_mut().insert(RequestDeadline(Instant::now() + left));
        let Ok(response) = self.router.clone().oneshot(request).await;
        finish(admitted, response.status());
        response
    }

    /// Reads the body, and counts its items. Those of operators and publishers, which admission does not
    /// limit, are read by the handler.
    async fn with_body(
        &self,
        request: Request<Incoming>,
        priority: Priority,
    ) -> Result<(Request<Body>, u32), Problem> {
        if priority == Priority::Operator || request.body().is_end_stream() {
            return Ok((request.map(Body::new), 1));
        }
        let (head, body) = request.into_parts();
        let body = read_in_time(Body::new(body)).await?;
        let items = (self.config.count_items)(&head.method, head.uri.path(), &body);
        let items = u32::try_from(items).unwrap_or(ITEMS_MAX).clamp(1, ITEMS_MAX);
        Ok((Request::from_parts(head, Body::from(body)), items))
    }

    /// Sets a `Retry-After` of at least the wait that a new request would have, spread so that
    /// clients do not all retry at the same moment.
    fn retry_later(&self, mut response: Response, page: Option<&Method>) -> Response {
        let own = response.extensions().get().copied();
        if let (Some(OwnRetryAfter(after)), false) = (own, response.headers().contains_key(SHED)) {
            let now = self.admission.clock().now();
            let after = self.admission.retry_after(after, now).as_secs();
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after));
        }
        match page {
            Some(method) => retry_page::render(&response, method),
            None => response,
        }
    }
}

async fn read_in_time(body: Body) -> Result<Bytes, Problem> {
    let read = timeout(BODY_TIMEOUT, json::read(body, BODY_MAX)).await;
    read.unwrap_or_else(|_| {
        Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "urn:anticorona:body-too-slow",
            "The body was not sent in time",
        )
        .detail(format!("at most {} s", BODY_TIMEOUT.as_secs())))
    })
}

/// Health, metrics and events keep the system running; they are few, and sent one at a time.
fn priority(method: &Method, path: &str) -> Priority {
    if path.starts_with("/actuator") || path.starts_with("/events") {
        return Priority::Operator;
    }
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Priority::Read,
        Method::POST => Priority::Book,
        _ => Priority::Cancel, // Cancels or completes a booking, which frees capacity.
    }
}

/// Only the duration of a request that was served is a sample of how long serving takes.
fn finish(admitted: Admitted, status: StatusCode) {
    match status {
        // Dropped: it counts as overloaded if it is late, and else not at all, since another service
        // was unavailable.
        StatusCode::SERVICE_UNAVAILABLE => drop(admitted),
        StatusCode::CONFLICT => admitted.finish(Sample::Answered),
        status if status.is_client_error() => admitted.finish(Sample::Ignored),
        _ => admitted.finish(Sample::Answered),
    }
}

fn rejection(shed: ShedError) -> Response {
    let problem = Problem::retry_later(shed.retry_after, shed.reason.to_string());
    let mut response = problem.into_response();
    response.headers_mut().insert(SHED, HeaderValue::from_static(shed.reason.name()));
    response
}

fn expired() -> Problem {
    Problem::retry_later(EXPIRED_RETRY_AFTER, "the request was not answered within its deadline")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_free_capacity_go_before_bookings_and_bookings_before_reads() {
        assert_eq!(priority(&Method::PATCH, "/bookings/1"), Priority::Cancel);
        assert_eq!(priority(&Method::DELETE, "/bookings/1"), Priority::Cancel);
        assert_eq!(priority(&Method::POST, "/bookings"), Priority::Book);
        assert_eq!(priority(&Method::GET, "/bookings/1"), Priority::Read);
        for path in ["/actuator/health", "/events", "/events/offset"] {
            assert_eq!(priority(&Method::GET, path), Priority::Operator, "{path}");
        }
    }
}
