//! A booking: one call to vaccine, behind one kind of protection.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use drill::Broken;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, Uri, body::Bytes, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    Policy,
    breaker::{Breaker, Called},
};

/// Connections to vaccine: as many as common servers have threads for requests (Tomcat's default).
/// What finds none waits, without limit.
const CONNECTIONS: usize = 200;

/// How long a call may take.
const CALL_WITHIN: Duration = Duration::from_secs(3);

/// What the bulkhead lets in at a time: the default of Resilience4j (`maxConcurrentCalls`), with
/// its default of no wait (`maxWaitDuration`).
const BULKHEAD_CALLS: usize = 25;

/// What answers booking requests.
pub(super) struct Front {
    policy: Policy,
    vaccine: Uri,
    client: Client<HttpConnector, Full<Bytes>>,
    connections: Semaphore,
    bulkhead: Semaphore,
    breaker: Arc<Breaker>,
    next: AtomicU64,
}

impl Front {
    pub(super) fn new(policy: Policy, vaccine: &str) -> Result<Self, Broken> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            policy,
            vaccine: format!("http://{vaccine}/holds").parse()?,
            client: Client::builder(TokioExecutor::new()).build(connector),
            connections: Semaphore::new(CONNECTIONS),
            bulkhead: Semaphore::new(BULKHEAD_CALLS),
            breaker: Arc::default(),
            next: AtomicU64::new(0),
        })
    }

    pub(super) async fn book(&self, vaccine: i64) -> StatusCode {
        match self.policy {
            Policy::Unprotected => self.queued(vaccine).await,
            Policy::Bulkhead => match self.bulkhead.try_acquire() {
                Ok(_permit) => self.queued(vaccine).await,
                Err(_) => StatusCode::SERVICE_UNAVAILABLE,
            },
            Policy::Breaker => self.broken(vaccine).await,
        }
    }

    /// The time for the call begins when its turn has come.
    async fn queued(&self, vaccine: i64) -> StatusCode {
        let Ok(_turn) = self.connections.acquire().await else {
            return StatusCode::INTERNAL_SERVER_ERROR;
        };
        let held = timeout(CALL_WITHIN, self.hold(vaccine)).await;
        held.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The breaker sees how long it took in all, and the time for the call begins with the wait
    /// for a connection: otherwise it would see nothing of an overload.
    async fn broken(&self, vaccine: i64) -> StatusCode {
        let began = Instant::now();
        let Some(permit) = self.breaker.enter(began) else {
            return StatusCode::SERVICE_UNAVAILABLE;
        };
        let answer = timeout(CALL_WITHIN, self.queued(vaccine)).await;
        let status = answer.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let now = Instant::now();
        let called = Called { failed: status.is_server_error(), took: now.duration_since(began) };
        self.breaker.record(permit, called, now);
        status
    }

    async fn hold(&self, vaccine: i64) -> StatusCode {
        let Ok(request) = self.request(vaccine) else { return StatusCode::INTERNAL_SERVER_ERROR };
        let Ok(response) = self.client.request(request).await else {
            return StatusCode::INTERNAL_SERVER_ERROR;
        };
        let status = response.status();
        let body = response.into_body().collect().await.map(http_body_util::Collected::to_bytes);
        match (status, body) {
            (StatusCode::OK, Ok(body)) => outcome(&body),
            (StatusCode::SERVICE_UNAVAILABLE, _) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn request(&self, vaccine: i64) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = |number: u64| format!("{:08x}-0000-7000-8000-{number:012x}", process::id());
        let hold = json!({"reservationId": id(number), "vaccineId": vaccine});
        let body = json!({"holder": id(0), "holds": [hold]}).to_string();
        Request::builder()
            .method(Method::POST)
            .uri(self.vaccine.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))
    }
}

fn outcome(body: &[u8]) -> StatusCode {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    match said["outcomes"][0]["outcome"].as_str() {
        Some("held") => StatusCode::CREATED,
        Some("sold-out") => StatusCode::CONFLICT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
