//! Alive and ready: what a part answers, and how often its store is asked.

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
use chassis::{
    health::{self, STORE_WITHIN, StoreHealth},
    process::Process,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const LIVENESS: &str = "/actuator/health/liveness";

const READINESS: &str = "/actuator/health/readiness";

async fn status(router: &Router, path: &str) -> StatusCode {
    let request = Request::get(path).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap().status()
}

/// A part with a store that answers as the test says, and counts how often it was asked.
fn part(stop: &CancellationToken, answers: &Arc<AtomicBool>, asked: &Arc<AtomicU32>) -> Router {
    let process = Process::new(stop.clone());
    let (answers, asked) = (Arc::clone(answers), Arc::clone(asked));
    process.needs(StoreHealth::new(move || {
        asked.fetch_add(1, Ordering::Relaxed);
        let answers = answers.load(Ordering::Relaxed);
        async move { answers }
    }));
    health::router("toy", process.readiness())
}

#[tokio::test]
async fn a_part_whose_store_is_gone_is_alive_but_not_ready() {
    let stop = CancellationToken::new();
    let (answers, asked) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let router = part(&stop, &answers, &asked);
    assert_eq!(status(&router, READINESS).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&router, "/actuator/health").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&router, LIVENESS).await, StatusCode::OK);
}

#[tokio::test]
async fn a_part_that_drains_is_alive_but_not_ready() {
    let stop = CancellationToken::new();
    let router = part(&stop, &Arc::new(AtomicBool::new(true)), &Arc::default());
    assert_eq!(status(&router, READINESS).await, StatusCode::OK);
    stop.cancel();
    assert_eq!(status(&router, READINESS).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&router, LIVENESS).await, StatusCode::OK);
}

#[tokio::test]
async fn however_many_ask_the_store_is_asked_once() {
    let stop = CancellationToken::new();
    let asked = Arc::default();
    let router = part(&stop, &Arc::new(AtomicBool::new(true)), &asked);
    for _ in 0..100 {
        assert_eq!(status(&router, READINESS).await, StatusCode::OK);
    }
    let asked = asked.load(Ordering::Relaxed);
    assert!((1..=2).contains(&asked), "{asked} times"); // Two, should a second have passed.
}

#[tokio::test]
async fn a_store_that_hangs_is_given_up() {
    let process = Process::new(CancellationToken::new());
    process.needs(StoreHealth::new(pending));
    let router = health::router("toy", process.readiness());
    let start = Instant::now();
    assert_eq!(status(&router, READINESS).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(start.elapsed() < STORE_WITHIN * 2, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_part_without_a_store_is_ready() {
    let process = Process::new(CancellationToken::new());
    let router = health::router("toy", process.readiness());
    assert_eq!(status(&router, READINESS).await, StatusCode::OK);
}
