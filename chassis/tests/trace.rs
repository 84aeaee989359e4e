//! A trace goes through services as its caller began it, and a collector learns of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

#[path = "trace/sink.rs"]
mod sink;

use std::{
    collections::BTreeSet,
    future::pending,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Request, Response, StatusCode},
    routing::get,
};
use chassis::{
    client::{Call, Client},
    listen::Listener,
    process::Process,
    trace::{
        self, Tracer,
        export::{Exporter, QUEUE_MAX},
        settings::{Endpoint, Sampler, Settings},
    },
};
use sink::Sink;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::{JoinSet, yield_now},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

const CALLER: &str = "00f067aa0ba902b7";

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const SERVER: u64 = 2;

const CLIENT: u64 = 3;

struct Service {
    address: SocketAddr,
    _serving: JoinSet<io::Result<()>>,
}

impl Service {
    fn start(name: &'static str, router: Router, tracer: &Tracer) -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.address();
        let process = Process::new(CancellationToken::new()).traced(tracer.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            listener.serve(name, router, Duration::from_secs(10), &process).await
        });
        Self { address, _serving: serving }
    }

    /// Answers which trace it is called in.
    fn back(tracer: &Tracer) -> Self {
        let said = async |headers: HeaderMap| {
            let value = |name| headers.get(name).map_or("", |value| value.to_str().unwrap());
            format!("{} {}", value("traceparent"), value("tracestate"))
        };
        let router = Router::new()
            .route("/doses", get(said))
            .route("/broken", get(async || StatusCode::SERVICE_UNAVAILABLE));
        Self::start("back", router, tracer)
    }

    /// Asks another one for each of its own requests.
    fn front(back: &Self, tracer: &Tracer) -> Self {
        let (doses, broken) = (back.client(), back.client());
        let router = Router::new()
            .route("/bookings/{id}", get(move || call(doses.clone(), "/doses")))
            .route("/broken", get(move || call(broken.clone(), "/broken")));
        Self::start("front", router, tracer)
    }

    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> String {
        let client = self.client();
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let call = Call::of(request.body(Bytes::new()).unwrap());
        let response = client.send(call, soon()).await.unwrap();
        String::from_utf8(response.into_body().to_vec()).unwrap()
    }

    fn client(&self) -> Client {
        Client::new(format!("http://{}", self.address).parse().unwrap())
    }
}

/// By how much two clocks may differ.
const SLACK_NS: u64 = 1_000_000;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

async fn call(client: Client, path: &'static str) -> Response<Body> {
    client.send(Call::get(path).unwrap(), soon()).await.unwrap().map(Body::from)
}

fn exporting(settings: &Settings) -> (Tracer, Exporter) {
    Exporter::start(settings.clone())
}

#[tokio::test]
async fn a_request_that_passes_two_services_is_one_trace_at_the_collector() {
    let mut sink = Sink::answering(vec![]);
    let (tracer, exporter) = exporting(&sink.settings);
    let back = Service::back(&tracer);
    let front = Service::front(&back, &tracer);
    let said = front
        .ask(
            "/bookings/somebody?user=somebody",
            &[("traceparent", GIVEN), ("tracestate", "them=1")],
        )
        .await;
    exporter.finish().await;

    let spans = sink.spans();
    let [served, called, behind] = &spans[..] else { panic!("three spans, not {spans:#?}") };
    assert_eq!(said, format!("00-{TRACE}-{}-01 them=1", called.span));
    for span in &spans {
        assert_eq!((&*span.trace, &*span.state.replace("them=1", "")), (TRACE, ""));
        // A span begins by the clock on the wall and lasts by another; a millisecond is between them.
        let (start, end) = (span.start + SLACK_NS, span.end.saturating_sub(SLACK_NS));
        assert!(span.start <= span.end && served.start <= start && end <= served.end);
        assert!(!span.failed);
        assert_eq!(span.attributes["http.request.method"], "GET");
        assert_eq!(span.attributes["http.response.status_code"], "200");
        let all = format!("{span:?}");
        assert!(!all.contains("somebody") && !all.contains("user"), "nobody is named: {all}");
    }
    assert_eq!(
        (&*served.service, &*served.name, served.kind),
        ("front", "GET /bookings/{id}", SERVER)
    );
    assert_eq!((&*served.parent, served.flags), (CALLER, 0x301));
    assert_eq!(served.attributes["http.route"], "/bookings/{id}");
    assert_eq!((&*called.service, &*called.name, called.kind), ("front", "GET", CLIENT));
    assert_eq!((&*called.parent, called.flags), (&*served.span, 0x101));
    assert_eq!(called.attributes["server.address"], "127.0.0.1");
    assert_eq!(called.attributes["server.port"], back.address.port().to_string());
    assert_eq!((&*behind.service, &*behind.name, behind.kind), ("back", "GET /doses", SERVER));
    assert_eq!(&*behind.parent, called.span);
}

#[tokio::test]
async fn without_a_collector_a_trace_is_passed_on_as_it_came() {
    let off = Tracer::default();
    let back = Service::back(&off);
    let front = Service::front(&back, &off);
    let given = [("traceparent", GIVEN), ("tracestate", "them=1")];
    assert_eq!(front.ask("/bookings/1", &given).await, format!("{GIVEN} them=1"));
    assert_eq!(front.ask("/bookings/1", &[]).await, " ");
}

#[tokio::test]
async fn a_malformed_or_doubled_traceparent_begins_a_new_trace() {
    let mut sink = Sink::answering(vec![]);
    let (tracer, exporter) = exporting(&sink.settings);
    let back = Service::back(&tracer);
    let front = Service::front(&back, &tracer);
    front.ask("/bookings/1", &[("traceparent", "00-1-2-3"), ("tracestate", "them=1")]).await;
    front.ask("/bookings/1", &[("traceparent", GIVEN), ("traceparent", GIVEN)]).await;
    exporter.finish().await;
    let spans = sink.spans();
    assert_eq!(spans.len(), 6);
    for span in spans.iter().filter(|span| span.service == "front" && span.kind == SERVER) {
        assert!(span.trace != TRACE && span.parent.is_empty() && span.state.is_empty(), "{span:?}");
    }
    let different: BTreeSet<_> = spans.iter().map(|span| &span.trace).collect();
    assert_eq!(different.len(), 2);
}

#[tokio::test]
async fn what_the_caller_does_not_record_is_not_recorded() {
    let mut sink = Sink::answering(vec![]);
    let (tracer, exporter) = exporting(&sink.settings);
    let back = Service::back(&tracer);
    let front = Service::front(&back, &tracer);
    let unsampled = GIVEN.replace("-01", "-00");
    assert_eq!(
        front.ask("/bookings/1", &[("traceparent", &unsampled)]).await,
        format!("{unsampled} ")
    );
    exporter.finish().await;
    assert_eq!(sink.spans(), []);
}

#[tokio::test]
async fn one_decision_not_to_record_holds_for_everybody_behind() {
    let mut sink = Sink::answering(vec![]);
    let never = Sampler { parent_based: true, ratio: 0.0 };
    let (tracer, exporter) = exporting(&Settings { sampler: never, ..sink.settings.clone() });
    let (eager, other) = exporting(&sink.settings);
    let back = Service::back(&eager);
    let front = Service::front(&back, &tracer);
    let said = front.ask("/bookings/1", &[]).await;
    assert!(said.ends_with("-00 "), "{said}");
    exporter.finish().await;
    other.finish().await;
    assert_eq!(sink.spans(), []);
}

#[tokio::test]
async fn failures_are_marked_on_both_sides() {
    let mut sink = Sink::answering(vec![]);
    let (tracer, exporter) = exporting(&sink.settings);
    let back = Service::back(&tracer);
    let front = Service::front(&back, &tracer);
    front.ask("/broken", &[]).await;
    front.ask("/nothing/here", &[]).await;
    exporter.finish().await;
    let spans = sink.spans();
    let [served, called, behind, lost] = &spans[..] else { panic!("four spans, not {spans:#?}") };
    for span in [served, called, behind] {
        assert!(span.failed);
        assert_eq!(span.attributes["error.type"], "503");
    }
    assert_eq!((&*lost.name, lost.failed), ("GET", false));
    assert_eq!(lost.attributes["http.response.status_code"], "404");
}

/// Says so when it is dropped.
struct Leaves(mpsc::Sender<()>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.try_send(()).unwrap();
    }
}

#[tokio::test]
async fn who_goes_away_leaves_a_span_that_says_so() {
    let mut sink = Sink::answering(vec![]);
    let (tracer, exporter) = exporting(&sink.settings);
    let (come, mut has_come) = mpsc::channel(1);
    let (gone, mut has_gone) = mpsc::channel(1);
    let never = async move || {
        let _gone = Leaves(gone.clone());
        come.send(()).await.unwrap();
        pending::<()>().await;
    };
    let service = Service::start("slow", Router::new().route("/never", get(never)), &tracer);
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    stream.write_all(b"GET /never HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    has_come.recv().await.unwrap();
    drop(stream);
    timeout(Duration::from_secs(5), has_gone.recv()).await.expect("it is not given up");
    exporter.finish().await;
    let spans = sink.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].attributes["error.type"], "cancelled");
    assert_eq!(spans[0].name, "GET /never");
}

#[tokio::test]
async fn work_for_several_requests_is_in_the_trace_of_one_and_linked_to_the_others() {
    let mut sink = Sink::answering(vec![]);
    let (tracer, exporter) = exporting(&sink.settings);
    let back = Service::back(&tracer);
    let (keep, mut kept) = mpsc::channel(3);
    let leave_word = async move || keep.send(trace::current().unwrap()).await.unwrap();
    let front = Service::start("front", Router::new().route("/", get(leave_word)), &tracer);
    front.ask("/", &[("traceparent", &GIVEN.replace("-01", "-00"))]).await;
    front.ask("/", &[("traceparent", GIVEN)]).await;
    front.ask("/", &[]).await;
    let mut contexts = Vec::new();
    while contexts.len() < 3 {
        contexts.push(kept.recv().await.unwrap());
    }
    trace::on_behalf_of(contexts, call(back.client(), "/doses")).await;
    exporter.finish().await;

    let spans = sink.spans();
    let [first, second, called, behind] = &spans[..] else { panic!("not {spans:#?}") };
    assert_eq!((&*called.trace, &*called.parent), (TRACE, &*first.span));
    assert_eq!(called.links, [&*second.span]);
    assert_eq!((&*behind.trace, &*behind.parent), (TRACE, &*called.span));
    assert_eq!(behind.links, [""; 0]);
}

#[tokio::test]
async fn a_collector_that_does_not_answer_slows_nobody_down() {
    // The kernel takes connections in; nobody ever reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint: Endpoint = format!("http://{}", silent.local_addr().unwrap()).parse().unwrap();
    let (tracer, _exporter) = exporting(&Settings::new(endpoint));
    let back = Service::back(&tracer);
    let client = back.client();
    let many = async {
        for _ in 0..2 * QUEUE_MAX {
            assert_eq!(call(client.clone(), "/doses").await.status(), StatusCode::OK);
        }
    };
    timeout(Duration::from_secs(20), many).await.expect("answers wait for the collector");
    let metrics = chassis::metrics::Metrics::default();
    metrics.source("traces", move || std::future::ready(Ok(tracer.readings())));
    let text = metrics.render(chassis::metrics::exposition::Format::Text).await;
    let dropped =
        text.lines().find_map(|line| line.strip_prefix("anticorona_trace_spans_dropped_total "));
    let dropped: usize = dropped.unwrap().parse().unwrap();
    assert!(dropped > 0 && dropped <= QUEUE_MAX, "{dropped}");
}

#[tokio::test]
async fn a_collector_that_is_busy_for_a_moment_gets_the_spans_all_the_same() {
    let mut sink = Sink::answering(vec![StatusCode::SERVICE_UNAVAILABLE]);
    let (tracer, exporter) = exporting(&sink.settings);
    let back = Service::back(&tracer);
    back.ask("/doses", &[]).await;
    let taken = async {
        while sink.spans().is_empty() {
            yield_now().await; // The batch is on its way, and then once more.
        }
    };
    timeout(Duration::from_secs(20), taken).await.expect("the batch was tried once only");
    exporter.finish().await;
}
