//! Listening: a port is taken by one, every request is answered in time, and stopping loses nobody.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::{
    io::{self, Write},
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    sync::Barrier,
    thread,
    time::Duration,
};

use axum::{Router, routing::get};
use chassis::{listen::Listener, process::Process};
use insta::assert_snapshot;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    task::{JoinSet, yield_now},
    time::{self, timeout},
};
use tokio_util::sync::CancellationToken;

const LOCALHOST: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(5);

/// Long enough for every answer that comes at all.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinSet<io::Result<()>>,
}

impl Served {
    fn start(router: Router, answer_within: Duration) -> Self {
        Self::start_on(Listener::bind(LOCALHOST.into()).unwrap(), router, answer_within)
    }

    fn start_on(listener: Listener, router: Router, answer_within: Duration) -> Self {
        let (address, stop) = (listener.address(), CancellationToken::new());
        let process = Process::new(stop.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { listener.serve("test", router, answer_within, &process).await });
        Self { address, stop, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ask(&self, line: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request(line).as_bytes()).await.unwrap();
        rest(stream).await
    }

    /// Asks once on a connection that is kept, as far as the other side keeps it too.
    async fn keep(&self) -> (TcpStream, String) {
        let mut stream = self.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: chassis.test\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let read = async {
            while !answer.ends_with(b"hello") {
                assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "half an answer");
            }
        };
        timeout(PATIENCE, read).await.expect("no answer");
        (stream, String::from_utf8(answer).unwrap())
    }

    /// Resolves when the last answer is out.
    async fn ended(&mut self) {
        let ended = timeout(PATIENCE, self.serving.join_next()).await.expect("it does not end");
        ended.unwrap().unwrap().unwrap();
    }
}

/// A request after which the connection ends.
fn request(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: chassis.test\r\nconnection: close\r\n\r\n")
}

/// Everything up to the end of the connection, without the date.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("no answer").unwrap();
    answer.lines().filter(|line| !line.starts_with("date")).collect::<Vec<_>>().join("\n")
}

/// Resolves when new connections are refused.
async fn closed(address: SocketAddr) {
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            yield_now().await; // The stop is on its way to the loops that accept.
        }
    };
    timeout(PATIENCE, refused).await.expect("the door stays open");
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// Says when a request has come, and answers it when told.
fn slow() -> (Router, mpsc::Receiver<()>, CancellationToken) {
    let (come, has_come) = mpsc::channel(8);
    let answer = CancellationToken::new();
    let told = answer.clone();
    let handler = async move || {
        come.send(()).await.unwrap();
        told.cancelled().await;
        "slow"
    };
    (Router::new().route("/", get(handler)), has_come, answer)
}

#[tokio::test]
async fn a_port_that_we_listen_on_already_is_refused_by_name() {
    let first = Listener::bind(LOCALHOST.into()).unwrap();
    let refused = Listener::bind(first.address()).unwrap_err();
    let address = first.address().to_string();
    assert_snapshot!(refused.to_string().replace(&address, "ADDRESS"), @"cannot listen on ADDRESS; --port-offset N moves every port by N");
}

#[tokio::test]
async fn a_port_that_somebody_else_listens_on_is_refused_by_name() {
    let other = StdListener::bind(SocketAddr::from(LOCALHOST)).unwrap();
    let address = other.local_addr().unwrap();
    let refused = Listener::bind(address).unwrap_err().to_string();
    assert!(refused.contains(&address.to_string()), "{refused}");
}

#[test]
fn a_port_that_two_want_at_once_goes_to_one() {
    for _ in 0..256 {
        // An address that no other test chooses from.
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
async fn a_port_is_free_again_after_its_listener_is_gone() {
    let first = Listener::bind(LOCALHOST.into()).unwrap();
    let address = first.address();
    drop(first);
    assert_eq!(Listener::bind(address).unwrap().address(), address);
}

#[tokio::test]
async fn every_connection_is_answered_whichever_socket_it_reaches() {
    let served = Served::start(hello(), ANSWER_WITHIN);
    for _ in 0..64 {
        let answer = served.ask("GET /").await;
        assert!(answer.ends_with("\n\nhello"), "{answer}");
    }
}

#[tokio::test]
async fn an_address_where_nothing_is_says_so() {
    let served = Served::start(hello(), ANSWER_WITHIN);
    assert_snapshot!(served.ask("GET /nothing").await, @r#"
    HTTP/1.1 404 Not Found
    content-type: application/problem+json
    content-length: 112
    connection: close

    {"type":"urn:anticorona:not-found","title":"There is no such thing","status":404,"detail":"nothing at /nothing"}
    "#);
}

#[tokio::test]
async fn a_method_that_is_not_taken_is_answered_with_those_that_are() {
    let served = Served::start(hello(), ANSWER_WITHIN);
    assert_snapshot!(served.ask("DELETE /").await, @r#"
    HTTP/1.1 405 Method Not Allowed
    content-type: application/problem+json
    allow: GET,HEAD
    content-length: 167
    connection: close

    {"type":"urn:anticorona:method-not-allowed","title":"This address does not take this method","status":405,"detail":"DELETE is not possible here; see the Allow header"}
    "#);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_all_the_same() {
    let (router, _has_come, _answer) = slow();
    let served = Served::start(router, Duration::from_millis(20));
    assert_snapshot!(served.ask("GET /").await, @r#"
    HTTP/1.1 503 Service Unavailable
    content-type: application/problem+json
    retry-after: 3
    connection: close
    content-length: 143

    {"type":"urn:anticorona:come-back-later","title":"Please come back later","status":503,"detail":"no answer within the time that a request has"}
    "#);
}

#[tokio::test]
async fn a_large_body_that_nobody_reads_does_not_lose_the_answer() {
    let served = Served::start(hello(), ANSWER_WITHIN);
    let mut stream = served.connect().await;
    let body = vec![b' '; 8 * 1024 * 1024];
    let head = format!("DELETE / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    // The answer comes before the body is sent, and then the door is shut.
    drop(stream.write_all(&body).await);
    assert!(rest(stream).await.starts_with("HTTP/1.1 405"));
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_process_ends() {
    let (router, mut has_come, answer) = slow();
    let mut served = Served::start(router, ANSWER_WITHIN);
    let mut stream = served.connect().await;
    stream.write_all(request("GET /").as_bytes()).await.unwrap();
    has_come.recv().await.unwrap();
    served.stop.cancel();
    closed(served.address).await;
    // Longer than connections may still begin a request, shorter than an answer may take.
    time::pause();
    time::advance(ANSWER_WITHIN / 2).await;
    time::resume();
    closed(served.address).await; // Meanwhile everybody has seen the time.
    assert!(served.serving.try_join_next().is_none(), "it ends before the answer is out");
    answer.cancel();
    assert!(rest(stream).await.ends_with("\n\nslow"));
    served.ended().await;
}

#[tokio::test]
async fn who_connected_just_before_the_stop_is_answered() {
    let mut served = Served::start(hello(), ANSWER_WITHIN);
    served.ask("GET /").await;
    // The kernel takes these in while the server, on this same thread, cannot see them.
    let early: Vec<_> = (0..16)
        .map(|_| {
            let mut stream = StdStream::connect(served.address).unwrap();
            stream.write_all(request("GET /").as_bytes()).unwrap();
            stream.set_nonblocking(true).unwrap();
            TcpStream::from_std(stream).unwrap()
        })
        .collect();
    served.stop.cancel();
    for stream in early {
        assert!(rest(stream).await.ends_with("\n\nhello"));
    }
    served.ended().await;
}

/// Else its next request might be on its way into a connection that is just being closed.
#[tokio::test]
async fn who_keeps_the_connection_is_told_with_the_answer_that_it_was_the_last() {
    let (router, mut has_come, answer) = slow();
    let mut served = Served::start(router, ANSWER_WITHIN);
    let mut stream = served.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: chassis.test\r\n\r\n").await.unwrap();
    has_come.recv().await.unwrap();
    served.stop.cancel();
    closed(served.address).await;
    answer.cancel();
    let answered = rest(stream).await;
    assert!(
        answered.contains("\nconnection: close\n") && answered.ends_with("\n\nslow"),
        "{answered}"
    );
    served.ended().await;
}

#[tokio::test]
async fn who_comes_after_the_stop_is_refused_while_others_are_still_answered() {
    let (router, mut has_come, answer) = slow();
    let mut served = Served::start(router, ANSWER_WITHIN);
    let mut stream = served.connect().await;
    stream.write_all(request("GET /").as_bytes()).await.unwrap();
    has_come.recv().await.unwrap();
    served.stop.cancel();
    closed(served.address).await;
    answer.cancel();
    assert!(rest(stream).await.ends_with("\n\nslow"));
    served.ended().await;
}

/// Else everybody else would wait in the kernel's queue until the silent ones had gone.
#[tokio::test]
async fn those_who_keep_a_connection_and_are_silent_leave_places_for_others() {
    let places = 64 + thread::available_parallelism().map_or(1, usize::from);
    let listener = Listener::bind(LOCALHOST.into()).unwrap().at_most(places);
    let served = Served::start_on(listener, hello(), ANSWER_WITHIN);
    let mut kept = Vec::new();
    for _ in 0..3 * places {
        kept.push(served.keep().await);
    }
    let is_last = |(_, answer): &&(_, String)| answer.contains("connection: close");
    assert!(kept.iter().take(32).find(is_last).is_none(), "there are places enough");
    assert!(kept.iter().skip(places).all(|it| is_last(&it)), "half of the places stay free");
}

#[tokio::test]
async fn connections_without_a_request_do_not_hold_up_the_stop() {
    let mut served = Served::start(hello(), ANSWER_WITHIN);
    let _silent = served.connect().await;
    let mut kept = served.connect().await;
    kept.write_all(b"GET / HTTP/1.1\r\nhost: chassis.test\r\n\r\n").await.unwrap();
    kept.read_exact(&mut [0; 8]).await.unwrap();
    served.stop.cancel();
    served.ended().await;
}

#[tokio::test]
async fn half_a_request_does_not_hold_up_the_stop() {
    let mut served = Served::start(hello(), Duration::from_millis(100));
    let mut half = served.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nhost: chas").await.unwrap();
    served.ask("GET /").await;
    served.stop.cancel();
    served.ended().await;
}
