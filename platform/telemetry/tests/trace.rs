//! A trace continues through services, and its spans are exported to a collector.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "trace/collector.rs"]
mod collector;
#[path = "trace/https.rs"]
mod https;

use std::{collections::BTreeSet, future::ready, sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use collector::{Collector, ExportedSpan};
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use opentelemetry_sdk::trace::Sampler;
use platform_telemetry::{
    metrics::Metrics,
    trace::{
        self, Tracer,
        export::{Exporter, tracer},
        queue::QUEUE_MAX,
        settings::TraceSettings,
    },
};
use tokio::{net::TcpListener, time::timeout};
use tower::ServiceExt;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

const CALLER: &str = "00f067aa0ba902b7";

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const SERVER: i32 = 2;

const CLIENT: i32 = 3;

/// A router behind a tracer; calls between services do not leave the task.
struct Service {
    router: Router,
    tracer: Tracer,
}

impl Service {
    fn new(router: Router, tracer: Tracer) -> Arc<Self> {
        Arc::new(Self { router: tracer.record_routes(router), tracer })
    }

    /// Answers with the trace headers that it received.
    fn back(tracer: Tracer) -> Arc<Self> {
        let received = async |headers: HeaderMap| {
            let value = |name| headers.get(name).map_or("", |value| value.to_str().unwrap());
            format!("{} {}", value("traceparent"), value("tracestate"))
        };
        let router = Router::new()
            .route("/doses", get(received))
            .route("/broken", get(async || StatusCode::SERVICE_UNAVAILABLE));
        Self::new(router, tracer)
    }

    /// Makes one call for each of its own requests.
    fn front(back: &Arc<Self>, tracer: Tracer) -> Arc<Self> {
        let (doses, broken) = (Arc::clone(back), Arc::clone(back));
        let router = Router::new()
            .route("/bookings/{id}", get(async move || call(&doses, "/doses").await))
            .route("/broken", get(async move || call(&broken, "/broken").await));
        Self::new(router, tracer)
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let route = |request| self.router.clone().oneshot(request).map(Result::unwrap);
        self.tracer.serve(request, route).await
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> String {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.answer(request.body(Body::empty()).unwrap()).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }
}

async fn call(service: &Service, path: &str) -> Response<Body> {
    let uri = format!("http://127.0.0.1:8081{path}");
    let mut request = Request::get(uri).body(Body::empty()).unwrap();
    let span = trace::outgoing(&mut request);
    let response = service.answer(request).await;
    span.answered(response.status());
    response
}

/// The metrics of a tracer, one per line.
async fn counts(tracer: &Tracer) -> Vec<String> {
    let (metrics, tracer) = (Metrics::default(), tracer.clone());
    metrics.collector("traces", move || ready(Ok(tracer.metric_families())));
    let text = metrics.render().await;
    let lines = text.lines().filter_map(|line| line.strip_prefix("anticorona_trace_spans_"));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_request_through_two_services_is_one_trace_at_the_collector() {
    let collector = Collector::start().await;
    let exporter = collector.exporter();
    let back = Service::back(exporter.tracer("back"));
    let front = Service::front(&back, exporter.tracer("front"));
    let path = "/bookings/somebody?user=somebody";
    let received = front.get(path, &[("traceparent", GIVEN), ("tracestate", "them=1")]).await;
    exporter.shutdown().await;

    let spans = collector.spans();
    let [served, called, behind] = &spans[..] else { panic!("three spans, not {spans:#?}") };
    assert_eq!(received, format!("00-{TRACE}-{}-01 them=1", called.id));
    for span in &spans {
        assert_eq!((&*span.trace, &*span.state), (TRACE, "them=1"));
        assert!(served.start <= span.start && span.start <= span.end && span.end <= served.end);
        assert!(!span.failed);
        assert_eq!(span.attributes["http.request.method"], "GET");
        assert_eq!(span.attributes["http.response.status_code"], "200");
        let all = format!("{span:?}");
        assert!(!all.contains("somebody") && !all.contains("user"), "identifies a person: {all}");
    }
    assert_eq!(
        (served.service(), &*served.name, served.kind),
        ("front", "GET /bookings/{id}", SERVER)
    );
    assert_eq!((&*served.parent, served.flags), (CALLER, 0x301));
    assert_eq!(served.attributes["http.route"], "/bookings/{id}");
    assert_eq!((called.service(), &*called.name, called.kind), ("front", "GET", CLIENT));
    assert_eq!((&*called.parent, called.flags), (&*served.id, 0x101));
    assert_eq!(called.attributes["server.address"], "127.0.0.1");
    assert_eq!(called.attributes["server.port"], "8081");
    assert_eq!((behind.service(), &*behind.name, behind.kind), ("back", "GET /doses", SERVER));
    assert_eq!(behind.parent, called.id);
}

#[tokio::test]
async fn without_a_collector_the_trace_headers_are_forwarded_unchanged() {
    let disabled = tracer("front");
    assert!(disabled.metric_families().is_empty());
    let back = Service::back(Tracer::default());
    let front = Service::front(&back, disabled);
    // The SDK would drop the second flag and the spaces.
    let random = GIVEN.replace("-01", "-03");
    let given = [("traceparent", &*random), ("tracestate", "them=1 , us=2")];
    assert_eq!(front.get("/bookings/1", &given).await, format!("{random} them=1 , us=2"));
    assert_eq!(front.get("/bookings/1", &[("tracestate", "them=1")]).await, " ");
    assert_eq!(front.get("/bookings/1", &[]).await, " ");
}

#[tokio::test]
async fn a_malformed_or_doubled_traceparent_starts_a_new_trace() {
    let collector = Collector::start().await;
    let exporter = collector.exporter();
    let back = Service::back(exporter.tracer("back"));
    let front = Service::front(&back, exporter.tracer("front"));
    front.get("/bookings/1", &[("traceparent", "00-1-2-3"), ("tracestate", "them=1")]).await;
    front.get("/bookings/1", &[("traceparent", GIVEN), ("traceparent", GIVEN)]).await;
    exporter.shutdown().await;
    let spans = collector.spans();
    assert_eq!(spans.len(), 6);
    let is_first = |span: &&ExportedSpan| span.service() == "front" && span.kind == SERVER;
    for span in spans.iter().filter(is_first) {
        assert!(span.trace != TRACE && span.parent.is_empty() && span.state.is_empty(), "{span:?}");
    }
    let different: BTreeSet<_> = spans.iter().map(|span| &span.trace).collect();
    assert_eq!(different.len(), 2);
}

#[tokio::test]
async fn a_trace_that_its_caller_does_not_record_is_not_recorded() {
    let collector = Collector::start().await;
    let exporter = collector.exporter();
    let back = Service::back(exporter.tracer("back"));
    let front = Service::front(&back, exporter.tracer("front"));
    let unsampled = GIVEN.replace("-01", "-00");
    let received = front.get("/bookings/1", &[("traceparent", &unsampled)]).await;
    assert_eq!(received, format!("{unsampled} "));
    exporter.shutdown().await;
    assert_eq!(collector.spans(), []);
}

#[tokio::test]
async fn a_decision_not_to_record_holds_for_all_services_behind() {
    let collector = Collector::start().await;
    let never = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
    let exporter =
        Exporter::start(TraceSettings { sampler: never, ..collector.settings.clone() }).unwrap();
    let eager = collector.exporter();
    let back = Service::back(eager.tracer("back"));
    let front = Service::front(&back, exporter.tracer("front"));
    let received = front.get("/bookings/1", &[]).await;
    assert!(received.ends_with("-00 "), "{received}");
    exporter.shutdown().await;
    eager.shutdown().await;
    assert_eq!(collector.spans(), []);
}

#[tokio::test]
async fn it_holds_too_if_a_call_repeats_the_headers_of_its_request() {
    let collector = Collector::start().await;
    let settings = TraceSettings { sampler: Sampler::AlwaysOff, ..collector.settings.clone() };
    let repeat = async |headers: HeaderMap| {
        let mut request = Request::get("http://vaccine/").body(()).unwrap();
        *request.headers_mut() = headers;
        trace::outgoing(&mut request).answered(StatusCode::OK);
        request.headers()["traceparent"].to_str().unwrap().to_owned()
    };
    let tracer = Exporter::start(settings).unwrap().tracer("gateway");
    let gateway = Service::new(Router::new().route("/", get(repeat)), tracer);
    let sent = gateway.get("/", &[("traceparent", GIVEN)]).await;
    assert_eq!(sent, GIVEN.replace("-01", "-00"));
}

#[tokio::test]
async fn all_services_with_the_same_ratio_record_the_same_traces() {
    // The bits that decide are 0xa3ce929d: 0.6399 of the range.
    for (ratio, recorded) in [(0.0, 0), (0.63, 0), (0.65, 3), (1.0, 3)] {
        let collector = Collector::start().await;
        let sampler = Sampler::TraceIdRatioBased(ratio);
        let settings = TraceSettings { sampler, ..collector.settings.clone() };
        let exporter = Exporter::start(settings).unwrap();
        let back = Service::back(exporter.tracer("back"));
        let front = Service::front(&back, exporter.tracer("front"));
        front.get("/bookings/1", &[("traceparent", GIVEN)]).await;
        exporter.shutdown().await;
        assert_eq!(collector.spans().len(), recorded, "{ratio}");
    }
}

#[tokio::test]
async fn failures_are_marked_on_both_sides() {
    let collector = Collector::start().await;
    let exporter = collector.exporter();
    let back = Service::back(exporter.tracer("back"));
    let front = Service::front(&back, exporter.tracer("front"));
    front.get("/broken", &[]).await;
    front.get("/nothing/here", &[]).await;
    exporter.shutdown().await;
    let spans = collector.spans();
    let [served, called, behind, lost] = &spans[..] else { panic!("four spans, not {spans:#?}") };
    for span in [served, called, behind] {
        assert!(span.failed);
        assert_eq!(span.attributes["error.type"], "503");
    }
    assert_eq!((&*lost.name, lost.failed), ("GET", false));
    assert_eq!(lost.attributes["http.response.status_code"], "404");
}

#[tokio::test]
async fn a_call_without_a_response_has_its_reason() {
    let collector = Collector::start().await;
    let exporter = collector.exporter();
    let unreachable = async || {
        let mut request = Request::get("http://vaccine/").body(()).unwrap();
        trace::outgoing(&mut request).failed("unreachable");
    };
    let router = Router::new().route("/", get(unreachable));
    Service::new(router, exporter.tracer("front")).get("/", &[]).await;
    exporter.shutdown().await;
    let spans = collector.spans();
    let called = spans.iter().find(|span| span.kind == CLIENT).unwrap();
    assert_eq!((&*called.attributes["error.type"], called.failed), ("unreachable", true));
    assert!(!called.attributes.contains_key("http.response.status_code"));
}

#[tokio::test]
async fn an_unknown_method_is_not_in_the_span() {
    let collector = Collector::start().await;
    let exporter = collector.exporter();
    let back = Service::back(exporter.tracer("back"));
    back.answer(Request::builder().method("BREW").body(Body::empty()).unwrap()).await;
    exporter.shutdown().await;
    let span = collector.spans().remove(0);
    assert_eq!((&*span.name, &*span.attributes["http.request.method"]), ("_OTHER", "_OTHER"));
}

#[tokio::test]
async fn a_request_whose_client_disconnects_has_a_cancelled_span() {
    let collector = Collector::start().await;
    let exporter = collector.exporter();
    let never = get(std::future::pending::<()>);
    let service = Service::new(Router::new().route("/never", never), exporter.tracer("slow"));
    let answered = service.get("/never", &[]).now_or_never();
    assert!(answered.is_none());
    exporter.shutdown().await;
    let spans = collector.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].attributes["error.type"], "cancelled");
    assert_eq!(spans[0].name, "GET /never");
}

#[tokio::test]
async fn headers_and_the_resource_are_sent_with_the_spans() {
    let collector = Collector::start().await;
    let address = collector.settings.endpoint.to_string();
    let settings = TraceSettings::read(|name| {
        let variables = [
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*address),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20a"),
            ("OTEL_SERVICE_NAME", "anticorona"),
            ("OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=p%2C1,service.name=ignored"),
        ];
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    });
    let exporter = Exporter::start(settings.unwrap().unwrap()).unwrap();
    Service::back(exporter.tracer("back")).get("/doses", &[]).await;
    exporter.shutdown().await;
    assert_eq!(collector.heads()[0]["authorization"], "Bearer a");
    let span = collector.spans().remove(0);
    assert_eq!((span.service(), &*span.resource["k8s.pod.name"]), ("anticorona", "p,1"));
    assert_eq!(span.resource["service.version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn a_collector_that_does_not_answer_delays_no_request() {
    // The kernel accepts connections; nothing reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let exporter = Exporter::start(TraceSettings::new(endpoint.parse().unwrap())).unwrap();
    let tracer = exporter.tracer("back");
    let back = Service::back(tracer.clone());
    let many = async {
        for _ in 0..2 * QUEUE_MAX {
            assert_eq!(call(&back, "/doses").await.status(), StatusCode::OK);
        }
    };
    timeout(Duration::from_secs(20), many).await.expect("requests wait for the collector");
    let dropped = counts(&tracer).await.iter().find_map(|line| {
        line.strip_prefix("dropped_total ").map(|count| count.parse::<usize>().unwrap())
    });
    assert!(dropped >= Some(QUEUE_MAX), "{dropped:?}");
    timeout(Duration::from_secs(20), exporter.shutdown()).await.expect("shutdown has no limit");
}

#[tokio::test]
async fn spans_are_exported_again_after_a_response_that_allows_it() {
    let collector = Collector::answering(vec![StatusCode::SERVICE_UNAVAILABLE]).await;
    let exporter = collector.exporter();
    let tracer = exporter.tracer("back");
    Service::back(tracer.clone()).get("/doses", &[]).await;
    exporter.shutdown().await;
    assert_eq!((collector.heads().len(), collector.spans().len()), (2, 1));
    assert_eq!(counts(&tracer).await, ["exported_total 1", "dropped_total 0"]);
}

#[tokio::test]
async fn spans_that_the_collector_refuses_are_counted_as_dropped() {
    let collector = Collector::answering(vec![StatusCode::BAD_REQUEST]).await;
    let exporter = collector.exporter();
    let tracer = exporter.tracer("back");
    Service::back(tracer.clone()).get("/doses", &[]).await;
    exporter.shutdown().await;
    assert_eq!((collector.heads().len(), collector.spans().len()), (1, 0));
    assert_eq!(counts(&tracer).await, ["exported_total 0", "dropped_total 1"]);
}
