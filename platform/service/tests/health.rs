//! Liveness and readiness of a service, and how often its store is checked.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Instant,
};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use platform_rest::runtime::Runtime;
use platform_service::health::{self, STORE_TIMEOUT, StoreHealth};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const LIVENESS: &str = "/actuator/health/liveness";

const READINESS: &str = "/actuator/health/readiness";

async fn status(router: &Router, path: &str) -> StatusCode {
    let request = Request::get(path).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap().status()
}

/// A service whose store is available while the test says so.
#[derive(Default)]
struct TestService {
    stop: CancellationToken,
    is_available: Arc<AtomicBool>,
    checks: Arc<AtomicU32>,
}

impl TestService {
    fn router(&self) -> Router {
        let (is_available, checks) = (Arc::clone(&self.is_available), Arc::clone(&self.checks));
        let store = StoreHealth::new(move || {
            checks.fetch_add(1, Ordering::Relaxed);
            let is_available = is_available.load(Ordering::Relaxed);
            async move { is_available }
        });
        health::router("test", &Runtime::new("test", self.stop.clone()), Some(store))
    }
}

fn available() -> TestService {
    let service = TestService::default();
    service.is_available.store(true, Ordering::Relaxed);
    service
}

#[tokio::test]
async fn a_service_with_an_unavailable_store_is_alive_but_not_ready() {
    let router = TestService::default().router();
    assert_eq!(status(&router, READINESS).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&router, "/actuator/health").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&router, LIVENESS).await, StatusCode::OK);
}

#[tokio::test]
async fn a_service_that_drains_is_alive_but_not_ready() {
    let service = available();
    let router = service.router();
    assert_eq!(status(&router, READINESS).await, StatusCode::OK);
    service.stop.cancel();
    assert_eq!(status(&router, READINESS).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&router, LIVENESS).await, StatusCode::OK);
}

#[tokio::test]
async fn many_requests_check_the_store_once() {
    let service = available();
    let router = service.router();
    for _ in 0..100 {
        assert_eq!(status(&router, READINESS).await, StatusCode::OK);
    }
    let checks = service.checks.load(Ordering::Relaxed);
    assert!((1..=2).contains(&checks), "{checks} checks"); // Two, if a second has passed.
}

#[tokio::test]
async fn a_check_that_does_not_end_is_timed_out() {
    let runtime = Runtime::new("test", CancellationToken::new());
    let router = health::router("test", &runtime, Some(StoreHealth::new(pending)));
    let start = Instant::now();
    assert_eq!(status(&router, READINESS).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(start.elapsed() < STORE_TIMEOUT * 2, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_service_without_a_store_is_ready() {
    let runtime = Runtime::new("test", CancellationToken::new());
    let router = health::router("test", &runtime, None);
    assert_eq!(status(&router, READINESS).await, StatusCode::OK);
}
