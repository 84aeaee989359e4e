//! Calls from one service to another: JSON over kept connections, each within its deadline.
//!
//! From the outside in: a call has a *deadline*, which travels with it; an idempotent call may be
//! *retried* once at another endpoint, as long as retries are few; each attempt goes to the less
//! *loaded* of two endpoints; and each endpoint has a *breaker*, which records the outcome of every
//! attempt.

use std::{
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Bytes,
    http::{HeaderValue, Request, Response, header},
};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use platform_resilience::{
    breaker::{BreakerConfig, CallOutcome, Mode},
    config::GuardConfigError,
    deadline,
    time::Coarse,
};
use platform_telemetry::trace;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{
    base_url, call_outcome,
    endpoints::{ChosenEndpoint, Endpoint, Endpoints},
    headers::SHED,
    json::RESPONSE_MAX,
    runtime::Runtime,
};
pub use crate::{
    base_url::{BaseUrl, BaseUrlError},
    call::{Call, CallError},
    endpoints::{CircuitState, RESOLVE_INTERVAL, RESOLVE_TIMEOUT},
};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an unused connection is kept; less than a listener waits for the next request.
const IDLE_MAX: Duration = Duration::from_secs(20);

/// A retry is not worth sending with less time left.
const RETRY_TIME_MIN: Duration = Duration::from_millis(50);

/// A client of one service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    endpoints: Arc<Endpoints>,
}

impl Client {
    /// A client of the service at that URL, without breakers. Nothing is connected yet.
    pub fn new(base: BaseUrl) -> Self {
        let config = BreakerConfig::default();
        Self::of(Endpoints::new("", base, config, Mode::ForcedClosed))
    }

    /// A client with a breaker for each endpoint. Breakers and retry budget are registered with the
    /// runtime, for operators.
    pub fn guarded(
        service: &'static str,
        base: BaseUrl,
        config: &BreakerConfig,
        runtime: &Runtime,
    ) -> Result<Self, GuardConfigError> {
        config.validate()?;
        let client = Self::of(Endpoints::new(service, base, *config, Mode::Auto));
        runtime.breakers.add(&client.endpoints);
        Ok(client)
    }

    fn of(endpoints: Endpoints) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(connector);
        Self { pool, endpoints: Arc::new(endpoints) }
    }

    /// Posts JSON and reads JSON from a 2xx, within the given time.
    pub async fn post<T: Serialize, R: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &'static str,
        body: &T,
        within: Duration,
    ) -> Result<R, CallError> {
        let call = Call::post(path, media_type, body)?;
        self.call(call, Instant::now() + within).await
    }

    /// Gets JSON from a 2xx, within the given time.
    pub async fn get<R: DeserializeOwned>(
        &self,
        path: &str,
        within: Duration,
    ) -> Result<R, CallError> {
        self.call(Call::get(path)?, Instant::now() + within).await
    }

    /// Makes a call and reads JSON from a 2xx.
    pub async fn call<R: DeserializeOwned>(
        &self,
        call: Call,
        deadline: Instant,
    ) -> Result<R, CallError> {
        let response = self.send(call, deadline).await?;
        if response.status().is_success() {
            return serde_json::from_slice(response.body()).map_err(CallError::no_response);
        }
        if response.headers().contains_key(SHED) {
            let retry_after = call_outcome::retry_after(response.headers()).unwrap_or_default();
            return Err(CallError::Shed { retry_after });
        }
        Err(CallError::Status(response.status()))
    }

    /// Makes a call and returns the whole response, whatever its status.
    ///
    /// There is at most one retry, at another endpoint: if the first was not reached, or if the call
    /// is idempotent and the first failed. The retry budget keeps retries a small share of all calls,
    /// so that they cannot become the load.
    ///
    /// Boxed, so that it is compiled here, and not again with each service.
    pub fn send(
        &self,
        call: Call,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, CallError>> + Send + '_>> {
        Box::pin(self.send_or_retry(call, deadline))
    }

    async fn send_or_retry(
        &self,
        call: Call,
        deadline: Instant,
    ) -> Result<Response<Bytes>, CallError> {
        let Call { request, attempt_timeout } = call;
        self.endpoints.retry_budget.record_call(Coarse.now());
        let first = self.choose(None, deadline).await?;
        let endpoint = Arc::clone(&first.endpoint);
        let retry = self.endpoints.may_be_several().then(|| request.clone());
        let attempt_deadline =
            attempt_timeout.map_or(deadline, |timeout| deadline.min(Instant::now() + timeout));
        let result = self.attempt(first, request, attempt_deadline, deadline).await;
        let is_retryable = call_outcome::is_retryable(&result, attempt_timeout.is_some());
        let (Some(retry), true) = (retry, is_retryable) else { return result };
        if deadline.saturating_duration_since(Instant::now()) < RETRY_TIME_MIN {
            return result;
        }
        let Ok(second) = self.choose(Some(&endpoint), deadline).await else { return result };
        if !self.endpoints.retry_budget.try_retry(Coarse.now()) {
            return result;
        }
        match self.attempt(second, retry, deadline, deadline).await {
            // The first may have been received all the same.
            Err(CallError::Unreachable(_)) => result,
            retried => retried,
        }
    }

    async fn choose(
        &self,
        previous: Option<&Arc<Endpoint>>,
        deadline: Instant,
    ) -> Result<ChosenEndpoint, CallError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let chosen = timeout(left, self.endpoints.choose(previous)).await;
        chosen.unwrap_or_else(|elapsed| Err(CallError::unreachable(elapsed)))
    }

    /// One attempt at one endpoint, and its span. Its outcome is recorded in the breaker; dropped
    /// before it ends, it counts as cancelled.
    async fn attempt(
        &self,
        chosen: ChosenEndpoint,
        mut request: Request<Bytes>,
        attempt_deadline: Instant,
        deadline: Instant,
    ) -> Result<Response<Bytes>, CallError> {
        let uri = base_url::with_authority(request.uri(), &chosen.endpoint.authority);
        *request.uri_mut() = uri.map_err(CallError::unreachable)?;
        let headers = request.headers_mut();
        headers.entry(header::HOST).or_insert_with(|| self.endpoints.base.host_header());
        headers.insert(deadline::HEADER, HeaderValue::from(millis_left(deadline)));
        let span = trace::outgoing(&mut request);
        let started_at = Instant::now();
        let left = attempt_deadline.saturating_duration_since(started_at);
        let (outcome, result) = match timeout(left, self.exchange(request)).await {
            Err(elapsed) => {
                (call_outcome::from_silence(left), Err(CallError::no_response(elapsed)))
            }
            Ok(Err(error)) => (call_outcome::from_error(&error), Err(error)),
            Ok(Ok(response)) => {
                (call_outcome::from_response(&response, started_at.elapsed()), Ok(response))
            }
        };
        match &result {
            Ok(_) => chosen.endpoint.set_reachable(true),
            Err(CallError::Unreachable(_)) => chosen.endpoint.set_reachable(false),
            Err(_) => {}
        }
        let open_for = result.as_ref().ok().and_then(|it| call_outcome::open_for(it, outcome));
        chosen.record(outcome, open_for);
        match (&result, outcome) {
            (Ok(response), _) => span.answered(response.status()),
            (Err(_), CallOutcome::Timeout | CallOutcome::Cancelled) => span.failed("timeout"),
            (Err(CallError::TooLarge), _) => span.failed("too_large"),
            (Err(CallError::Unreachable(_)), _) => span.failed("unreachable"),
            (Err(_), _) => span.failed("no_response"),
        }
        result
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, CallError> {
        let (head, body) = match self.pool.request(request.map(Full::new)).await {
            Ok(response) => response.into_parts(),
            Err(error) if error.is_connect() => return Err(CallError::unreachable(error)),
            Err(error) => return Err(CallError::no_response(error)),
        };
        let body = Limited::new(body, RESPONSE_MAX).collect().await;
        match body {
            Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(CallError::TooLarge),
            Err(error) => Err(CallError::no_response(error)),
        }
    }

    /// Whether calls are sent now; asking does not use up a probe.
    pub fn circuit_state(&self) -> CircuitState {
        self.endpoints.circuit_state()
    }

    /// The base URL of the service.
    pub fn base(&self) -> &BaseUrl {
        &self.endpoints.base
    }
}

/// The time left for the other service: less than ours, so that its response still arrives.
fn millis_left(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(deadline::MARGIN);
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        task::JoinSet,
    };

    use super::*;

    /// Enough for a lookup on a busy machine.
    const TIMEOUT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_call_that_the_last_known_endpoint_refuses_goes_to_the_one_that_dns_lists_now() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                assert!(stream.read(&mut [0; 1_024]).await.unwrap() > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            }
        });
        let client = Client::new(format!("http://localhost:{port}").parse().unwrap());
        let gone = SocketAddr::from(([127, 0, 0, 2], port)); // The listener has another address.
        client.endpoints.set_lookup(RESOLVE_TIMEOUT, &[gone]);
        // Where `localhost` has a second address, the first call may have gone there.
        let first: Result<serde_json::Value, _> = client.get("/x", TIMEOUT).await;
        if first.is_err() {
            client.get::<serde_json::Value>("/x", TIMEOUT).await.unwrap();
        }
    }
}
