//! Health, at the paths of Spring Boot's actuator.
//!
//! *Liveness*: can the process answer at all? If not, a restart helps. *Readiness*: should it get requests
//! now? Not while it drains, and not while its store is unavailable, where a restart would not help.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use platform_rest::{json, runtime::Runtime};
use platform_store::{ReadPool, WriterHealth};
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::timeout};
use tracing::{info, warn};

/// Spring's media type for actuator responses.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.spring-boot.actuator.v3+json";

/// How long the store may take to answer before it counts as unavailable.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the result of a check is used: the store is not checked more often.
pub const STORE_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Checks whether the store of a service is available.
#[derive(Clone)]
pub struct StoreHealth {
    check: Arc<dyn Fn() -> Check + Send + Sync>,
    /// When it was checked, and whether it was available.
    last: Arc<Mutex<Option<(Instant, bool)>>>,
}

type Check = Pin<Box<dyn Future<Output = bool> + Send>>;

impl fmt::Debug for StoreHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHealth").finish_non_exhaustive()
    }
}

impl StoreHealth {
    /// The health of a store that `check` finds available or not.
    pub fn new<F>(check: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        Self { check: Arc::new(move || Box::pin(check())), last: Arc::default() }
    }

    /// The health of a store: whether it can be read and written to.
    pub fn of(reads: ReadPool, writer: WriterHealth) -> Self {
        Self::new(move || {
            let (reads, writer) = (reads.clone(), writer.clone());
            async move { writer.can_write() && reads.is_available().await }
        })
    }

    /// Whether the store is available within [`STORE_TIMEOUT`], or did so within [`STORE_CHECK_INTERVAL`].
    pub async fn is_available(&self) -> bool {
        // Held during the check: concurrent requests get the same result.
        let mut last = self.last.lock().await;
        let was_available = match *last {
            Some((at, is_available)) if at.elapsed() < STORE_CHECK_INTERVAL => return is_available,
            last => last.is_none_or(|(_, is_available)| is_available),
        };
        let is_available = timeout(STORE_TIMEOUT, (self.check)()).await.unwrap_or(false);
        match (was_available, is_available) {
            (true, false) => warn!("not ready: the store is unavailable"),
            (false, true) => info!("ready again: the store is available"),
            (true, true) | (false, false) => {}
        }
        *last = Some((Instant::now(), is_available));
        is_available
    }
}

/// `/actuator/health`, `/actuator/health/{liveness,readiness}` and `/actuator/info` of a service.
pub fn router(service: &'static str, runtime: &Runtime, store: Option<StoreHealth>) -> Router {
    let info = json!({"app": {"name": service, "version": env!("CARGO_PKG_VERSION")}});
    Router::new()
        .route("/actuator/health", get(ready))
        .route("/actuator/health/readiness", get(ready))
        .route("/actuator/health/liveness", get(live))
        .route("/actuator/info", get(move || async move { reply(StatusCode::OK, &info) }))
        .with_state((runtime.clone(), store))
}

/// `UP` while the service accepts requests; `OUT_OF_SERVICE` while it drains, `DOWN` while its store is
/// unavailable.
async fn ready(State((runtime, store)): State<(Runtime, Option<StoreHealth>)>) -> Response {
    if runtime.stop.is_cancelled() {
        return reply(StatusCode::SERVICE_UNAVAILABLE, &json!({"status": "OUT_OF_SERVICE"}));
    }
    let Some(store) = store else { return live().await };
    let (code, status) = if store.is_available().await {
        (StatusCode::OK, "UP")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "DOWN")
    };
    reply(code, &json!({"status": status, "components": {"db": {"status": status}}}))
}

/// UP while the process can answer; it ends by itself when its writer has died.
async fn live() -> Response {
    reply(StatusCode::OK, &json!({"status": "UP"}))
}

fn reply(status: StatusCode, body: &Value) -> Response {
    json::reply(status, MEDIA_TYPE, body)
}
