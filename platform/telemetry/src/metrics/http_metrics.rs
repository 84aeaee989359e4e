//! Metrics of a listener: requests, their durations, open connections.
//!
//! Nothing here allocates or locks while a request is answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::{Request, Response, StatusCode};

use super::family::MetricFamily;

/// Values of the label `method`; every other method is `other`, so that clients cannot create
/// labels.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "other"];

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
#[derive(Clone, Debug, Default)]
pub struct HttpMetrics(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Responses by method, then by class.
    responses: [[AtomicU64; CLASSES.len()]; METHODS.len()],
    /// By class.
    durations: [Durations; CLASSES.len()],
    cancelled: AtomicU64,
    in_flight: AtomicUsize,
    connections: AtomicUsize,
}

#[derive(Debug, Default)]
struct Durations {
    /// One per bound, and a last one for durations above all bounds.
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_nanos: AtomicU64,
}

impl HttpMetrics {
    /// Counts a connection as open until the guard is dropped.
    pub fn connection(&self) -> ConnectionGuard<'_> {
        self.0.connections.fetch_add(1, Relaxed);
        ConnectionGuard(&self.0)
    }

    /// The number of open connections.
    pub fn connections_open(&self) -> usize {
        self.0.connections.load(Relaxed)
    }

    /// Measures a request until the head of its response is ready. Dropped before, it counts as
    /// cancelled.
    pub async fn observe<B, R, F>(
        &self,
        request: Request<B>,
        next: impl FnOnce(Request<B>) -> F,
    ) -> Response<R>
    where
        F: Future<Output = Response<R>>,
    {
        let method = METHODS.iter().position(|known| known == &request.method().as_str());
        let started_at = Instant::now();
        self.0.in_flight.fetch_add(1, Relaxed);
        let mut guard = RequestGuard { metrics: &self.0, answered: false };
        let response = next(request).await;
        guard.answered = true;
        let method = method.unwrap_or(METHODS.len() - 1);
        self.0.count(method, response.status(), started_at.elapsed());
        response
    }

    /// Shows only what has a value: most methods never have most classes of status.
    pub(super) fn families(&self) -> [MetricFamily; 5] {
        let Inner { responses, durations, cancelled, in_flight, connections } = &*self.0;
        let mut requests = MetricFamily::counter(
            "anticorona_http_requests_total",
            "Requests answered, by method and class of status, in requests",
        );
        for (method, responses) in METHODS.iter().zip(responses) {
            for (class, count) in CLASSES.iter().zip(responses.iter().map(load)) {
                if count > 0 {
                    requests = requests.sample([("method", method), ("status", class)], count);
                }
            }
        }
        let mut request_duration = MetricFamily::histogram(
            "anticorona_http_request_duration_seconds",
            "From a request's head until the head of its response is ready, by class of status, in \
             seconds",
        );
        for (class, Durations { counts, sum_nanos }) in CLASSES.iter().zip(durations) {
            let counts = counts.each_ref().map(load);
            if counts.iter().any(|count| *count > 0) {
                let sum = Duration::from_nanos(load(sum_nanos));
                request_duration =
                    request_duration.buckets([("status", class)], &BOUNDS, &counts, sum);
            }
        }
        let cancelled = MetricFamily::counter(
            "anticorona_http_requests_cancelled_total",
            "Requests whose client disconnected before the response, in requests",
        )
        .sample([], load(cancelled));
        let in_flight = MetricFamily::gauge(
            "anticorona_http_requests_in_flight",
            "Requests that are being answered now, in requests",
        )
        .sample([], in_flight.load(Relaxed));
        let connections = MetricFamily::gauge(
            "anticorona_http_connections_open",
            "Connections that are open now, in connections",
        )
        .sample([], connections.load(Relaxed));
        [requests, request_duration, cancelled, in_flight, connections]
    }
}

impl Inner {
    fn count(&self, method: usize, status: StatusCode, duration: Duration) {
        // A StatusCode is between 100 and 999; what is above 599 has no class and counts as 5xx.
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.responses[method][class].fetch_add(1, Relaxed);
        let Durations { counts, sum_nanos } = &self.durations[class];
        counts[BOUNDS.partition_point(|bound| *bound < duration)].fetch_add(1, Relaxed);
        sum_nanos.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }
}

fn load(count: &AtomicU64) -> u64 {
    count.load(Relaxed)
}

/// An open connection.
#[derive(Debug)]
pub struct ConnectionGuard<'a>(&'a Inner);

impl Drop for ConnectionGuard<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// A request in flight.
struct RequestGuard<'a> {
    metrics: &'a Inner,
    answered: bool,
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        self.metrics.in_flight.fetch_sub(1, Relaxed);
        if !self.answered {
            self.metrics.cancelled.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_whose_bound_is_not_shorter() {
        let metrics = HttpMetrics::default();
        for millis in [10, 11, 4_000] {
            metrics.0.count(0, StatusCode::OK, Duration::from_millis(millis));
        }
        let [_, durations, ..] = metrics.families();
        for line in [
            r#"_bucket{status="2xx",le="0.005"} 0"#,
            r#"_bucket{status="2xx",le="0.01"} 1"#,
            r#"_bucket{status="2xx",le="0.02"} 2"#,
            r#"_bucket{status="2xx",le="3.2"} 2"#,
            r#"_bucket{status="2xx",le="+Inf"} 3"#,
            r#"_sum{status="2xx"} 4.021"#,
            r#"_count{status="2xx"} 3"#,
        ] {
            let line = format!("\nanticorona_http_request_duration_seconds{line}\n");
            assert!(durations.text.contains(&line), "{line} is not in {}", durations.text);
        }
    }
}
