//! Listening: a port belongs to one process, every request is answered in time, and a stop loses no
//! request.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    http::Method,
    routing::{any, get},
};
use insta::assert_snapshot;
use platform_resilience::admission::Admission;
use platform_rest::{TrustedProxies, listener::Listener, runtime::Runtime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
    task::{JoinSet, yield_now},
    time::{self, timeout},
};
use tokio_util::sync::CancellationToken;

const LOCALHOST: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// How long a test waits for something that must happen.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Long enough for every response that comes at all.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// A request after which the connection is kept.
const KEEP_ALIVE: &[u8] = b"GET / HTTP/1.1\r\nhost: rest.test\r\n\r\n";

struct Service {
    address: SocketAddr,
    stop: CancellationToken,
    runtime: Runtime,
    serving: JoinSet<io::Result<()>>,
}

impl Service {
    fn start(router: Router, request_timeout: Duration) -> Self {
        Self::start_on(Listener::bind(LOCALHOST.into()).unwrap(), router, request_timeout)
    }

    fn start_on(listener: Listener, router: Router, request_timeout: Duration) -> Self {
        let (address, stop) = (listener.address(), CancellationToken::new());
        let runtime = Runtime::new("test", stop.clone());
        let mut serving = JoinSet::new();
        let served = runtime.clone();
        serving
            .spawn(async move { listener.serve("test", router, request_timeout, &served).await });
        Self { address, stop, runtime, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn request(&self, line: &str) -> String {
        self.send(&request(line)).await
    }

    async fn send(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(stream).await
    }

    /// One request on a connection that the client keeps.
    async fn keep_alive(&self) -> (TcpStream, String) {
        let mut stream = self.connect().await;
        stream.write_all(KEEP_ALIVE).await.unwrap();
        let mut response = Vec::new();
        let read = async {
            while !response.ends_with(b"hello") {
                assert!(stream.read_buf(&mut response).await.unwrap() > 0, "half a response");
            }
        };
        timeout(TIMEOUT, read).await.expect("no response");
        (stream, String::from_utf8(response).unwrap())
    }

    /// Resolves after the last response.
    async fn ended(&mut self) {
        let ended = timeout(TIMEOUT, self.serving.join_next()).await.expect("it does not end");
        ended.unwrap().unwrap().unwrap();
    }
}

/// A request after which the connection is closed.
fn request(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: rest.test\r\nconnection: close\r\n\r\n")
}

/// Everything up to the end of the connection, without the date.
async fn rest(mut stream: TcpStream) -> String {
    let mut response = String::new();
    timeout(TIMEOUT, stream.read_to_string(&mut response)).await.expect("no response").unwrap();
    response.lines().filter(|line| !line.starts_with("date")).collect::<Vec<_>>().join("\n")
}

/// Resolves when new connections are refused.
async fn closed(address: SocketAddr) {
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            yield_now().await; // The accept loops have not yet seen the stop.
        }
    };
    timeout(TIMEOUT, refused).await.expect("connections are still accepted");
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// A handler that reports each request, and answers once the token is cancelled.
fn slow() -> (Router, mpsc::Receiver<()>, CancellationToken) {
    let (arrived, arrivals) = mpsc::channel(8);
    let answer = CancellationToken::new();
    let cancelled = answer.clone();
    let handler = async move || {
        arrived.send(()).await.unwrap();
        cancelled.cancelled().await;
        "slow"
    };
    (Router::new().route("/", any(handler)), arrivals, answer)
}

#[tokio::test]
async fn a_port_that_this_process_listens_on_is_rejected_with_its_address() {
    let first = Listener::bind(LOCALHOST.into()).unwrap();
    let error = Listener::bind(first.address()).unwrap_err();
    let address = first.address().to_string();
    assert_snapshot!(error.to_string().replace(&address, "ADDRESS"), @"cannot listen on ADDRESS; --port-offset N moves every port by N");
}

#[tokio::test]
async fn a_port_that_another_program_listens_on_is_rejected_with_its_address() {
    let other = StdListener::bind(SocketAddr::from(LOCALHOST)).unwrap();
    let address = other.local_addr().unwrap();
    let error = Listener::bind(address).unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}

#[test]
fn of_two_that_bind_a_port_at_the_same_moment_exactly_one_succeeds() {
    for _ in 0..256 {
        // An address that no other test uses.
        let free = StdListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
        let start = Barrier::new(2);
        let bind = || {
            start.wait();
            Listener::bind(free).ok()
        };
        let (one, other) = thread::scope(|scope| {
            let other = scope.spawn(bind);
            (bind(), other.join().unwrap())
        });
        assert!(one.is_some() != other.is_some(), "both: {}", one.is_some());
    }
}

#[tokio::test]
async fn a_port_is_free_after_its_listener_is_dropped() {
    let first = Listener::bind(LOCALHOST.into()).unwrap();
    let address = first.address();
    drop(first);
    assert_eq!(Listener::bind(address).unwrap().address(), address);
}

#[tokio::test]
async fn connections_to_every_socket_are_answered() {
    let service = Service::start(hello(), REQUEST_TIMEOUT);
    for _ in 0..64 {
        let response = service.request("GET /").await;
        assert!(response.ends_with("\n\nhello"), "{response}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_404() {
    let service = Service::start(hello(), REQUEST_TIMEOUT);
    assert_snapshot!(service.request("GET /nothing").await, @r#"
    HTTP/1.1 404 Not Found
    content-type: application/problem+json
    cache-control: no-store
    content-length: 112
    connection: close

    {"type":"urn:anticorona:not-found","title":"There is no such thing","status":404,"detail":"nothing at /nothing"}
    "#);
}

#[tokio::test]
async fn a_client_that_repeats_wrong_requests_is_slowed_down() {
    let service = Service::start(hello(), REQUEST_TIMEOUT);
    let mut stream = service.connect().await;
    let start = Instant::now();
    let wrong = "GET /nothing HTTP/1.1\r\nhost: rest.test\r\n\r\n".repeat(20);
    stream.write_all((wrong + &request("GET /")).as_bytes()).await.unwrap();
    assert!(rest(stream).await.ends_with("\n\nhello"));
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_unsupported_method_is_a_405_with_the_supported_ones() {
    let service = Service::start(hello(), REQUEST_TIMEOUT);
    assert_snapshot!(service.request("DELETE /").await, @r#"
    HTTP/1.1 405 Method Not Allowed
    content-type: application/problem+json
    cache-control: no-store
    allow: GET,HEAD
    content-length: 167
    connection: close

    {"type":"urn:anticorona:method-not-allowed","title":"This address does not take this method","status":405,"detail":"DELETE is not possible here; see the Allow header"}
    "#);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_a_503_with_a_retry_after() {
    let (router, _arrivals, _answer) = slow();
    let service = Service::start(router, Duration::from_millis(20));
    let response = service.request("GET /").await;
    let retry_after = response.lines().find_map(|line| line.strip_prefix("retry-after: "));
    let retry_after = retry_after.unwrap();
    assert!((2..=4).contains(&retry_after.parse().unwrap()), "{retry_after}");
    assert_snapshot!(response.replace(&format!("retry-after: {retry_after}"), "retry-after: N"), @r#"
    HTTP/1.1 503 Service Unavailable
    content-type: application/problem+json
    cache-control: no-store
    retry-after: N
    connection: close
    content-length: 139

    {"type":"urn:anticorona:retry-later","title":"Please retry later","status":503,"detail":"the request was not answered within its deadline"}
    "#);
}

#[tokio::test]
async fn a_request_is_answered_within_the_time_that_its_caller_has_left() {
    let (router, _arrivals, _answer) = slow();
    let service = Service::start(router, TIMEOUT * 2);
    let head = "GET / HTTP/1.1\r\nhost: rest.test\r\nconnection: close\r\n";
    let response = service.send(&format!("{head}x-request-deadline-ms: 20\r\n\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
}

#[tokio::test]
async fn a_browser_gets_a_503_as_a_page() {
    let (router, _arrivals, _answer) = slow();
    let service = Service::start(router, Duration::from_millis(20));
    let head = "GET / HTTP/1.1\r\nhost: rest.test\r\nconnection: close\r\n";
    let response = service.send(&format!("{head}accept: text/html\r\n\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 503"), "{response}");
    assert!(response.contains("<!doctype html>"), "{response}");
}

/// A request whose body the server waits for: it has asked for it (`100 Continue`).
async fn waiting_for_body(service: &Service, headers: &str) -> TcpStream {
    let mut stream = service.connect().await;
    let head =
        format!("POST / HTTP/1.1\r\nhost: rest.test\r\nexpect: 100-continue\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut asked = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    timeout(TIMEOUT, stream.read_exact(&mut asked)).await.expect("the body is not read").unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100"));
    stream
}

/// A handler that reads the body, if nothing before it has.
fn echo() -> Router {
    Router::new().route("/", get(async || "hello").post(async |body: String| body))
}

#[tokio::test]
async fn bodies_that_never_end_take_no_capacity_whatever_their_headers_state() {
    let service = Service::start(echo(), TIMEOUT * 2);
    let mut sending = Vec::new();
    for _ in 0..8 {
        let headers = "x-items: 512\r\ntransfer-encoding: chunked\r\n";
        sending.push(waiting_for_body(&service, headers).await);
    }
    for _ in 0..16 {
        assert!(service.request("GET /").await.ends_with("\n\nhello"));
    }
}

#[tokio::test]
async fn a_request_weighs_as_many_items_as_its_body_has() {
    let (router, mut arrivals, _answer) = slow();
    let listener = Listener::bind(LOCALHOST.into()).unwrap();
    let count = |_: &Method, path: &str, body: &[u8]| if path == "/" { body.len() } else { 1 };
    let service = Service::start_on(listener.counting_items(count), router, TIMEOUT * 2);
    let mut stream = service.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: rest.test\r\ncontent-length: 300\r\n\r\n";
    stream.write_all((head.to_owned() + &"[".repeat(300)).as_bytes()).await.unwrap();
    timeout(TIMEOUT, arrivals.recv()).await.expect("it is not admitted").unwrap();
    let in_flight = |admission: &Admission| admission.snapshot().in_flight;
    assert_eq!(service.runtime.breakers.admission().map(in_flight), Some(300));
}

#[tokio::test]
async fn a_request_does_not_weigh_what_its_headers_state() {
    let (router, mut arrivals, _answer) = slow();
    let service = Service::start(router, TIMEOUT * 2);
    let mut admitted = Vec::new();
    for _ in 0..4 {
        let mut stream = service.connect().await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: rest.test\r\nx-items: 512\r\n\r\n")
            .await
            .unwrap();
        admitted.push(stream);
        timeout(TIMEOUT, arrivals.recv()).await.expect("it is not admitted").unwrap();
    }
}

#[tokio::test]
async fn a_body_whose_stated_length_is_too_large_is_refused_before_it_is_sent() {
    let service = Service::start(echo(), TIMEOUT * 2);
    let mut stream = service.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: rest.test\r\ncontent-length: 65537\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_snapshot!(rest(stream).await, @r#"
    HTTP/1.1 413 Payload Too Large
    content-type: application/problem+json
    cache-control: no-store
    connection: close
    content-length: 116

    {"type":"urn:anticorona:body-too-large","title":"The body is too large","status":413,"detail":"at most 65536 bytes"}
    "#);
}

#[tokio::test]
async fn a_body_that_is_not_sent_in_time_is_a_408() {
    let service = Service::start(echo(), TIMEOUT * 2);
    let mut stream = waiting_for_body(&service, "content-length: 4\r\n").await;
    stream.write_all(b"bod").await.unwrap();
    time::pause();
    time::advance(Duration::from_secs(2)).await;
    time::resume();
    assert_snapshot!(rest(stream).await, @r#"
    HTTP/1.1 408 Request Timeout
    content-type: application/problem+json
    cache-control: no-store
    connection: close
    content-length: 115

    {"type":"urn:anticorona:body-too-slow","title":"The body was not sent in time","status":408,"detail":"at most 2 s"}
    "#);
}

#[tokio::test]
async fn a_large_body_that_is_not_read_does_not_lose_the_response() {
    let service = Service::start(hello(), REQUEST_TIMEOUT);
    let mut stream = service.connect().await;
    let body = vec![b' '; 8 * 1024 * 1024];
    let head = format!("DELETE / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // The response comes before the body is sent, and then the connection is closed.
    drop(stream.write_all(&body).await);
    assert!(rest(stream).await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_service_ends() {
    let (router, mut arrivals, answer) = slow();
    let mut service = Service::start(router, REQUEST_TIMEOUT);
    let mut stream = service.connect().await;
    stream.write_all(request("GET /").as_bytes()).await.unwrap();
    arrivals.recv().await.unwrap();
    service.stop.cancel();
    closed(service.address).await;
    // Longer than connections may begin a request, shorter than a response may take.
    time::pause();
    time::advance(REQUEST_TIMEOUT / 2).await;
    time::resume();
    closed(service.address).await; // Meanwhile every task has seen the time.
    assert!(service.serving.try_join_next().is_none(), "it ends before the response is sent");
    answer.cancel();
    assert!(rest(stream).await.ends_with("\n\nslow"));
    service.ended().await;
}

#[tokio::test]
async fn connections_that_were_queued_before_the_stop_are_answered() {
    let mut service = Service::start(hello(), REQUEST_TIMEOUT);
    service.request("GET /").await;
    // The kernel queues these; the listener, on this same thread, cannot accept them yet.
    let queued: Vec<_> = (0..16)
        .map(|_| {
            let mut stream = StdStream::connect(service.address).unwrap();
            stream.write_all(request("GET /").as_bytes()).unwrap();
            stream.set_nonblocking(true).unwrap();
            TcpStream::from_std(stream).unwrap()
        })
        .collect();
    service.stop.cancel();
    for stream in queued {
        assert!(rest(stream).await.ends_with("\n\nhello"));
    }
    service.ended().await;
}

/// Otherwise the client's next request could meet a connection that is being closed.
#[tokio::test]
async fn the_last_response_on_a_kept_connection_says_that_it_is_closed() {
    let (router, mut arrivals, answer) = slow();
    let mut service = Service::start(router, REQUEST_TIMEOUT);
    let mut stream = service.connect().await;
    stream.write_all(KEEP_ALIVE).await.unwrap();
    arrivals.recv().await.unwrap();
    service.stop.cancel();
    closed(service.address).await;
    answer.cancel();
    let response = rest(stream).await;
    assert!(
        response.contains("\nconnection: close\n") && response.ends_with("\n\nslow"),
        "{response}"
    );
    service.ended().await;
}

/// Otherwise other clients would wait in the kernel's queue until the idle ones had gone.
#[tokio::test]
async fn keep_alive_ends_once_half_of_the_connections_are_in_use() {
    let max = 64 + thread::available_parallelism().map_or(1, usize::from);
    let listener = Listener::bind(LOCALHOST.into()).unwrap().with_connections_max(max);
    let service = Service::start_on(listener, hello(), REQUEST_TIMEOUT);
    let mut kept = Vec::new();
    for _ in 0..3 * max {
        kept.push(service.keep_alive().await);
    }
    let is_closed = |(_, response): &&(_, String)| response.contains("connection: close");
    assert!(kept.iter().take(32).find(is_closed).is_none(), "closed although few are open");
    assert!(kept.iter().skip(max).all(|it| is_closed(&it)), "kept although half are open");
}

/// As few connections as a listener can have, times two.
fn few_connections() -> (Listener, usize) {
    let max = 2 * thread::available_parallelism().map_or(1, usize::from);
    (Listener::bind(LOCALHOST.into()).unwrap().with_connections_max(max), max)
}

async fn connect_from(address: [u8; 4], service: &Service) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket.connect(service.address).await.unwrap()
}

#[tokio::test]
async fn a_request_that_is_sent_at_once_is_answered_whatever_connections_are_silent() {
    let (listener, max) = few_connections();
    let service = Service::start_on(listener, hello(), REQUEST_TIMEOUT);
    let mut silent = Vec::new();
    for _ in 0..8 * max {
        silent.push(service.connect().await);
        assert!(service.request("GET /").await.ends_with("\n\nhello"));
    }
}

#[tokio::test]
async fn a_client_that_takes_every_connection_closes_its_own() {
    let (listener, max) = few_connections();
    let service = Service::start_on(listener, hello(), REQUEST_TIMEOUT);
    let mut other = connect_from([127, 0, 0, 2], &service).await;
    let mut silent = Vec::new();
    for _ in 0..8 * max {
        silent.push(service.connect().await);
    }
    assert_eq!(rest(silent.remove(0)).await, "", "the connection that has waited longest is open");
    other.write_all(request("GET /").as_bytes()).await.unwrap();
    assert!(rest(other).await.ends_with("\n\nhello"));
}

#[tokio::test]
async fn a_request_that_is_served_keeps_its_connection() {
    let (listener, max) = few_connections();
    let (router, mut arrivals, answer) = slow();
    let service = Service::start_on(listener, router, TIMEOUT);
    let mut served = service.connect().await;
    served.write_all(request("GET /").as_bytes()).await.unwrap();
    arrivals.recv().await.unwrap();
    let mut silent = Vec::new();
    for _ in 0..8 * max {
        silent.push(service.connect().await);
    }
    rest(silent.remove(0)).await;
    answer.cancel();
    assert!(rest(served).await.ends_with("\n\nslow"));
}

/// Connections with heads of 60 KB, more than 16 MiB together.
async fn with_large_heads(service: &Service, end: &str) -> Vec<TcpStream> {
    let head = format!("GET / HTTP/1.1\r\nhost: rest.test\r\nx: {}{end}", "x".repeat(60 * 1024));
    let mut connections = Vec::new();
    for _ in 0..300 {
        let mut stream = service.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        connections.push(stream);
        assert!(service.request("GET /").await.ends_with("\n\nhello"));
    }
    connections
}

#[tokio::test]
async fn of_requests_that_arrive_in_part_the_oldest_is_refused_beyond_16_mib() {
    let service = Service::start(hello(), REQUEST_TIMEOUT);
    let mut connections = with_large_heads(&service, "").await;
    assert_snapshot!(rest(connections.remove(0)).await, @r#"
    HTTP/1.1 503 Service Unavailable
    content-type: application/problem+json
    retry-after: 2
    connection: close
    content-length: 144

    {"type":"urn:anticorona:retry-later","title":"Please retry later","status":503,"detail":"too many requests are arriving, and this one was late"}
    "#);
}

#[tokio::test]
async fn of_kept_connections_the_oldest_is_closed_beyond_16_mib() {
    let service = Service::start(hello(), REQUEST_TIMEOUT);
    let mut connections = with_large_heads(&service, "\r\n\r\n").await;
    let response = rest(connections.remove(0)).await;
    assert!(response.ends_with("\n\nhello"), "{response}");
}

#[tokio::test]
async fn connections_without_a_request_do_not_delay_the_stop() {
    let mut service = Service::start(hello(), REQUEST_TIMEOUT);
    let _unused = service.connect().await;
    let mut idle = service.connect().await;
    idle.write_all(KEEP_ALIVE).await.unwrap();
    idle.read_exact(&mut [0; 8]).await.unwrap();
    service.stop.cancel();
    service.ended().await;
}

#[tokio::test]
async fn half_a_request_does_not_delay_the_stop() {
    let mut service = Service::start(hello(), Duration::from_millis(100));
    let mut half = service.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nhost: res").await.unwrap();
    service.request("GET /").await;
    service.stop.cancel();
    service.ended().await;
}

#[tokio::test]
async fn the_head_of_a_client_may_be_smaller_than_that_between_services() {
    let edge = Listener::bind(LOCALHOST.into()).unwrap().behind(TrustedProxies::default());
    let edge = Service::start_on(edge, hello(), REQUEST_TIMEOUT);
    let service = Service::start(hello(), REQUEST_TIMEOUT);
    for (cookie, to_edge, to_service) in [(15, 200, 200), (33, 431, 200), (129, 431, 431)] {
        let request = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncookie: {}\r\n\r\n",
            "x".repeat(cookie * 1_024)
        );
        for (to, status) in [(&edge, to_edge), (&service, to_service)] {
            let mut stream = to.connect().await;
            stream.write_all(request.as_bytes()).await.unwrap();
            // The connection may be reset after the response: not all of the head was read.
            let mut response = Vec::new();
            drop(timeout(TIMEOUT, stream.read_to_end(&mut response)).await.expect("no response"));
            let response = String::from_utf8(response).unwrap();
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{cookie}: {response}");
        }
    }
}

/// hyper answers these itself, before there is a request; it offers no way to add a problem.
#[tokio::test]
async fn a_head_that_cannot_be_parsed_is_answered_without_a_body_and_the_connection_closed() {
    let service = Service::start(Router::new(), REQUEST_TIMEOUT);
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(1_000));
    for (head, status) in [("GET / HTTP/1.1\r\n: a\r\n\r\n", "400"), (&many, "431")] {
        let mut stream = service.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut response = Vec::new();
        drop(timeout(TIMEOUT, stream.read_to_end(&mut response)).await.expect("it does not end"));
        let response = String::from_utf8(response).unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(response.contains("connection: close\r\n"), "{response}");
        assert!(response.contains("content-length: 0\r\n"), "{response}");
    }
}
