//! One part calling another: JSON over kept connections, every call with its time.
//!
//! A guarded client also keeps the other part's trouble to itself. From the outside in:
//! a call has a deadline, which travels with it; it may be made once more, by somebody else, if
//! it is one that may be repeated and repeats are few; it goes to the less busy of two processes;
//! and each process has a circuit breaker, which sees what that process answers, and nothing else.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use resilience::{
    breaker::{Answer, BreakerConfig, InvalidConfig},
    budget::{Budget, BudgetConfig},
    deadline,
    time::{Clock, Coarse},
};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;
use tokio::time::timeout;

mod base;
pub mod breaker_setting;
mod endpoints;

pub use base::{BaseUrl, NotABaseUrl};
pub use endpoints::ENDPOINTS_MAX;

use self::endpoints::{Chosen, Endpoints, Guard};
use crate::{process::Process, trace};

/// The largest answer that is read.
const ANSWER_MAX: usize = 1024 * 1024;

/// How long a connection may take to come about. The other side is near or it is down.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);

/// How long an unused connection is kept; shorter than any part waits for the next request.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// Whoever takes longer to refuse has not refused, but failed to answer in time.
const AT_ONCE: Duration = Duration::from_millis(500);

/// A repeat needs at least so much time.
const REPEAT_NEEDS: Duration = Duration::from_millis(50);

/// Says how many items a request carries: whoever is asked limits items, not requests.
pub const ITEMS: &str = "x-items";

/// Says on a 503 that nothing was begun: the request was turned away at the door.
pub const SHED: &str = "x-shed";

/// Why a call brought no answer.
#[derive(Debug, Error)]
pub enum CallError {
    /// It was never sent: nothing has happened over there.
    #[error("not reachable")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// It was never sent: whoever is called is in trouble, and left in peace.
    #[error("left in peace for {} ms", after.as_millis())]
    Isolated {
        /// When somebody may be asked again.
        after: Duration,
    },
    /// It was turned away at the door over there: nothing has happened.
    #[error("has no time, come back in {} s", after.as_secs())]
    Shed {
        /// When to come back.
        after: Duration,
    },
    /// It was sent, but the answer is missing or unreadable: it may or may not have happened.
    #[error("no answer")]
    Unanswered(#[source] Box<dyn Error + Send + Sync>),
    /// It was answered, with another status than the one that means yes.
    #[error("answered {0}")]
    Status(StatusCode),
}

impl CallError {
    fn unreachable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unreachable(cause.into())
    }

    fn unanswered(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unanswered(cause.into())
    }
}

/// Whether the other part may be called now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// By everybody.
    Free,
    /// By a few, to see whether it answers again.
    Probe,
    /// By nobody.
    Shut {
        /// When it may be tried again.
        after: Duration,
    },
}

/// A request to another part.
#[derive(Clone, Debug)]
pub struct Call {
    request: Request<Bytes>,
    /// How long one try may take, where a second one may follow: asking twice is asking once.
    repeatable: Option<Duration>,
}

impl Call {
    /// A request as it is; its address is only a path.
    pub fn of(request: Request<Bytes>) -> Self {
        Self { request, repeatable: None }
    }

    /// Asks for something.
    pub fn get(path: &str) -> Result<Self, CallError> {
        let request = Request::builder().uri(path).body(Bytes::new());
        Ok(Self::of(request.map_err(CallError::unreachable)?))
    }

    /// Posts JSON.
    pub fn post<T: Serialize>(
        path: &str,
        media_type: &'static str,
        body: &T,
    ) -> Result<Self, CallError> {
        let body = serde_json::to_vec(body).map_err(CallError::unreachable)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, HeaderValue::from_static(media_type))
            .body(Bytes::from(body));
        Ok(Self::of(request.map_err(CallError::unreachable)?))
    }

    /// It carries so many items.
    #[must_use]
    pub fn items(mut self, items: usize) -> Self {
        self.request.headers_mut().insert(ITEMS, HeaderValue::from(items));
        self
    }

    /// Asking twice is asking once: after `within` without an answer, another process may be asked.
    #[must_use]
    pub fn repeatable(mut self, within: Duration) -> Self {
        self.repeatable = Some(within);
        self
    }
}

/// Connections to one other part. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    base: BaseUrl,
    pool: Pool<HttpConnector, Full<Bytes>>,
    endpoints: Arc<Endpoints>,
    budget: Arc<Budget>,
}

impl Client {
    /// A client of the part that listens there. Nothing is connected yet.
    pub fn new(base: BaseUrl) -> Self {
        Self::with(base, None)
    }

    /// A client that leaves the other part in peace while it is in trouble.
    ///
    /// Its breakers are known to the process, and so to operators.
    pub fn guarded(
        part: &'static str,
        base: BaseUrl,
        config: &BreakerConfig,
        process: &Process,
    ) -> Result<Self, InvalidConfig> {
        config.validate()?;
        let guard = Guard { part, config: *config, process: process.clone() };
        let client = Self::with(base, Some(guard));
        process.isolation().add_budget(part, &client.budget);
        Ok(client)
    }

    fn with(base: BaseUrl, guard: Option<Guard>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(connector);
        let endpoints = Arc::new(Endpoints::of(base.clone(), guard));
        #[expect(clippy::expect_used, reason = "a test of resilience shows it")]
        let budget = Budget::new(BudgetConfig::default()).expect("the default is valid");
        let budget = Arc::new(budget);
        Self { base, pool, endpoints, budget }
    }

    /// Posts JSON and reads JSON, all within the given time.
    pub async fn post<T: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &'static str,
        body: &T,
        within: Duration,
    ) -> Result<R, CallError> {
        self.ask(Call::post(path, media_type, body)?, StatusCode::OK, Instant::now() + within).await
    }

    /// Posts JSON that makes something new (201) and reads it, all within the given time.
    pub async fn create<T: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        body: &T,
        within: Duration,
    ) -> Result<R, CallError> {
        let call = Call::post(path, "application/json", body)?;
        self.ask(call, StatusCode::CREATED, Instant::now() + within).await
    }

    /// Gets JSON, all within the given time.
    pub async fn get<R: DeserializeOwned>(
        &self,
        path: &str,
        within: Duration,
    ) -> Result<R, CallError> {
        self.ask(Call::get(path)?, StatusCode::OK, Instant::now() + within).await
    }

    /// Makes a call and reads JSON from an answer of that status.
    pub async fn ask<R: DeserializeOwned>(
        &self,
        call: Call,
        expected: StatusCode,
        by: Instant,
    ) -> Result<R, CallError> {
        let response = self.send(call, by).await?;
        if response.status() != expected {
            return Err(if response.headers().contains_key(SHED) {
                CallError::Shed { after: retry_after(response.headers()).unwrap_or_default() }
            } else {
                CallError::Status(response.status())
            });
        }
        serde_json::from_slice(response.body()).map_err(CallError::unanswered)
    }

    /// Makes a call, whatever is answered, and reads the whole answer.
    ///
    /// A second process is asked at most once: if the first was never reached, or if the call may
    /// be repeated and the first did not answer as it should. Repeats are a small share of all
    /// calls, so that they cannot become the load.
    pub async fn send(&self, call: Call, by: Instant) -> Result<Response<Bytes>, CallError> {
        self.budget.call(Coarse.now());
        let first = self.endpoints.choose(None).await?;
        let endpoint = Arc::clone(&first.endpoint);
        let again = self.endpoints.are_several().then(|| call.request.clone());
        let try_by = match (call.repeatable, &again) {
            (Some(within), _) => by.min(Instant::now() + within),
            (None, _) => by,
        };
        let answer = self.exchange(first, call.request, try_by, by).await;
        let (Some(request), true) = (again, may_repeat(&answer, call.repeatable.is_some())) else {
            return answer;
        };
        if by.saturating_duration_since(Instant::now()) < REPEAT_NEEDS {
            return answer;
        }
        let Ok(second) = self.endpoints.choose(Some(&endpoint)).await else { return answer };
        if !self.budget.try_retry(Coarse.now()) {
            return answer;
        }
        self.exchange(second, request, by, by).await
    }

    /// One try at one process. Its breaker hears what came of it; nothing, if the caller is gone.
    async fn exchange(
        &self,
        to: Chosen,
        mut request: Request<Bytes>,
        try_by: Instant,
        by: Instant,
    ) -> Result<Response<Bytes>, CallError> {
        let uri = base::at(to.endpoint.authority(), request.uri());
        *request.uri_mut() = uri.map_err(CallError::unreachable)?;
        let headers = request.headers_mut();
        headers.entry(header::HOST).or_insert_with(|| self.base.host_header());
        headers.insert(deadline::HEADER, HeaderValue::from(millis_left(by)));
        let traced = trace::outgoing(&mut request);
        let asked = Instant::now();
        let left = try_by.saturating_duration_since(asked);
        let (answer, heard) = match timeout(left, self.over_the_wire(request)).await {
            Err(elapsed) => (Answer::Timeout, Err(CallError::unanswered(elapsed))),
            Ok(Err(error)) => (of_error(&error), Err(error)),
            Ok(Ok(response)) => (of_response(&response, asked.elapsed()), Ok(response)),
        };
        let after = heard.as_ref().ok().and_then(|response| left_alone(response, answer));
        to.record(answer, after);
        match (&heard, answer) {
            (Ok(response), _) => traced.answered(response.status()),
            (Err(_), Answer::Timeout) => traced.failed("timeout"),
            (Err(CallError::Unreachable(_)), _) => traced.failed("unreachable"),
            (Err(_), _) => traced.failed("unanswered"),
        }
        heard
    }

    async fn over_the_wire(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        let (head, body) = match self.pool.request(request.map(Full::new)).await {
            Ok(response) => response.into_parts(),
            Err(error) if error.is_connect() => return Err(CallError::Unreachable(error.into())),
            Err(error) => return Err(CallError::Unanswered(error.into())),
        };
        let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(CallError::Unanswered)?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// Whether the other part may be called now; tells at once and takes nothing.
    pub fn passage(&self) -> Passage {
        self.endpoints.passage()
    }

    /// Whom it calls.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }
}

/// What the time left is for the other side: less than ours, so that its answer still arrives.
fn millis_left(by: Instant) -> u64 {
    let left = by.saturating_duration_since(Instant::now()).saturating_sub(deadline::MARGIN);
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds, as our parts say it; a date is not understood.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn may_repeat(answer: &Result<Response<Bytes>, CallError>, repeatable: bool) -> bool {
    match answer {
        Err(CallError::Unreachable(_)) => true,
        Err(CallError::Unanswered(_)) => repeatable,
        Err(CallError::Isolated { .. } | CallError::Shed { .. } | CallError::Status(_)) => false,
        // Who has too much is not helped by a repeat; somebody else has too much as well.
        Ok(response) => repeatable && is_broken(response.status()),
    }
}

/// Whoever refuses at once, and says when to come back, is well: it protects itself, and a breaker
/// that opened for it would turn away those whom it would have served. Parts always say when. So a
/// 503 that does not comes from a proxy that reaches nobody; other 5xx say that something is broken.
fn of_response<B>(response: &Response<B>, took: Duration) -> Answer {
    let says_when = retry_after(response.headers()).is_some();
    match response.status() {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE if says_when => {
            if took < AT_ONCE { Answer::Success } else { Answer::Timeout }
        }
        StatusCode::TOO_MANY_REQUESTS => Answer::Overload,
        status if status.is_server_error() => Answer::Failure,
        _ => Answer::Success,
    }
}

/// How long whoever said that wants to be left alone. A late 503 says nothing of it: its time is one
/// person's place among those who come back.
fn left_alone<B>(response: &Response<B>, answer: Answer) -> Option<Duration> {
    retry_after(response.headers()).filter(|_| answer != Answer::Timeout)
}

fn is_broken(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE
}

/// Who cannot be reached in time may as well be slow: a packet that is dropped says nothing.
fn of_error(error: &CallError) -> Answer {
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(this) = cause {
        let timed_out = this.downcast_ref::<std::io::Error>();
        if timed_out.is_some_and(|this| this.kind() == std::io::ErrorKind::TimedOut) {
            return Answer::Timeout;
        }
        cause = this.source();
    }
    Answer::Failure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn come_back_after_thirty_seconds(status: StatusCode, took: Duration) -> Option<Duration> {
        let response = Response::builder().status(status).header(header::RETRY_AFTER, 30);
        let response = response.body(()).unwrap();
        left_alone(&response, of_response(&response, took))
    }

    #[test]
    fn one_persons_place_in_line_is_not_how_long_a_part_is_left_alone() {
        let late = come_back_after_thirty_seconds(StatusCode::SERVICE_UNAVAILABLE, AT_ONCE);
        assert_eq!(late, None);
        let broken = come_back_after_thirty_seconds(StatusCode::BAD_GATEWAY, AT_ONCE);
        assert_eq!(broken, Some(Duration::from_secs(30)));
    }
}
