//! Metrics of a listener: requests, their durations, open connections.
//!
//! Nothing here allocates or locks while a request is answered.

use std::{
    array, fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, Request, Response, StatusCode};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{
    histogram::Histogram,
    register::{register, stem},
};

/// Values of the label `method`; every other method is `other`, so that clients cannot create
/// labels.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", OTHER];

const OTHER: &str = "other";

/// Values of the label `status`, by the first digit of the status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Upper bounds of durations. They contain the service levels: a rejection within 20 ms, a response
/// within a second under overload, and none after 3.2 s.
const BOUNDS: [Duration; 12] = [
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_millis(3_200),
];

/// The metrics of a listener. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    responses: Arc<Responses>,
    cancelled: Counter,
    in_flight: Gauge,
    connections: Gauge,
}

#[derive(Debug)]
struct Responses {
    /// By method, then by class.
    counts: [[Counter; CLASSES.len()]; METHODS.len()],
    /// By class.
    durations: [Histogram; CLASSES.len()],
}

impl HttpMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let durations = array::from_fn(|_| Histogram::new(&BOUNDS));
        let responses = Arc::new(Responses { counts: Default::default(), durations });
        let (cancelled, in_flight, connections) =
            (Counter::default(), Gauge::default(), Gauge::default());
        registry.register_collector(Box::new(Arc::clone(&responses)));
        let name = "anticorona_http_requests_cancelled_total";
        let help = "Requests whose client disconnected before the response, in requests";
        register(registry, name, help, cancelled.clone());
        let help = "Requests that are being answered now, in requests";
        register(registry, "anticorona_http_requests_in_flight", help, in_flight.clone());
        let help = "Connections that are open now, in connections";
        register(registry, "anticorona_http_connections_open", help, connections.clone());
        Self { responses, cancelled, in_flight, connections }
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn connection(&self) -> ConnectionGuard<'_> {
        ConnectionGuard(GaugeGuard::new(&self.connections))
    }

    /// The number of open connections.
    pub fn connections_open(&self) -> usize {
        usize::try_from(self.connections.get()).unwrap_or(0)
    }

    /// Counts a request as in flight until the guard is dropped.
    pub fn request(&self, method: &Method) -> RequestGuard<'_> {
        let known = METHODS.iter().position(|known| known == &method.as_str());
        RequestGuard {
            method: known.unwrap_or(METHODS.len() - 1),
            started_at: Instant::now(),
            answered: false,
            http: self,
            _in_flight: GaugeGuard::new(&self.in_flight),
        }
    }

    /// Measures a request until the head of its response is ready.
    pub async fn observe<B, R, F>(
        &self,
        request: Request<B>,
        next: impl FnOnce(Request<B>) -> F,
    ) -> Response<R>
    where
        F: Future<Output = Response<R>>,
    {
        let guard = self.request(request.method());
        let response = next(request).await;
        guard.answered(response.status());
        response
    }
}

/// Adds one to a gauge until it is dropped.
#[derive(Debug)]
struct GaugeGuard<'a>(&'a Gauge);

impl<'a> GaugeGuard<'a> {
    fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for GaugeGuard<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// An open connection.
#[derive(Debug)]
pub struct ConnectionGuard<'a>(#[expect(dead_code, reason = "held for its drop")] GaugeGuard<'a>);

/// A request in flight. Dropped without [`RequestGuard::answered`], it counts as cancelled.
#[derive(Debug)]
pub struct RequestGuard<'a> {
    method: usize,
    started_at: Instant,
    answered: bool,
    http: &'a HttpMetrics,
    _in_flight: GaugeGuard<'a>,
}

impl RequestGuard<'_> {
    /// Counts the response; its body may still follow.
    pub fn answered(mut self, status: StatusCode) {
        self.answered = true;
        // A StatusCode is between 100 and 999; what is above 599 has no class and counts as 5xx.
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        let Responses { counts, durations } = &*self.http.responses;
        if let Some(count) = counts.get(self.method).and_then(|classes| classes.get(class)) {
            count.inc();
        }
        if let Some(durations) = durations.get(class) {
            durations.observe(self.started_at.elapsed());
        }
    }
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.http.cancelled.inc();
        }
    }
}

/// Shows only what has a value: most methods never have most classes of status.
impl Collector for Responses {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (name, unit) = stem("anticorona_http_requests_total");
        let help = "Requests answered, by method and class of status, in requests.";
        let kind = MetricType::Counter;
        let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (method, counts) in METHODS.iter().zip(&self.counts) {
            for (class, count) in CLASSES.iter().zip(counts).filter(|(_, count)| count.get() > 0) {
                let labels = [("method", *method), ("status", *class)];
                count.encode(family.encode_family(&labels)?)?;
            }
        }
        let (name, unit) = stem("anticorona_http_request_duration_seconds");
        let help = "From a request's head until the head of its response is ready, by class of \
                    status, in seconds.";
        let kind = MetricType::Histogram;
        let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (class, durations) in CLASSES.iter().zip(&self.durations) {
            if durations.buckets().count() > 0 {
                durations.encode(family.encode_family(&[("status", *class)])?)?;
            }
        }
        Ok(())
    }
}
