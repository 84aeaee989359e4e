//! The metrics of one service, for Prometheus.
//!
//! Requests are counted by [`HttpMetrics`]. Values that live elsewhere (a breaker, the database) are
//! collected at every scrape ([`Metrics::collector`]).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, response::IntoResponse, routing::get};
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use http::header;
use parking_lot::Mutex;
use tokio::{sync::Mutex as AsyncMutex, time::timeout};
use tracing::warn;

pub mod family;
pub mod http_metrics;

use self::{family::MetricFamily, http_metrics::HttpMetrics};
use crate::error::{BoxError, error_chain};

/// The time limit of one collector: a scrape must not hang because a database does.
const COLLECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a scrape is reused: however many clients scrape, the metrics are not collected more often.
pub const SCRAPE_INTERVAL: Duration = Duration::from_secs(1);

/// The metrics of one service. Cheap to clone.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Default)]
struct Inner {
    http: HttpMetrics,
    collectors: Mutex<Vec<(&'static str, Collector)>>,
    failures: AtomicU64,
}

type Collected = Result<Vec<MetricFamily>, BoxError>;

type Collector = Arc<dyn Fn() -> BoxFuture<'static, Collected> + Send + Sync>;

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Adds a function that is called at every scrape, for at most a second. If it fails or times
    /// out, the scrape shows everything else.
    pub fn collector<F>(&self, name: &'static str, collect: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Collected> + Send + 'static,
    {
        self.0.collectors.lock().push((name, Arc::new(move || collect().boxed())));
    }

    /// The metrics of the service's listener.
    pub fn http(&self) -> &HttpMetrics {
        &self.0.http
    }

    /// All metrics with their current values, in Prometheus' text format.
    pub async fn render(&self) -> String {
        let collectors = self.0.collectors.lock().clone();
        let collected = collectors.iter().map(|(name, collect)| self.collect(name, collect));
        let collected = join_all(collected).await;
        let failures = MetricFamily::counter(
            "anticorona_metrics_collector_failures_total",
            "Collectors that a scrape left out (the log has the cause), in collectors",
        )
        .sample([], self.0.failures.load(Relaxed));
        let own = self.0.http.families().into_iter().chain([failures]);
        own.chain(collected.into_iter().flatten()).map(|family| family.text).collect()
    }

    async fn collect(&self, name: &str, collect: &Collector) -> Vec<MetricFamily> {
        let families = timeout(COLLECT_TIMEOUT, collect()).await;
        families.unwrap_or_else(|elapsed| Err(elapsed.into())).unwrap_or_else(|error| {
            self.0.failures.fetch_add(1, Relaxed);
            warn!("cannot collect the metrics of {name}: {}", error_chain(&*error));
            Vec::new()
        })
    }
}

/// `/actuator/prometheus` of a service.
pub fn router(metrics: Metrics) -> Router {
    let scrapes = Arc::new(Scrapes { metrics, last: AsyncMutex::default() });
    Router::new().route("/actuator/prometheus", get(scrape)).with_state(scrapes)
}

/// The metrics, and the last scrape with its time.
struct Scrapes {
    metrics: Metrics,
    last: AsyncMutex<Option<(Instant, Bytes)>>,
}

async fn scrape(State(scrapes): State<Arc<Scrapes>>) -> impl IntoResponse {
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, media_type)], scrapes.text().await)
}

impl Scrapes {
    async fn text(&self) -> Bytes {
        // Held while it collects: concurrent scrapes get the same text.
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, text)) if at.elapsed() < SCRAPE_INTERVAL => text.clone(),
            _ => {
                let text = Bytes::from(self.metrics.render().await);
                *last = Some((Instant::now(), text.clone()));
                text
            }
        }
    }
}
