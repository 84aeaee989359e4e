//! What a part counts, as Prometheus reads it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    future::pending,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::Request, routing::get};
use chassis::{
    actuator,
    client::{Call, Client},
    listen::Listener,
    metrics::{Metrics, exposition::Format, reading::Reading},
    process::Process,
};
use insta::assert_snapshot;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::mpsc,
    task::{JoinSet, yield_now},
    time,
};
use tokio_util::sync::CancellationToken;

const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";

const BOUNDS: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];

/// A part with an actuator, a page at `/` and one that never answers.
struct Served {
    address: SocketAddr,
    metrics: Metrics,
    waiting: mpsc::Receiver<()>,
    _serving: JoinSet<io::Result<()>>,
}

impl Served {
    fn start() -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.address();
        let process = Process::new(CancellationToken::new());
        let metrics = process.metrics().clone();
        let (come, waiting) = mpsc::channel(8);
        let never = async move || {
            come.send(()).await.unwrap();
            pending::<&str>().await
        };
        let router = Router::new()
            .route("/", get(async || "hello"))
            .route("/never", get(never))
            .merge(actuator::router("test", &process));
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            listener.serve("test", router, Duration::from_secs(2), &process).await
        });
        Self { address, metrics, waiting, _serving: serving }
    }

    async fn ask(&self, line: &str, accept: Option<&str>) -> (String, String) {
        let client = Client::new(format!("http://{}", self.address).parse().unwrap());
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let call = Call::of(request.body(Bytes::new()).unwrap());
        let by = Instant::now() + Duration::from_secs(5);
        let (head, body) = client.send(call, by).await.unwrap().into_parts();
        let media_type = head.headers.get("content-type").unwrap().to_str().unwrap().to_owned();
        (media_type, String::from_utf8(body.to_vec()).unwrap())
    }

    /// The lines of the scrape that begin like this.
    async fn lines(&self, start: &str) -> Vec<String> {
        let (_, text) = self.ask("GET /actuator/prometheus", None).await;
        text.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
    }

    /// Scrapes until that line is there: what a connection does is not seen at once.
    async fn shows(&self, line: &str) {
        let shown = async {
            while !self.lines(line).await.iter().any(|shown| shown == line) {
                yield_now().await;
            }
        };
        time::timeout(Duration::from_secs(5), shown).await.expect("it is never shown");
    }
}

/// Everything but what the listener counts.
fn own(text: &str) -> String {
    let foreign = |line: &&str| !line.contains("anticorona_");
    text.lines().filter(foreign).collect::<Vec<_>>().join("\n")
}

fn some_of_each() -> Metrics {
    let metrics = Metrics::default();
    metrics.counter("doses_total", "Doses given, in doses").inc_by(3);
    metrics.gauge("guests", "Guests that wait, in persons").set(-1);
    let wait = metrics.histogram("wait_seconds", "Time in the line, in seconds", &BOUNDS);
    wait.observe(Duration::from_millis(10));
    wait.observe(Duration::from_millis(500));
    wait.observe(Duration::from_secs(2));
    metrics.source("ledger", async || {
        let heard = Reading::counter("heard_total", "Events heard, in events")
            .value([("source", "a")], 7)
            .value([("source", "b\"\n")], 8);
        let rate = Reading::gauge("rate", "Failures, as a share of calls").value([], 0.5);
        Ok(vec![heard, rate, Reading::gauge("nothing", "There is none, in pieces")])
    });
    metrics
}

#[tokio::test]
async fn every_kind_of_metric_is_written_in_the_older_format() {
    let text = some_of_each().render(Format::Text).await;
    assert_snapshot!(own(&text), @r#"
    # HELP doses_total Doses given, in doses.
    # TYPE doses_total counter
    doses_total 3
    # HELP guests Guests that wait, in persons.
    # TYPE guests gauge
    guests -1
    # HELP wait_seconds Time in the line, in seconds.
    # TYPE wait_seconds histogram
    wait_seconds_sum 2.51
    wait_seconds_count 3
    wait_seconds_bucket{le="0.01"} 1
    wait_seconds_bucket{le="1.0"} 2
    wait_seconds_bucket{le="+Inf"} 3
    # HELP heard_total Events heard, in events.
    # TYPE heard_total counter
    heard_total{source="a"} 7
    heard_total{source="b\"\n"} 8
    # HELP rate Failures, as a share of calls.
    # TYPE rate gauge
    rate 0.5
    # HELP nothing There is none, in pieces.
    # TYPE nothing gauge
    "#);
}

#[tokio::test]
async fn every_kind_of_metric_is_written_as_open_metrics() {
    let text = some_of_each().render(Format::OpenMetrics).await;
    assert_snapshot!(own(&text), @r#"
    # HELP doses Doses given, in doses.
    # TYPE doses counter
    doses_total 3
    # HELP guests Guests that wait, in persons.
    # TYPE guests gauge
    guests -1
    # HELP wait_seconds Time in the line, in seconds.
    # TYPE wait_seconds histogram
    # UNIT wait_seconds seconds
    wait_seconds_sum 2.51
    wait_seconds_count 3
    wait_seconds_bucket{le="0.01"} 1
    wait_seconds_bucket{le="1.0"} 2
    wait_seconds_bucket{le="+Inf"} 3
    # HELP heard Events heard, in events.
    # TYPE heard counter
    heard_total{source="a"} 7
    heard_total{source="b\"\n"} 8
    # HELP rate Failures, as a share of calls.
    # TYPE rate gauge
    rate 0.5
    # HELP nothing There is none, in pieces.
    # TYPE nothing gauge
    # EOF
    "#);
}

#[tokio::test]
async fn who_does_not_say_what_it_reads_gets_the_older_format() {
    let served = Served::start();
    for accept in [None, Some("*/*"), Some("text/plain"), Some("application/openmetrics-text;q=0")]
    {
        let (media_type, text) = served.ask("GET /actuator/prometheus", accept).await;
        assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8", "{accept:?}");
        assert!(!text.contains("# EOF"), "{text}");
    }
    let (media_type, text) = served.ask("GET /actuator/prometheus", Some(OPEN_METRICS)).await;
    assert_eq!(media_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn every_metric_says_what_it_is_and_in_which_unit() {
    let served = Served::start();
    let helps = served.lines("# HELP").await;
    let types = served.lines("# TYPE").await;
    assert_eq!(helps.len(), types.len());
    assert!(helps.len() >= 5, "{helps:?}");
    for help in helps {
        assert!(help.contains(", in "), "{help}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_method_and_class_of_status() {
    let served = Served::start();
    for line in ["GET /", "GET /", "GET /nothing", "DELETE /", "BREW /", "BOIL /"] {
        served.ask(line, None).await;
    }
    assert_eq!(
        served.lines("anticorona_http_requests_total").await,
        [
            r#"anticorona_http_requests_total{method="GET",status="2xx"} 2"#,
            r#"anticorona_http_requests_total{method="GET",status="4xx"} 1"#,
            r#"anticorona_http_requests_total{method="DELETE",status="4xx"} 1"#,
            r#"anticorona_http_requests_total{method="other",status="4xx"} 2"#,
        ]
    );
    assert_eq!(
        served.lines(r#"anticorona_http_request_duration_seconds_count{status="4xx"}"#).await,
        [r#"anticorona_http_request_duration_seconds_count{status="4xx"} 4"#]
    );
}

#[tokio::test]
async fn who_waits_and_who_goes_away_is_counted() {
    let mut served = Served::start();
    // The scrape itself is one of them.
    served.shows("anticorona_http_requests_in_flight 1").await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET /never HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    served.waiting.recv().await.unwrap();
    served.shows("anticorona_http_requests_in_flight 2").await;
    served.shows("anticorona_http_connections_open 2").await;
    drop(stream);
    served.shows("anticorona_http_requests_in_flight 1").await;
    served.shows("anticorona_http_connections_open 1").await;
    served.shows("anticorona_http_requests_abandoned_total 1").await;
}

#[tokio::test]
async fn a_source_that_fails_or_hangs_does_not_hide_the_others() {
    time::pause();
    let metrics = some_of_each();
    metrics.source("broken", async || Err("the disk is gone".into()));
    metrics.source("stuck", async || pending().await);
    let text = metrics.render(Format::Text).await;
    assert!(text.contains("\nrate 0.5\n"), "{text}");
    let text = metrics.render(Format::Text).await;
    assert!(text.contains("\nanticorona_metrics_unread_total 4\n"), "{text}");
}

#[tokio::test]
async fn parts_that_share_a_process_count_for_themselves() {
    let (one, other) = (Served::start(), Served::start());
    one.ask("GET /", None).await;
    one.metrics.counter("mine_total", "What is mine, in pieces").inc();
    assert_eq!(one.lines("mine_total").await, ["mine_total 1"]);
    assert_eq!(other.lines("mine_total").await, [""; 0]);
    assert_eq!(one.lines("anticorona_http_requests_total").await.len(), 1);
    // Its own first scrape alone.
    let asked = other.lines("anticorona_http_requests_total").await;
    assert_eq!(asked, [r#"anticorona_http_requests_total{method="GET",status="2xx"} 1"#]);
}
