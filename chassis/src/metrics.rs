//! What one part counts, for Prometheus: one place to register it, one address to read it.
//!
//! Values that change with every request are atomics, registered once ([`Metrics::counter`],
//! [`Metrics::gauge`], [`Metrics::histogram`]). Values that somebody else keeps (a breaker, the
//! database) are read when a collector asks ([`Metrics::source`]).

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::future::join_all;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Metric, Registry, Unit},
};
use tokio::time::timeout;
use tracing::warn;

pub mod exposition;
pub mod histogram;
pub mod http;
pub mod reading;

use self::{exposition::Format, histogram::Histogram, http::Http, reading::Reading};
use crate::{process::Fatal, telemetry};

/// How long one source may take: a scrape must not hang because a database does.
const SOURCE_WITHIN: Duration = Duration::from_secs(1);

/// The metrics of one part; parts that share a process have one each. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Mutex<Registry>,
    sources: Mutex<Vec<Source>>,
    unread: Counter,
    http: Http,
}

type Read = Pin<Box<dyn Future<Output = Result<Vec<Reading>, Fatal>> + Send>>;

/// Somebody who is asked at every scrape.
#[derive(Clone)]
struct Source {
    name: &'static str,
    read: Arc<dyn Fn() -> Read + Send + Sync>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.name).finish()
    }
}

impl Default for Inner {
    fn default() -> Self {
        let mut registry = Registry::default();
        let unread = Counter::default();
        let help = "Answers that a scrape had to do without (the log says why), in answers";
        add(&mut registry, "anticorona_metrics_unread_total", help, unread.clone());
        let http = Http::new(&mut registry);
        Self { registry: Mutex::new(registry), sources: Mutex::default(), unread, http }
    }
}

impl Metrics {
    /// A counter: how often something has happened. Names end in `_total`, and so they are shown;
    /// the help says what is counted, without a full stop.
    pub fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        let counter = Counter::default();
        add(&mut self.registry(), name, help, counter.clone());
        counter
    }

    /// A gauge: how many there are now. The help says what, without a full stop.
    pub fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        let gauge = Gauge::default();
        add(&mut self.registry(), name, help, gauge.clone());
        gauge
    }

    /// How long something takes, counted by these upper bounds (ascending). Names end in `_seconds`.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        bounds: &'static [Duration],
    ) -> Histogram {
        let histogram = Histogram::new(bounds);
        add(&mut self.registry(), name, help, histogram.clone());
        histogram
    }

    /// Asks at every scrape, for at most a second. Who fails or is late is left out of that
    /// scrape, logged and counted; the others are shown.
    pub fn source<F>(&self, name: &'static str, read: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<Vec<Reading>, Fatal>> + Send + 'static,
    {
        let read: Arc<dyn Fn() -> Read + Send + Sync> = Arc::new(move || Box::pin(read()));
        locked(&self.0.sources).push(Source { name, read });
    }

    /// What the part's listener counts.
    pub fn http(&self) -> &Http {
        &self.0.http
    }

    /// Everything, as it is now.
    pub async fn render(&self, format: Format) -> String {
        let sources = locked(&self.0.sources).clone();
        let read = join_all(sources.iter().map(|source| self.read(source))).await;
        let mut read_now = Registry::default();
        for reading in read.into_iter().flatten() {
            read_now.register_collector(Box::new(reading));
        }
        format.render(&[&self.registry(), &read_now])
    }

    async fn read(&self, source: &Source) -> Vec<Reading> {
        let late = |_| Err(Fatal::from("no answer in time"));
        let read = timeout(SOURCE_WITHIN, (source.read)()).await.unwrap_or_else(late);
        read.unwrap_or_else(|cause| {
            self.0.unread.inc();
            warn!("cannot read the metrics of {}: {}", source.name, telemetry::causes(&*cause));
            Vec::new()
        })
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        locked(&self.0.registry)
    }
}

/// Who panicked while it held the lock has at worst registered half of its metrics.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn add(registry: &mut Registry, name: &str, help: &str, metric: impl Metric) {
    match stem(name) {
        (stem, Some(unit)) => registry.register_with_unit(stem, help, unit, metric),
        (stem, None) => registry.register(stem, help, metric),
    }
}

/// The name without what the encoder puts behind it: `_total` of a counter, and the unit.
fn stem(name: &str) -> (&str, Option<Unit>) {
    let stem = name.strip_suffix("_total").unwrap_or(name);
    match stem.strip_suffix("_seconds") {
        Some(stem) => (stem, Some(Unit::Seconds)),
        None => (stem, None),
    }
}

/// `/actuator/prometheus` of a part.
pub fn router(metrics: Metrics) -> Router {
    Router::new().route("/actuator/prometheus", get(show)).with_state(metrics)
}

async fn show(State(metrics): State<Metrics>, headers: HeaderMap) -> Response {
    let format = Format::accepted(&headers);
    let text = metrics.render(format).await;
    ([(header::CONTENT_TYPE, format.media_type()), (header::VARY, "accept")], text).into_response()
}
