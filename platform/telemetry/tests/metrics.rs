//! The metrics of a service, as Prometheus reads them.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Body, routing::get};
use futures_util::{FutureExt, future::join_all};
use http::Request;
use http_body_util::BodyExt;
use insta::assert_snapshot;
use platform_telemetry::metrics::{Metrics, family::MetricFamily, router};
use tower::ServiceExt;

const BOUNDS: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];

/// A service with metrics, a page at `/` and one that is never answered.
struct Service {
    metrics: Metrics,
    router: Router,
}

impl Service {
    fn new() -> Self {
        let metrics = Metrics::default();
        let pages = Router::new()
            .route("/", get(async || "hello"))
            .route("/never", get(pending::<()>))
            .merge(router(metrics.clone()));
        Self { metrics, router: pages }
    }

    /// Sends a request; returns the media type and the body of the response.
    async fn send(&self, line: &str) -> (String, String) {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let route = |request| self.router.clone().oneshot(request).map(Result::unwrap);
        let (head, body) = self.metrics.http().observe(request, route).await.into_parts();
        let media_type = head.headers.get("content-type").map(|value| value.to_str().unwrap());
        let body = body.collect().await.unwrap().to_bytes();
        (media_type.unwrap_or_default().to_owned(), String::from_utf8(body.to_vec()).unwrap())
    }

    /// The lines of the metrics that start like this.
    async fn lines(&self, start: &str) -> Vec<String> {
        let text = self.metrics.render().await;
        text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    }
}

/// The metrics of [`some_of_each`] alone.
fn own(text: &str) -> String {
    let is_own = |line: &&str| !line.contains("anticorona_");
    text.lines().filter(is_own).collect::<Vec<_>>().join("\n")
}

fn some_of_each() -> Metrics {
    let metrics = Metrics::default();
    metrics.collector("store", async || {
        let consumed = MetricFamily::counter("consumed_total", "Events consumed, in events")
            .sample([("source", "a")], 7)
            .sample([("source", "b\\\"\n")], 8);
        let guests = MetricFamily::gauge("guests", "Guests that wait, in persons").sample([], -1);
        let rate = MetricFamily::gauge("rate", "Failures, as a share of calls").sample([], 0.5);
        let wait = MetricFamily::histogram("wait_seconds", "Time in the queue, in seconds")
            .buckets([], &BOUNDS, &[1, 1, 1], Duration::from_millis(2_510));
        let write = MetricFamily::histogram("write_seconds", "Time of a write, in seconds")
            .buckets([("store", "a")], &BOUNDS, &[0, 1, 0], Duration::from_secs(1));
        let empty = MetricFamily::gauge("empty", "No sample, in pieces");
        Ok(vec![consumed, guests, rate, wait, write, empty])
    });
    metrics
}

#[tokio::test]
async fn every_kind_of_metric_is_written_in_the_text_format() {
    let text = some_of_each().render().await;
    assert_snapshot!(own(&text), @r##"
    # HELP consumed_total Events consumed, in events.
    # TYPE consumed_total counter
    consumed_total{source="a"} 7
    consumed_total{source="b\\\"\n"} 8
    # HELP guests Guests that wait, in persons.
    # TYPE guests gauge
    guests -1
    # HELP rate Failures, as a share of calls.
    # TYPE rate gauge
    rate 0.5
    # HELP wait_seconds Time in the queue, in seconds.
    # TYPE wait_seconds histogram
    wait_seconds_bucket{le="0.01"} 1
    wait_seconds_bucket{le="1.0"} 2
    wait_seconds_bucket{le="+Inf"} 3
    wait_seconds_sum 2.51
    wait_seconds_count 3
    # HELP write_seconds Time of a write, in seconds.
    # TYPE write_seconds histogram
    write_seconds_bucket{store="a",le="0.01"} 0
    write_seconds_bucket{store="a",le="1.0"} 1
    write_seconds_bucket{store="a",le="+Inf"} 1
    write_seconds_sum{store="a"} 1.0
    write_seconds_count{store="a"} 1
    # HELP empty No sample, in pieces.
    # TYPE empty gauge
    "##);
}

#[tokio::test]
async fn a_scrape_has_the_media_type_of_the_text_format() {
    let (media_type, text) = Service::new().send("GET /actuator/prometheus").await;
    assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
    assert!(text.ends_with('\n'), "{text}");
}

#[tokio::test]
async fn however_many_clients_scrape_the_metrics_are_collected_once_a_second() {
    let service = Service::new();
    let collected = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&collected);
    service.metrics.collector("counted", move || {
        counter.fetch_add(1, Relaxed);
        async { Ok(Vec::new()) }
    });
    let start = Instant::now();
    join_all((0..100).map(|_| service.send("GET /actuator/prometheus"))).await;
    let seconds = start.elapsed().as_secs();
    assert!(u64::from(collected.load(Relaxed)) <= seconds + 1, "in {seconds} s: {collected:?}");
}

#[tokio::test]
async fn every_metric_has_a_help_that_names_its_unit() {
    let service = Service::new();
    let helps = service.lines("# HELP").await;
    let types = service.lines("# TYPE").await;
    assert_eq!(helps.len(), types.len());
    assert!(helps.len() >= 5, "{helps:?}");
    for help in helps {
        assert!(help.contains(", in "), "{help}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_method_and_class_of_status() {
    let service = Service::new();
    for line in ["GET /", "GET /", "GET /nothing", "DELETE /", "BREW /", "BOIL /"] {
        service.send(line).await;
    }
    assert_eq!(
        service.lines("anticorona_http_requests_total").await,
        [
            r#"anticorona_http_requests_total{method="GET",status="2xx"} 2"#,
            r#"anticorona_http_requests_total{method="GET",status="4xx"} 1"#,
            r#"anticorona_http_requests_total{method="DELETE",status="4xx"} 1"#,
            r#"anticorona_http_requests_total{method="other",status="4xx"} 2"#,
        ]
    );
    assert_eq!(
        service.lines(r#"anticorona_http_request_duration_seconds_count{status="4xx"}"#).await,
        [r#"anticorona_http_request_duration_seconds_count{status="4xx"} 4"#]
    );
}

#[tokio::test]
async fn open_connections_requests_in_flight_and_cancelled_requests_are_counted() {
    let service = Service::new();
    let connection = service.metrics.http().connection();
    let mut request = Box::pin(service.send("GET /never"));
    assert!(request.as_mut().now_or_never().is_none());
    let shown = service.lines("anticorona_http_").await;
    assert!(shown.contains(&"anticorona_http_requests_in_flight 1".to_owned()), "{shown:?}");
    assert!(shown.contains(&"anticorona_http_connections_open 1".to_owned()), "{shown:?}");
    assert!(shown.contains(&"anticorona_http_requests_cancelled_total 0".to_owned()), "{shown:?}");
    assert_eq!(service.metrics.http().connections_open(), 1);
    drop((request, connection));
    let shown = service.lines("anticorona_http_").await;
    assert!(shown.contains(&"anticorona_http_requests_in_flight 0".to_owned()), "{shown:?}");
    assert!(shown.contains(&"anticorona_http_connections_open 0".to_owned()), "{shown:?}");
    assert!(shown.contains(&"anticorona_http_requests_cancelled_total 1".to_owned()), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_fails_or_hangs_does_not_hide_the_others() {
    let metrics = some_of_each();
    metrics.collector("broken", async || Err("the disk is gone".into()));
    metrics.collector("stuck", async || pending().await);
    let text = metrics.render().await;
    assert!(text.contains("\nrate 0.5\n"), "{text}");
    let text = metrics.render().await;
    assert!(text.contains("\nanticorona_metrics_collector_failures_total 4\n"), "{text}");
}

#[tokio::test]
async fn services_that_share_a_process_have_metrics_of_their_own() {
    let (one, other) = (Service::new(), Service::new());
    one.send("GET /").await;
    one.metrics.collector("mine", async || {
        Ok(vec![MetricFamily::gauge("mine", "Shown by one service, in pieces").sample([], 1)])
    });
    assert_eq!(one.lines("mine").await, ["mine 1"]);
    assert_eq!(other.lines("mine").await, [""; 0]);
    assert_eq!(one.lines("anticorona_http_requests_total").await.len(), 1);
    assert_eq!(other.lines("anticorona_http_requests_total{").await, [""; 0]);
}
