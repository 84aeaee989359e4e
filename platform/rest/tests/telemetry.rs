//! Traces and metrics of listener and client, over real connections.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, Request, StatusCode},
    routing::{get, post},
};
use platform_rest::{
    client::{Call, CallError, Client},
    listener::Listener,
    runtime::Runtime,
};
use platform_telemetry::{
    metrics::{self, Metrics},
    trace::{Tracer, export::Exporter, settings::TraceSettings},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    task::{JoinSet, yield_now},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

const TIMEOUT: Duration = Duration::from_secs(5);

struct Service {
    address: SocketAddr,
    _serving: JoinSet<io::Result<()>>,
}

impl Service {
    fn start(router: Router, tracer: &Tracer) -> Self {
        let mut runtime = Runtime::new("test", CancellationToken::new());
        runtime.tracer = tracer.clone();
        Self::start_on(router, runtime)
    }

    fn start_on(router: Router, runtime: Runtime) -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.address();
        let mut serving = JoinSet::new();
        serving.spawn(async move { listener.serve("test", router, TIMEOUT, &runtime).await });
        Self { address, _serving: serving }
    }

    fn client(&self) -> Client {
        client(&self.address.to_string())
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> String {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let call = Call::of(request.body(Bytes::new()).unwrap());
        let response = self.client().send(call, Instant::now() + TIMEOUT).await.unwrap();
        String::from_utf8(response.into_body().to_vec()).unwrap()
    }

    /// Sends a request without waiting for its response.
    async fn send(&self, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Scrapes until that line is there: a connection ends some time after its client closed it.
    async fn wait_for_metric(&self, line: &str) {
        let shown = async {
            while !self.get("/actuator/prometheus", &[]).await.lines().any(|it| it == line) {
                yield_now().await;
            }
        };
        timeout(TIMEOUT, shown).await.expect(line);
    }
}

fn client(authority: &str) -> Client {
    Client::new(format!("http://{authority}").parse().unwrap())
}

/// Keeps the bodies of the exports that it receives.
struct Collector {
    service: Service,
    exports: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    fn start() -> Self {
        let exports = Arc::<Mutex<Vec<u8>>>::default();
        let received = Arc::clone(&exports);
        let accept = async move |body: Bytes| received.lock().unwrap().extend_from_slice(&body);
        let service =
            Service::start(Router::new().route("/v1/traces", post(accept)), &Tracer::default());
        Self { service, exports }
    }

    fn exporter(&self) -> Exporter {
        let endpoint = format!("http://{}/v1/traces", self.service.address);
        Exporter::start(TraceSettings::new(endpoint.parse().unwrap())).unwrap()
    }

    fn received(&self, bytes: &str) -> bool {
        let exports = self.exports.lock().unwrap();
        exports.windows(bytes.len()).any(|window| window == bytes.as_bytes())
    }
}

/// How protobuf encodes a short attribute: `KeyValue { key: 1, value: 2 { string_value: 1 } }`.
fn attribute(key: &str, value: &str) -> String {
    let length = |text: &str| char::from(u8::try_from(text.len()).unwrap());
    let value = format!("\n{}{value}", length(value));
    format!("\n{}{key}\x12{}{value}", length(key), length(&value))
}

/// A handler that never answers, and reports when it begins and when it is dropped.
fn never() -> (Router, mpsc::Receiver<()>, mpsc::Receiver<()>) {
    struct OnDrop(mpsc::Sender<()>);

    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.try_send(()).unwrap();
        }
    }

    let (start, started) = mpsc::channel(1);
    let (end, ended) = mpsc::channel(1);
    let handler = async move || {
        let _end = OnDrop(end.clone());
        start.send(()).await.unwrap();
        pending::<()>().await;
    };
    (Router::new().route("/never", get(handler)), started, ended)
}

#[tokio::test]
async fn a_request_whose_client_disconnects_is_a_cancelled_span() {
    let collector = Collector::start();
    let exporter = collector.exporter();
    let (router, mut started, mut ended) = never();
    let service = Service::start(router, &exporter.tracer("slow"));
    let stream = service.send("/never").await;
    started.recv().await.unwrap();
    drop(stream);
    timeout(TIMEOUT, ended.recv()).await.expect("the handler is not dropped");
    exporter.shutdown().await;
    assert!(collector.received("GET /never"));
    assert!(collector.received(&attribute("error.type", "cancelled")));
}

#[tokio::test]
async fn open_connections_requests_in_flight_and_cancelled_requests_are_metrics() {
    let runtime = Runtime::new("test", CancellationToken::new());
    let (router, mut started, _ended) = never();
    let metrics: Metrics = runtime.metrics.clone();
    let service = Service::start_on(router.merge(metrics::router(metrics)), runtime);
    // The scrape itself is one of them.
    service.wait_for_metric("anticorona_http_requests_in_flight 1").await;
    let stream = service.send("/never").await;
    started.recv().await.unwrap();
    service.wait_for_metric("anticorona_http_requests_in_flight 2").await;
    service.wait_for_metric("anticorona_http_connections_open 2").await;
    drop(stream);
    service.wait_for_metric("anticorona_http_requests_in_flight 1").await;
    service.wait_for_metric("anticorona_http_connections_open 1").await;
    service.wait_for_metric("anticorona_http_requests_cancelled_total 1").await;
}

/// A service that answers with the response of a call to another one, which is the trace headers
/// that it received.
fn two_services(front: &Tracer, back: &Tracer) -> (Service, Service) {
    let received = async |headers: HeaderMap| {
        let value = |name| headers.get(name).map_or("", |value| value.to_str().unwrap());
        format!("{} {}", value("traceparent"), value("tracestate"))
    };
    let back = Service::start(Router::new().route("/doses", get(received)), back);
    let client = back.client();
    let call = async move || {
        let call = Call::get("/doses").unwrap();
        client.send(call, Instant::now() + TIMEOUT).await.unwrap().into_body()
    };
    let front = Service::start(Router::new().route("/bookings/{id}", get(call)), front);
    (front, back)
}

#[tokio::test]
async fn a_call_carries_the_trace_of_the_request_that_makes_it() {
    let given = [("traceparent", GIVEN), ("tracestate", "them=1")];
    let off = Tracer::default();
    let (front, _back) = two_services(&off, &off);
    assert_eq!(front.get("/bookings/1", &given).await, format!("{GIVEN} them=1"));

    let collector = Collector::start();
    let exporter = collector.exporter();
    let (front, _back) = two_services(&exporter.tracer("front"), &exporter.tracer("back"));
    let received = front.get("/bookings/1", &given).await;
    exporter.shutdown().await;
    assert!(received.starts_with(&format!("00-{TRACE}-")), "{received}");
    assert!(!received.starts_with(GIVEN), "the parent is the span of the call: {received}");
    assert!(collector.received("GET /bookings/{id}") && collector.received("GET /doses"));
    assert!(collector.received(&attribute("server.address", "127.0.0.1")));
}

/// A server that reads a request and closes the connection.
async fn closing() -> (JoinSet<()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            drop(stream.read(&mut [0; 1024]).await);
        }
    });
    (serving, authority)
}

#[tokio::test]
async fn the_error_of_a_call_is_the_error_type_of_its_span() {
    let refusing = TcpSocket::new_v4().unwrap();
    refusing.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let unreachable = client(&refusing.local_addr().unwrap().to_string());
    let (_serving, authority) = closing().await;
    let closed = client(&authority);
    // The kernel accepts connections to it; no task reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let late = client(&silent.local_addr().unwrap().to_string());
    let calls = async move || {
        let call = async |client: &Client, within| client.get::<()>("/", within).await;
        let result = call(&unreachable, TIMEOUT).await;
        assert!(matches!(result, Err(CallError::Unreachable(_))), "{result:?}");
        let result = call(&closed, TIMEOUT).await;
        assert!(matches!(result, Err(CallError::NoResponse(_))), "{result:?}");
        let result = call(&late, Duration::from_millis(20)).await;
        assert!(matches!(result, Err(CallError::NoResponse(_))), "{result:?}");
        StatusCode::NO_CONTENT
    };
    let collector = Collector::start();
    let exporter = collector.exporter();
    let service = Service::start(Router::new().route("/", get(calls)), &exporter.tracer("front"));
    service.get("/", &[]).await;
    exporter.shutdown().await;
    for error in ["unreachable", "no_response", "timeout"] {
        assert!(collector.received(&attribute("error.type", error)), "{error}");
    }
}
