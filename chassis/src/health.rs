//! Health, at the addresses that Spring's operators know.
//!
//! Two questions, and they differ. *Alive*: can the process answer at all? If not, starting it anew
//! helps. *Ready*: should it get requests now? Not while it drains, nor while its store is gone: then
//! starting it anew would help nobody.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::timeout};
use tracing::{info, warn};

use crate::{json, process::Readiness};

/// Spring's media type for actuator answers.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.spring-boot.actuator.v3+json";

/// How long the store may take to answer before it counts as gone.
pub const STORE_WITHIN: Duration = Duration::from_secs(1);

/// How long its answer is good for: however many ask, the store is asked so often.
pub const STORE_FRESH_FOR: Duration = Duration::from_secs(1);

/// Whether the store of a part answers, looked at now and then.
#[derive(Clone)]
pub struct StoreHealth {
    ask: Arc<dyn Fn() -> Asking + Send + Sync>,
    last: Arc<Mutex<Option<Seen>>>,
}

type Asking = Pin<Box<dyn Future<Output = bool> + Send>>;

#[derive(Clone, Copy)]
struct Seen {
    at: Instant,
    answers: bool,
}

impl fmt::Debug for StoreHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHealth").finish_non_exhaustive()
    }
}

impl StoreHealth {
    /// `ask` asks the store something small, and says whether it answered.
    pub fn new<F>(ask: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        Self { ask: Arc::new(move || Box::pin(ask())), last: Arc::default() }
    }

    /// Whether it answers within [`STORE_WITHIN`], or did within [`STORE_FRESH_FOR`].
    pub async fn answers(&self) -> bool {
        // Held while the store is asked: whoever comes meanwhile gets the same answer.
        let mut last = self.last.lock().await;
        if let Some(seen) = last.filter(|seen| seen.at.elapsed() < STORE_FRESH_FOR) {
            return seen.answers;
        }
        let answers = timeout(STORE_WITHIN, (self.ask)()).await.unwrap_or(false);
        match last.map(|seen| seen.answers) {
            Some(true) | None if !answers => warn!("not ready: the store does not answer"),
            Some(false) if answers => info!("ready again: the store answers"),
            Some(_) | None => {}
        }
        *last = Some(Seen { at: Instant::now(), answers });
        answers
    }
}

/// `/actuator/health`, `/actuator/health/{liveness,readiness}` and `/actuator/info` of a part.
pub fn router(part: &'static str, readiness: Readiness) -> Router {
    Router::new()
        .route("/actuator/health", get(ready))
        .route("/actuator/health/readiness", get(ready))
        .route("/actuator/health/liveness", get(live))
        .route("/actuator/info", get(move || async move { info(part) }))
        .with_state(readiness)
}

/// Up while it takes requests; out of service from the moment that it drains, and down while its
/// store does not answer.
async fn ready(State(readiness): State<Readiness>) -> Response {
    if !readiness.is_ready() {
        return unavailable(&json!({"status": "OUT_OF_SERVICE"}));
    }
    match readiness.store() {
        Some(store) if store.answers().await => {
            up(&json!({"status": "UP", "components": {"db": {"status": "UP"}}}))
        }
        Some(_) => {
            unavailable(&json!({"status": "DOWN", "components": {"db": {"status": "DOWN"}}}))
        }
        None => up(&json!({"status": "UP"})),
    }
}

/// Up while it can answer at all. A part whose writer died does not live on to say otherwise.
async fn live() -> Response {
    up(&json!({"status": "UP"}))
}

fn up(status: &Value) -> Response {
    json::reply(StatusCode::OK, MEDIA_TYPE, status)
}

fn unavailable(status: &Value) -> Response {
    json::reply(StatusCode::SERVICE_UNAVAILABLE, MEDIA_TYPE, status)
}

fn info(part: &'static str) -> Response {
    let info = json!({"app": {"name": part, "version": env!("CARGO_PKG_VERSION")}});
    json::reply(StatusCode::OK, MEDIA_TYPE, &info)
}
