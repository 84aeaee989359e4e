//! The metrics of one service, for Prometheus.
//!
//! Values that change with every request are atomics, registered once ([`Metrics::counter`],
//! [`Metrics::gauge`], [`Metrics::histogram`]). Values that live elsewhere (a breaker, the
//! database) are collected at every scrape ([`Metrics::collector`]).

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use futures_util::future::join_all;
use http::{HeaderMap, header};
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use tokio::time::timeout;
use tracing::warn;

pub mod exposition;
pub mod family;
pub mod histogram;
pub mod http_metrics;
mod register;

use self::{
    exposition::Format, family::MetricFamily, histogram::Histogram, http_metrics::HttpMetrics,
    register::register,
};
use crate::error::{BoxError, error_chain};

/// The time limit of one collector: a scrape must not hang because a database does.
const COLLECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The metrics of one service. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Mutex<Registry>,
    collectors: Mutex<Vec<NamedCollector>>,
    failures: Counter,
    http: HttpMetrics,
}

type Collected = Pin<Box<dyn Future<Output = Result<Vec<MetricFamily>, BoxError>> + Send>>;

#[derive(Clone)]
struct NamedCollector {
    name: &'static str,
    collect: Arc<dyn Fn() -> Collected + Send + Sync>,
}

impl fmt::Debug for NamedCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NamedCollector").field(&self.name).finish()
    }
}

impl Default for Inner {
    fn default() -> Self {
        let mut registry = Registry::default();
        let failures = Counter::default();
        let name = "anticorona_metrics_collector_failures_total";
        let help = "Collectors that a scrape left out (the log has the cause), in collectors";
        register(&mut registry, name, help, failures.clone());
        let http = HttpMetrics::new(&mut registry);
        Self { registry: Mutex::new(registry), collectors: Mutex::default(), failures, http }
    }
}

impl Metrics {
    /// Registers a counter. The name ends in `_total`; the help names the unit and has no full
    /// stop.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        let counter = Counter::default();
        register(&mut locked(&self.0.registry), name, help, counter.clone());
        counter
    }

    /// Registers a gauge. The help names the unit and has no full stop.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        let gauge = Gauge::default();
        register(&mut locked(&self.0.registry), name, help, gauge.clone());
        gauge
    }

    /// Registers a histogram of durations with these upper bounds (ascending). The name ends in
    /// `_seconds`.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        bounds: &'static [Duration],
    ) -> Histogram {
        let histogram = Histogram::new(bounds);
        register(&mut locked(&self.0.registry), name, help, histogram.clone());
        histogram
    }

    /// Adds a function that is called at every scrape, for at most a second. If it fails or times
    /// out, the scrape shows everything else.
    pub fn collector<F>(&self, name: &'static str, collect: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<Vec<MetricFamily>, BoxError>> + Send + 'static,
    {
        let collect: Arc<dyn Fn() -> Collected + Send + Sync> =
            Arc::new(move || Box::pin(collect()));
        locked(&self.0.collectors).push(NamedCollector { name, collect });
    }

    /// The metrics of the service's listener.
    pub fn http(&self) -> &HttpMetrics {
        &self.0.http
    }

    /// All metrics with their current values.
    pub async fn render(&self, format: Format) -> String {
        let collectors = locked(&self.0.collectors).clone();
        let families = join_all(collectors.iter().map(|collector| self.collect(collector))).await;
        let mut collected = Registry::default();
        for family in families.into_iter().flatten() {
            collected.register_collector(Box::new(family));
        }
        format.render(&[&locked(&self.0.registry), &collected])
    }

    async fn collect(&self, collector: &NamedCollector) -> Vec<MetricFamily> {
        let families = timeout(COLLECT_TIMEOUT, (collector.collect)()).await;
        families.unwrap_or_else(|elapsed| Err(elapsed.into())).unwrap_or_else(|error| {
            self.0.failures.inc();
            warn!("cannot collect the metrics of {}: {}", collector.name, error_chain(&*error));
            Vec::new()
        })
    }
}

/// A panic while the lock was held left at worst half of the metrics registered.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `/actuator/prometheus` of a service.
pub fn router(metrics: Metrics) -> Router {
    Router::new().route("/actuator/prometheus", get(scrape)).with_state(metrics)
}

async fn scrape(State(metrics): State<Metrics>, headers: HeaderMap) -> impl IntoResponse {
    let format = Format::accepted(&headers);
    let text = metrics.render(format).await;
    ([(header::CONTENT_TYPE, format.media_type()), (header::VARY, "accept")], text)
}
