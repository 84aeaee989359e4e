//! Calling another part: its trouble stays its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use chassis::{
    client::{Call, CallError, Client, Passage},
    process::Process,
};
use resilience::{
    breaker::{BreakerConfig, State},
    time::{Clock, Coarse},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
    time,
};
use tokio_util::sync::CancellationToken;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

const SHED: &str = "HTTP/1.1 503 Service Unavailable\r\nx-shed: wait\r\nretry-after: 7\r\n\
                    content-length: 0\r\n\r\n";

const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";

/// What a proxy answers that reaches nobody.
const REACHES_NOBODY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// A part of which every answer is set, and which counts what it was asked.
struct Other {
    port: u16,
    asked: Arc<AtomicU32>,
    _serving: JoinSet<()>,
}

impl Other {
    /// Answers everything so; not at all, if that is nothing.
    async fn that_says(answer: &'static str) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), answer)
    }

    fn on(listener: TcpListener, answer: &'static str) -> Self {
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<AtomicU32>::default();
        let (mut serving, count) = (JoinSet::new(), Arc::clone(&asked));
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(stream, answer, Arc::clone(&count)));
            }
        });
        Self { port, asked, _serving: serving }
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    fn client(&self, process: &Process) -> Client {
        client(self.port, process)
    }
}

async fn converse(mut stream: TcpStream, answer: &str, asked: Arc<AtomicU32>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while stream.read_exact(&mut byte).await.is_ok() {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            asked.fetch_add(1, Ordering::SeqCst);
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn process() -> Process {
    Process::new(CancellationToken::new())
}

/// Asks again so soon that a test can wait for it.
fn config() -> BreakerConfig {
    BreakerConfig {
        open_for: Duration::from_millis(20),
        open_max: Duration::from_millis(20),
        ramp: Duration::ZERO,
        ..BreakerConfig::default()
    }
}

fn client(port: u16, process: &Process) -> Client {
    let base = format!("http://127.0.0.1:{port}").parse().unwrap();
    Client::guarded("other", base, &config(), process).unwrap()
}

async fn ask(client: &Client, within: Duration) -> Result<serde_json::Value, CallError> {
    let call = Call::get("/x").unwrap();
    client.ask(call, StatusCode::OK, Instant::now() + within).await
}

#[tokio::test]
async fn a_part_that_is_down_is_left_in_peace_after_five_calls() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let process = process();
    let config = BreakerConfig { open_for: PATIENCE, open_max: PATIENCE, ..config() };
    let base = format!("http://{}", socket.local_addr().unwrap()).parse().unwrap();
    let client = Client::guarded("other", base, &config, &process).unwrap();
    for _ in 0..5 {
        assert_eq!(client.passage(), Passage::Free);
        assert!(matches!(ask(&client, PATIENCE).await, Err(CallError::Unreachable(_))));
    }
    assert!(matches!(client.passage(), Passage::Shut { .. }));
    assert!(matches!(ask(&client, PATIENCE).await, Err(CallError::Isolated { .. })));
    let breaker = process.isolation().breaker("other").unwrap();
    assert_eq!(breaker.state(Coarse.now()), State::Open);
}

#[tokio::test]
async fn a_silent_part_is_left_in_peace_after_two_calls() {
    let other = Other::that_says("").await;
    let client = other.client(&process());
    for _ in 0..2 {
        let late = ask(&client, Duration::from_millis(50)).await;
        assert!(matches!(late, Err(CallError::Unanswered(_))), "{late:?}");
    }
    assert!(matches!(client.passage(), Passage::Shut { .. }));
}

#[tokio::test]
async fn a_part_that_is_back_is_asked_by_a_few_and_then_by_all() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let process = process();
    let client = client(socket.local_addr().unwrap().port(), &process);
    while client.passage() == Passage::Free {
        ask(&client, PATIENCE).await.unwrap_err();
    }
    let _other = Other::on(socket.listen(16).unwrap(), OK);
    let start = Instant::now();
    while client.passage() != Passage::Probe {
        assert!(start.elapsed() < PATIENCE);
        time::sleep(Duration::from_millis(1)).await; // tidy: paced, looks until it may be asked again
    }
    for _ in 0..config().half_open_calls {
        assert_eq!(client.passage(), Passage::Probe);
        ask(&client, PATIENCE).await.unwrap();
    }
    assert_eq!(client.passage(), Passage::Free);
}

#[tokio::test]
async fn a_refusal_at_the_door_says_when_to_come_back_and_opens_nothing() {
    let other = Other::that_says(SHED).await;
    let client = other.client(&process());
    for _ in 0..50 {
        let refused = ask(&client, PATIENCE).await;
        let Err(CallError::Shed { after }) = refused else { panic!("{refused:?}") };
        assert_eq!(after, Duration::from_secs(7));
    }
    assert_eq!(client.passage(), Passage::Free);
}

#[tokio::test]
async fn a_part_that_is_broken_or_not_reached_by_a_proxy_is_left_in_peace() {
    for answer in [BROKEN, REACHES_NOBODY] {
        let other = Other::that_says(answer).await;
        let client = other.client(&process());
        for _ in 0..5 {
            assert_eq!(client.passage(), Passage::Free);
            assert!(matches!(ask(&client, PATIENCE).await, Err(CallError::Status(_))));
        }
        assert!(matches!(client.passage(), Passage::Shut { .. }));
    }
}

#[tokio::test]
async fn a_lone_process_is_not_asked_twice() {
    let other = Other::that_says(BROKEN).await;
    let client = other.client(&process());
    let call = Call::get("/x").unwrap().repeatable(PATIENCE);
    client.send(call, Instant::now() + PATIENCE).await.unwrap();
    assert_eq!(other.asked(), 1);
}

/// `localhost` is two addresses on most machines, and nobody listens at the other one.
#[tokio::test]
async fn of_several_addresses_one_that_is_down_costs_nobody_an_answer() {
    let other = Other::that_says(OK).await;
    let base = format!("http://localhost:{}", other.port).parse().unwrap();
    let process = process();
    let client = Client::guarded("other", base, &BreakerConfig::default(), &process).unwrap();
    for _ in 0..50 {
        ask(&client, PATIENCE).await.unwrap();
    }
    assert_eq!(other.asked(), 50);
    let named = process.isolation().breakers();
    assert!(named.iter().all(|(name, _)| name.starts_with("other-")), "{named:?}");
}

#[tokio::test]
async fn a_breaker_that_could_not_work_is_refused_with_the_name_of_the_setting() {
    let config = BreakerConfig { minimum_calls: u32::MAX, ..BreakerConfig::default() };
    let base = "http://127.0.0.1:1".parse().unwrap();
    let refused = Client::guarded("other", base, &config, &process()).unwrap_err();
    assert!(refused.to_string().contains("minimum_calls"), "{refused}");
}
