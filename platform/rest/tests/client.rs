//! Calling another service: errors, retries and circuits.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use platform_resilience::{
    breaker::{BreakerConfig, State},
    time::Coarse,
};
use platform_rest::{
    client::{Call, CallError, CircuitState, Client},
    runtime::Runtime,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    join,
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinSet, yield_now},
    time,
};
use tokio_util::sync::CancellationToken;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

const SHED: &str = "HTTP/1.1 503 Service Unavailable\r\nx-shed: wait\r\nretry-after: 7\r\n\
                    content-length: 0\r\n\r\n";

const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";

/// The response of a proxy that reaches no endpoint.
const PROXY_503: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// How long a test waits for something that must happen.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A service that answers every request with the same text, and counts the requests.
struct Upstream {
    port: u16,
    requests: Arc<AtomicU32>,
    _serving: JoinSet<()>,
}

impl Upstream {
    /// An empty response is none.
    async fn answering(response: &'static str) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), response)
    }

    fn on(listener: TcpListener, response: &'static str) -> Self {
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::<AtomicU32>::default();
        let (mut serving, count) = (JoinSet::new(), Arc::clone(&requests));
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, response, Arc::clone(&count)));
            }
        });
        Self { port, requests, _serving: serving }
    }

    fn requests(&self) -> u32 {
        self.requests.load(Ordering::SeqCst)
    }

    fn client(&self, runtime: &Runtime) -> Client {
        client(self.port, runtime)
    }
}

async fn answer(mut stream: TcpStream, response: &str, requests: Arc<AtomicU32>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while stream.read_exact(&mut byte).await.is_ok() {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            requests.fetch_add(1, Ordering::SeqCst);
            if stream.write_all(response.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn runtime() -> Runtime {
    Runtime::new("test", CancellationToken::new())
}

/// Its circuit is open for a time that a test can wait for.
fn config() -> BreakerConfig {
    BreakerConfig {
        open_for: Duration::from_millis(20),
        open_max: Duration::from_millis(20),
        ramp: Duration::ZERO,
        ..BreakerConfig::default()
    }
}

/// An open circuit stays open for longer than a test.
const OPEN: Duration = Duration::from_mins(1);

fn client(port: u16, runtime: &Runtime) -> Client {
    client_with(port, config().open_for, runtime)
}

/// A client whose circuit, once open, stays so for that time.
fn client_with(port: u16, open_for: Duration, runtime: &Runtime) -> Client {
    let config = BreakerConfig { open_for, open_max: open_for, ..config() };
    let base = format!("http://127.0.0.1:{port}").parse().unwrap();
    Client::guarded("upstream", base, &config, runtime).unwrap()
}

/// A bound port that refuses connections.
fn refusing() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

async fn get(client: &Client, within: Duration) -> Result<serde_json::Value, CallError> {
    client.get("/x", within).await
}

#[tokio::test]
async fn the_circuit_opens_after_five_unreachable_calls() {
    let (_socket, port) = refusing();
    let runtime = runtime();
    let client = client_with(port, OPEN, &runtime);
    for _ in 0..5 {
        assert_eq!(client.circuit_state(), CircuitState::Closed);
        assert!(matches!(get(&client, TIMEOUT).await, Err(CallError::Unreachable(_))));
    }
    assert!(matches!(client.circuit_state(), CircuitState::Open { .. }));
    assert!(matches!(get(&client, TIMEOUT).await, Err(CallError::CircuitOpen { .. })));
    let breaker = runtime.breakers.breakers().remove("upstream").unwrap();
    assert_eq!(breaker.state(Coarse.now()), State::Open);
}

/// Makes a call that the upstream does not answer in that time, which passes at once.
async fn call_in_vain(upstream: &Upstream, client: &Client, within: Duration) {
    let before = upstream.requests();
    let clock = async {
        while upstream.requests() == before {
            yield_now().await;
        }
        time::pause();
        time::advance(within).await;
        time::resume();
    };
    let (late, ()) = join!(get(client, within), clock);
    assert!(matches!(late, Err(CallError::NoResponse(_))), "{late:?}");
}

#[tokio::test]
async fn the_circuit_opens_after_two_timeouts() {
    let upstream = Upstream::answering("").await;
    let client = client_with(upstream.port, OPEN, &runtime());
    for _ in 0..2 {
        assert_eq!(client.circuit_state(), CircuitState::Closed);
        call_in_vain(&upstream, &client, TIMEOUT).await;
    }
    assert!(matches!(client.circuit_state(), CircuitState::Open { .. }));
}

/// Otherwise a client that sends its body slowly, or states a short time, could open the circuit.
#[tokio::test]
async fn calls_that_had_no_useful_time_left_open_no_circuit() {
    let upstream = Upstream::answering("").await;
    let client = client_with(upstream.port, OPEN, &runtime());
    for _ in 0..20 {
        call_in_vain(&upstream, &client, Duration::from_millis(400)).await;
        assert_eq!(client.circuit_state(), CircuitState::Closed);
    }
}

#[tokio::test]
async fn a_response_that_is_too_large_opens_no_circuit() {
    let large = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1024 * 1024 + 1);
    let large = (large + &" ".repeat(1024 * 1024 + 1)).leak();
    let upstream = Upstream::answering(large).await;
    let client = client_with(upstream.port, OPEN, &runtime());
    for _ in 0..20 {
        let result = get(&client, TIMEOUT).await;
        assert!(result.is_err());
        assert_eq!(client.circuit_state(), CircuitState::Closed);
    }
}

#[tokio::test]
async fn a_service_that_is_back_gets_a_few_probes_and_then_all_calls() {
    let (socket, port) = refusing();
    let client = client(port, &runtime());
    while client.circuit_state() == CircuitState::Closed {
        get(&client, TIMEOUT).await.unwrap_err();
    }
    let _upstream = Upstream::on(socket.listen(16).unwrap(), OK);
    let start = Instant::now();
    while client.circuit_state() != CircuitState::HalfOpen {
        assert!(start.elapsed() < TIMEOUT);
        yield_now().await;
    }
    for _ in 0..config().half_open_calls {
        assert_eq!(client.circuit_state(), CircuitState::HalfOpen);
        get(&client, TIMEOUT).await.unwrap();
    }
    assert_eq!(client.circuit_state(), CircuitState::Closed);
}

#[tokio::test]
async fn a_shed_call_says_when_to_retry_and_opens_no_circuit() {
    let upstream = Upstream::answering(SHED).await;
    let client = upstream.client(&runtime());
    for _ in 0..50 {
        let shed = get(&client, TIMEOUT).await;
        let Err(CallError::Shed { retry_after }) = shed else { panic!("{shed:?}") };
        assert_eq!(retry_after, Duration::from_secs(7));
    }
    assert_eq!(client.circuit_state(), CircuitState::Closed);
}

#[tokio::test]
async fn server_errors_and_503s_of_a_proxy_open_the_circuit() {
    for response in [BROKEN, PROXY_503] {
        let upstream = Upstream::answering(response).await;
        let client = upstream.client(&runtime());
        for _ in 0..5 {
            assert_eq!(client.circuit_state(), CircuitState::Closed);
            assert!(matches!(get(&client, TIMEOUT).await, Err(CallError::Status(_))));
        }
        assert!(matches!(client.circuit_state(), CircuitState::Open { .. }));
    }
}

#[tokio::test]
async fn a_call_to_the_only_endpoint_is_not_retried() {
    let upstream = Upstream::answering(BROKEN).await;
    let client = upstream.client(&runtime());
    let call = Call::get("/x").unwrap().idempotent(TIMEOUT);
    let response = client.send(call, Instant::now() + TIMEOUT).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(upstream.requests(), 1);
}

/// `localhost` has two addresses on most machines, of which one refuses connections.
#[tokio::test]
async fn with_several_endpoints_one_that_is_down_fails_no_call() {
    let upstream = Upstream::answering(OK).await;
    let base = format!("http://localhost:{}", upstream.port).parse().unwrap();
    let runtime = runtime();
    let client = Client::guarded("upstream", base, &BreakerConfig::default(), &runtime).unwrap();
    for _ in 0..50 {
        get(&client, TIMEOUT).await.unwrap();
    }
    assert_eq!(upstream.requests(), 50);
    let breakers = runtime.breakers.breakers();
    assert!(breakers.keys().all(|name| name.starts_with("upstream-")), "{breakers:?}");
}

#[tokio::test]
async fn a_wrong_breaker_setting_is_rejected_with_its_name() {
    let config = BreakerConfig { minimum_calls: u32::MAX, ..BreakerConfig::default() };
    let base = "http://127.0.0.1:1".parse().unwrap();
    let error = Client::guarded("upstream", base, &config, &runtime()).unwrap_err();
    assert!(error.to_string().contains("minimum_calls"), "{error}");
}
