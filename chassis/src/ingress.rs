//! What stands between a connection and the routes of a part, from the outside in:
//!
//! 1. *Deadline*: the time of a request runs from its head. Whatever its caller has left counts, at
//!    most what the part promises; whoever is late gets an answer all the same.
//! 2. *Body*: a short one is read here, so that people on slow phones hold no place while they send.
//! 3. *Admission*: who gets in, who waits a moment, and who is told at once to come back, and when.
//!    Whoever cancels or completes goes before who books, and who books before who only looks;
//!    operators always get in.
//!
//! On the way out, a refusal says when to come back, spread so that not all come back together, and
//! says it as a page to a browser.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use hyper::body::Incoming;
use resilience::{
    admission::{Admission, AdmissionConfig, Admitted, InvalidAdmission, Shed},
    deadline::{self, Deadline},
    drain,
    limiter::{LimiterConfig, Sample},
    line::Priority,
    time::{Clock, Monotonic},
};
use tokio::time::timeout;
use tower::ServiceExt;

use crate::{
    client::{ITEMS, SHED},
    json::{self, BODY_MAX},
    page,
    problem::{ComeBack, Problem},
};

/// What one request may claim to carry.
const ITEMS_MAX: u32 = 512;

/// So many in flight are always let in, as long as they have time: more than the seed's 200 users,
/// who are to be served, and not sent away, however slow the machine is.
const ALWAYS_IN: u32 = 256;

/// The way in to the routes of one part.
#[derive(Debug)]
pub(crate) struct Ingress {
    router: Router,
    admission: Admission,
    answer_within: Duration,
    seed: AtomicU64,
}

/// When a request must be answered. Its time runs from when its head had arrived, also while its
/// body is on the way, and is never more than what its caller has left.
#[derive(Clone, Copy, Debug)]
pub struct Due(pub Instant);

impl<S: Send + Sync> FromRequestParts<S> for Due {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let due = parts.extensions.get().copied();
        Ok(due.unwrap_or_else(|| Self(Instant::now() + deadline::CAP)))
    }
}

impl Ingress {
    /// To these routes, which promise an answer within that time.
    pub(crate) fn new(router: Router, answer_within: Duration) -> Result<Self, InvalidAdmission> {
        let limiter = LimiterConfig { min: ALWAYS_IN, ..LimiterConfig::default() };
        let config = AdmissionConfig { limiter, ..AdmissionConfig::default() };
        let admission = Admission::new(config, Monotonic::default())?;
        Ok(Self { router, admission, answer_within, seed: AtomicU64::new(0) })
    }

    /// Who decides about letting in.
    pub(crate) fn admission(&self) -> &Admission {
        &self.admission
    }

    /// Answers, in time.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response {
        let deadline = self.deadline(request.headers());
        let page = page::is_wanted(request.headers()).then(|| request.method().clone());
        let left = deadline.left(self.admission.clock().now());
        let answered = timeout(left, self.serve(request, deadline)).await;
        let answer = answered.unwrap_or_else(|_| too_late().into_response());
        match answer.status() {
            StatusCode::SERVICE_UNAVAILABLE => self.come_back(answer, page.as_ref()),
            _ => answer,
        }
    }

    fn deadline(&self, headers: &HeaderMap) -> Deadline {
        let now = self.admission.clock().now();
        let left = headers.get(deadline::HEADER).map(HeaderValue::as_bytes);
        let left = Deadline::from_header(left, now).left(now);
        Deadline::within(left.min(self.answer_within), now)
    }

    async fn serve(&self, request: Request<Incoming>, deadline: Deadline) -> Response {
        let priority = priority(request.method(), request.uri().path());
        let mut request = match with_body(request, priority).await {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        };
        let admitted = self.admission.admit(priority, items(request.headers()), deadline).await;
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(shed) => return turned_away(shed),
        };
        let left = deadline.left(self.admission.clock().now());
        request.extensions_mut().insert(Due(Instant::now() + left));
        let Ok(answer) = self.router.clone().oneshot(request).await;
        learn(admitted, answer.status());
        answer
    }

    /// At least so long as whoever comes now would wait, and not everybody at the same moment.
    fn come_back(&self, mut answer: Response, page: Option<&Method>) -> Response {
        let own = answer.extensions().get().copied();
        if let (Some(ComeBack(after)), false) = (own, answer.headers().contains_key(SHED)) {
            let seed = self.seed.fetch_add(1, Ordering::Relaxed);
            let spread = drain::retry_after(after, seed);
            let busy = self.admission.retry_after(self.admission.clock().now());
            let after = spread.max(busy).as_secs();
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(after));
        }
        match page {
            Some(method) => page::of(&answer, method),
            None => answer,
        }
    }
}

/// Reads a body that says how long it is, and is not longer than a person's may be. Larger ones and
/// those of operators and neighbours are read where they belong.
async fn with_body(
    request: Request<Incoming>,
    priority: Priority,
) -> Result<Request<Body>, Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if priority == Priority::Operator || !length.is_some_and(|it| (1..=BODY_MAX).contains(&it)) {
        return Ok(request.map(Body::new));
    }
    let (head, body) = request.into_parts();
    let body = json::read(Body::new(body), BODY_MAX).await?;
    Ok(Request::from_parts(head, Body::from(body)))
}

/// Health, metrics and events keep the system itself going; they are few, and each of them comes
/// one at a time.
fn priority(method: &Method, path: &str) -> Priority {
    if path.starts_with("/actuator") || path.starts_with("/events") {
        return Priority::Operator;
    }
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Priority::Read,
        Method::POST => Priority::Book,
        _ => Priority::Settle, // Cancels, completes, or gives back: makes room for others.
    }
}

fn items(headers: &HeaderMap) -> u32 {
    let items = headers.get(ITEMS).and_then(|items| items.to_str().ok()?.parse().ok());
    items.unwrap_or(1).clamp(1, ITEMS_MAX)
}

/// Only what was truly served says how long serving takes.
fn learn(admitted: Admitted, status: StatusCode) {
    match status {
        // Late, it counts as overloaded, and else it was refused by somebody else's doing.
        StatusCode::SERVICE_UNAVAILABLE => drop(admitted),
        StatusCode::CONFLICT => admitted.finish(Sample::Answered),
        status if status.is_client_error() => admitted.finish(Sample::Ignored),
        _ => admitted.finish(Sample::Answered),
    }
}

fn turned_away(shed: Shed) -> Response {
    let problem = Problem::come_back(shed.retry_after, shed.reason.to_string());
    let mut answer = problem.into_response();
    answer.headers_mut().insert(SHED, HeaderValue::from_static(shed.reason.name()));
    answer
}

fn too_late() -> Problem {
    Problem::come_back(Duration::from_secs(2), "no answer within the time that a request has")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_makes_room_goes_before_who_takes_it_and_looking_comes_last() {
        let of = |method: Method, path| priority(&method, path);
        assert_eq!(of(Method::PATCH, "/bookings/1"), Priority::Settle);
        assert_eq!(of(Method::DELETE, "/bookings/1"), Priority::Settle);
        assert_eq!(of(Method::POST, "/bookings"), Priority::Book);
        assert_eq!(of(Method::GET, "/bookings/1"), Priority::Read);
        for path in ["/actuator/health", "/events", "/events/heard"] {
            assert_eq!(of(Method::GET, path), Priority::Operator, "{path}");
        }
    }

    #[test]
    fn a_request_counts_as_what_it_carries_within_reason() {
        let carrying = |text: &str| {
            items(&HeaderMap::from_iter([(
                header::HeaderName::from_static(ITEMS),
                text.parse().unwrap(),
            )]))
        };
        assert_eq!([carrying("7"), carrying("0"), carrying("many")], [7, 1, 1]);
        assert_eq!(carrying("1000000"), ITEMS_MAX);
        assert_eq!(items(&HeaderMap::new()), 1);
    }
}
