//! What a listener counts: requests, how long they take, and who is connected.
//!
//! Nothing here allocates or locks while a request is answered.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    http::{Method, Request, StatusCode},
    response::Response,
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::{add, histogram::Histogram, stem};

/// Methods that are told apart; any other is `other`, so that nobody can invent labels.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", OTHER];

const OTHER: &str = "other";

/// Classes of statuses, by their first digit.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Upper bounds of durations. Among them what is promised: a refusal within 20 ms, an answer within
/// a second even under overload, and none after 3.2 s.
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

/// What a listener counts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    answers: Arc<Answers>,
    abandoned: Counter,
    in_flight: Gauge,
    connections: Gauge,
}

#[derive(Debug)]
struct Answers {
    /// By method, then by class.
    counts: [[Counter; CLASSES.len()]; METHODS.len()],
    /// By class.
    durations: [Histogram; CLASSES.len()],
}

impl Http {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let durations = std::array::from_fn(|_| Histogram::new(&BOUNDS));
        let this = Self {
            answers: Arc::new(Answers { counts: Default::default(), durations }),
            abandoned: Counter::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
        };
        let Self { answers, abandoned, in_flight, connections } = this.clone();
        registry.register_collector(Box::new(answers));
        let name = "anticorona_http_requests_abandoned_total";
        let help = "Requests whose client went away before the answer, in requests";
        add(registry, name, help, abandoned);
        let help = "Requests that are being answered now, in requests";
        add(registry, "anticorona_http_requests_in_flight", help, in_flight);
        let help = "Connections that are open now, in connections";
        add(registry, "anticorona_http_connections_open", help, connections);
        this
    }

    /// A connection is open until this is dropped.
    pub fn connection(&self) -> Open<'_> {
        Open::one_more_in(&self.connections)
    }

    /// How many connections are open now.
    pub fn connections_open(&self) -> usize {
        usize::try_from(self.connections.get()).unwrap_or(0)
    }

    /// A request has come; it is in flight until this is dropped.
    pub fn request(&self, method: &Method) -> Served<'_> {
        let known = METHODS.iter().position(|known| known == &method.as_str());
        Served {
            method: known.unwrap_or(METHODS.len() - 1),
            since: Instant::now(),
            answered: false,
            http: self,
            _in_flight: Open::one_more_in(&self.in_flight),
        }
    }

    /// Counts a request while it is answered.
    pub(crate) async fn observe<B, F>(
        &self,
        request: Request<B>,
        answer: impl FnOnce(Request<B>) -> F,
    ) -> Response
    where
        F: Future<Output = Response>,
    {
        let served = self.request(request.method());
        let response = answer(request).await;
        served.answered(response.status());
        response
    }
}

/// One more in a gauge, until it is dropped.
#[derive(Debug)]
pub struct Open<'a>(&'a Gauge);

impl<'a> Open<'a> {
    fn one_more_in(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A request that is being answered. Dropped without an answer, it counts as abandoned.
#[derive(Debug)]
pub struct Served<'a> {
    method: usize,
    since: Instant,
    answered: bool,
    http: &'a Http,
    _in_flight: Open<'a>,
}

impl Served<'_> {
    /// It is answered with that status: the head of the answer is ready, its body may follow.
    pub fn answered(mut self, status: StatusCode) {
        self.answered = true;
        // A StatusCode is between 100 and 999; what is above 599 means nothing, so it is our fault.
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        let Answers { counts, durations } = &*self.http.answers;
        if let Some(count) = counts.get(self.method).and_then(|classes| classes.get(class)) {
            count.inc();
        }
        if let Some(durations) = durations.get(class) {
            durations.observe(self.since.elapsed());
        }
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.http.abandoned.inc();
        }
    }
}

/// Only what has happened is shown: most methods never meet most classes.
impl Collector for Answers {
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
        let help = "From a request's head until the head of its answer is ready, by class of \
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
