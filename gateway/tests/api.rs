//! What the edge passes on, what it keeps inside, and what it says for parts that cannot.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

#[path = "edge/part.rs"]
mod part;
#[path = "api/swagger_ui.rs"]
mod swagger_ui;

use std::{net::SocketAddr, time::Duration};

use chassis::{listen::Listener, process::Process};
use gateway::Config;
use insta::assert_snapshot;
use part::{
    Part,
    Then::{self, Answers, Closes, Hangs},
};
use resilience::breaker::BreakerConfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    join,
    net::TcpStream,
    task::JoinSet,
    time::{self, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(10);

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";

struct Edge {
    address: SocketAddr,
    vaccine: Part,
    booking: Part,
    injection: Part,
    mypage: Part,
    _serving: JoinSet<()>,
}

impl Edge {
    /// Before parts that all do the same.
    fn with(then: Then) -> Self {
        Self::before(Part::that(then), [Part::that(then), Part::that(then), Part::that(then)])
    }

    /// Before bookings, and vaccine, injection and mypage.
    fn before(booking: Part, others: [Part; 3]) -> Self {
        let [vaccine, injection, mypage] = others;
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        let config = Config {
            listen: address,
            vaccine: vaccine.url(),
            booking: booking.url(),
            breaker: BreakerConfig::default(),
            injection: Some(injection.url()),
            mypage: Some(mypage.url()),
        };
        let process = Process::new(CancellationToken::new());
        let mut serving = JoinSet::new();
        serving.spawn(async { gateway::serve_on(listener, config, process).await.unwrap() });
        Self { address, vaccine, booking, injection, mypage, _serving: serving }
    }

    /// Sends a request with these lines after the first, and reads everything that comes back.
    async fn ask(&self, line: &str, headers: &str, body: &str) -> String {
        self.send(&format!("{line} HTTP/1.1\r\nhost: edge.test\r\n{headers}\r\n"), body).await
    }

    /// The same, head and all.
    async fn send(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream.write_all(body.as_bytes()).await); // Refused bodies are not read to the end.
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("no answer").unwrap();
        let answer = String::from_utf8_lossy(&answer);
        answer.lines().filter(|line| !line.starts_with("date")).collect::<Vec<_>>().join("\n")
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path}"), CLOSE, "").await
    }

    async fn post(&self, path: &str, body: &str) -> String {
        let headers = format!("{CLOSE}content-length: {}\r\n", body.len());
        self.ask(&format!("POST {path}"), &headers, body).await
    }

    fn nobody_was_asked(&self) {
        assert_eq!(self.asked(), 0);
    }

    /// Requests that came to any part.
    fn asked(&self) -> usize {
        let parts = [&self.vaccine, &self.booking, &self.injection, &self.mypage];
        parts.map(|part| part.asked().len()).iter().sum()
    }
}

const CLOSE: &str = "connection: close\r\n";

#[tokio::test]
async fn a_request_is_passed_on_as_it_is() {
    let edge = Edge::with(Answers(OK));
    let headers = "connection: close\r\ncontent-type: application/json\r\nidempotency-key: a\r\n\
                   x-forwarded-proto: https\r\ncontent-length: 14\r\n";
    edge.ask("PATCH /bookings/7?a=%2F&b=", headers, r#"{"status":"X"}"#).await;
    assert_snapshot!(edge.booking.asked().concat(), @r#"
    PATCH /bookings/7?a=%2F&b= HTTP/1.1
    host: edge.test
    x-forwarded-proto: https
    content-type: application/json
    idempotency-key: a
    content-length: 14

    {"status":"X"}
    "#);
    assert_eq!(edge.vaccine.asked().len(), 0);
}

#[tokio::test]
async fn the_part_is_told_how_much_time_is_left_and_never_more_than_three_seconds() {
    for (said, most) in [
        ("", 2_900),
        ("x-request-deadline-ms: 900\r\n", 800),
        ("x-request-deadline-ms: 9000\r\n", 2_900),
    ] {
        let edge = Edge::with(Answers(OK));
        edge.ask("GET /bookings/7", &format!("{CLOSE}{said}"), "").await;
        let left = edge.booking.time_left_ms();
        assert!((most / 2..=most).contains(&left), "{said}: {left}");
    }
}

#[tokio::test]
async fn an_answer_comes_back_as_it_is() {
    let edge = Edge::with(Answers(
        "HTTP/1.1 409 Conflict\r\nlocation: http://edge.test/vaccines/1\r\nretry-after: 7\r\n\
         content-type: application/problem+json\r\ncontent-length: 2\r\n\r\n{}",
    ));
    assert_snapshot!(edge.get("/vaccines/1").await, @r"
    HTTP/1.1 409 Conflict
    location: http://edge.test/vaccines/1
    retry-after: 7
    content-type: application/problem+json
    content-length: 2
    connection: close

    {}
    ");
}

#[tokio::test]
async fn every_collection_has_its_part() {
    let edge = Edge::with(Answers(OK));
    for path in [
        "/vaccines",
        "/vaccines?page=1",
        "/vaccines/1",
        "/bookings",
        "/bookings/1",
        "/tickets/3f2504e0-4f89-81d3-9a0c-0305e82c3301",
        "/injections/1",
        "/injections/search/findByBookingId?bookingId=1",
        "/cancellations",
        "/mypages/1",
        "/mypages/search/findByUserId?userId=5",
    ] {
        assert!(edge.get(path).await.ends_with("\n\nfine"), "{path}");
    }
    let paths = |part: &Part| {
        let asked = part.asked();
        asked.iter().map(|text| text.split(' ').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(paths(&edge.vaccine), ["/vaccines", "/vaccines?page=1", "/vaccines/1"]);
    assert_eq!(
        paths(&edge.booking),
        ["/bookings", "/bookings/1", "/tickets/3f2504e0-4f89-81d3-9a0c-0305e82c3301"]
    );
    assert_eq!(
        paths(&edge.injection),
        ["/injections/1", "/injections/search/findByBookingId?bookingId=1", "/cancellations"]
    );
    assert_eq!(paths(&edge.mypage), ["/mypages/1", "/mypages/search/findByUserId?userId=5"]);
}

#[tokio::test]
async fn what_belongs_to_one_connection_is_not_passed_on() {
    let edge = Edge::with(Answers(
        "HTTP/1.1 200 OK\r\nconnection: x-theirs\r\nx-theirs: 1\r\nkeep-alive: timeout=5\r\n\
         x-kept: 2\r\ncontent-length: 0\r\n\r\n",
    ));
    let headers = "connection: close, X-Mine\r\nx-mine: 1\r\nkeep-alive: timeout=5\r\n\
                   te: trailers\r\nproxy-connection: close\r\nupgrade: h2c\r\nx-kept: 2\r\n";
    assert_snapshot!(edge.ask("GET /bookings", headers, "").await, @r"
    HTTP/1.1 200 OK
    x-kept: 2
    connection: close
    content-length: 0
    ");
    assert_snapshot!(edge.booking.asked().concat(), @r"
    GET /bookings HTTP/1.1
    host: edge.test
    x-kept: 2
    ");
}

#[tokio::test]
async fn a_body_in_chunks_is_passed_on_whole() {
    let edge = Edge::with(Answers(OK));
    let headers = "connection: close\r\ntransfer-encoding: chunked\r\n";
    edge.ask("POST /bookings", headers, "2\r\n{\"\r\n4\r\na\":1\r\n1\r\n}\r\n0\r\n\r\n").await;
    assert_snapshot!(edge.booking.asked().concat(), @r#"
    POST /bookings HTTP/1.1
    host: edge.test
    content-length: 7

    {"a":1}
    "#);
}

#[tokio::test]
async fn an_answer_without_a_body_keeps_the_length_that_it_speaks_of() {
    let edge = Edge::with(Answers("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"));
    assert_snapshot!(edge.ask("HEAD /bookings/1", CLOSE, "").await, @r"
    HTTP/1.1 200 OK
    content-length: 4
    connection: close
    ");
}

#[tokio::test]
async fn a_part_that_is_down_is_answered_for() {
    let fine = || Part::that(Answers(OK));
    let edge = Edge::before(Part::that_is_down(), [fine(), fine(), fine()]);
    assert_snapshot!(edge.post("/bookings", "{}").await, @r#"
    HTTP/1.1 503 Service Unavailable
    content-type: application/problem+json
    retry-after: 3
    content-length: 154
    connection: close

    {"type":"urn:anticorona:come-back-later","title":"Please come back later","status":503,"detail":"nothing has happened; the part behind cannot be reached"}
    "#);
    assert!(edge.get("/vaccines").await.ends_with("\n\nfine"));
}

#[tokio::test]
async fn a_part_that_gives_no_answer_is_not_asked_again() {
    let edge = Edge::with(Closes(""));
    assert_snapshot!(edge.post("/bookings", "{}").await, @r#"
    HTTP/1.1 503 Service Unavailable
    content-type: application/problem+json
    retry-after: 3
    content-length: 162
    connection: close

    {"type":"urn:anticorona:come-back-later","title":"Please come back later","status":503,"detail":"it may or may not have happened; the part behind gave no answer"}
    "#);
    assert_eq!(edge.booking.asked().len(), 1);
}

#[tokio::test]
async fn half_an_answer_is_no_answer() {
    let edge = Edge::with(Closes("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfi"));
    assert!(edge.post("/bookings", "{}").await.starts_with("HTTP/1.1 503"));
    assert_eq!(edge.booking.asked().len(), 1);
}

/// Asks, and lets the clock jump to the end of the time that a request has.
async fn ask_for_three_seconds(edge: &Edge) -> String {
    let clock = async {
        edge.booking.is_asked().await;
        time::pause();
        time::advance(Duration::from_secs(3)).await;
        time::resume();
    };
    join!(edge.post("/bookings", "{}"), clock).0
}

#[tokio::test]
async fn whoever_says_no_host_is_not_told_ours() {
    for headers in ["", "host: edge.test\r\nconnection: host\r\n"] {
        let edge = Edge::with(Answers(OK));
        edge.send(&format!("GET /bookings HTTP/1.0\r\n{headers}\r\n"), "").await;
        let asked = edge.booking.asked().concat();
        let host = if headers.is_empty() { "" } else { "edge.test" };
        let lines: Vec<_> = asked.lines().map(str::trim).collect();
        assert_eq!(lines[0], "GET /bookings HTTP/1.1");
        assert!(lines.contains(&format!("host: {host}").trim()), "{asked}");
    }
}

#[tokio::test]
async fn a_part_that_takes_too_long_is_answered_for() {
    let edge = Edge::with(Hangs(""));
    assert_snapshot!(ask_for_three_seconds(&edge).await, @r#"
    HTTP/1.1 503 Service Unavailable
    content-type: application/problem+json
    retry-after: 3
    content-length: 162
    connection: close

    {"type":"urn:anticorona:come-back-later","title":"Please come back later","status":503,"detail":"it may or may not have happened; the part behind gave no answer"}
    "#);
    assert_eq!(edge.booking.asked().len(), 1);
}

#[tokio::test]
async fn a_part_that_takes_too_long_to_finish_its_answer_is_answered_for() {
    let edge = Edge::with(Hangs("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfi"));
    assert!(ask_for_three_seconds(&edge).await.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn what_parts_say_to_each_other_stays_inside() {
    let edge = Edge::with(Answers(OK));
    for path in [
        "/vaccines/1/reservations/0192d0c0-0000-7000-8000-000000000000",
        "/vaccines/checkAndBookStock?vaccineId=1",
        "/holds",
        "/holds?holder=a&heldForMs=0",
        "/events",
        "/events/heard",
        "/vaccines/1/",
        "/bookings/1/2",
        "/tickets",
        "/tickets/search/all",
        "/vaccines/../holds",
        "//holds",
    ] {
        for line in ["GET", "POST", "PUT", "DELETE"].map(|method| format!("{method} {path}")) {
            let answer = edge.ask(&line, CLOSE, "").await;
            assert!(answer.starts_with("HTTP/1.1 404"), "{line} is {answer}");
        }
    }
    edge.nobody_was_asked();
}

#[tokio::test]
async fn a_body_may_have_64_kib_and_not_a_byte_more() {
    let edge = Edge::with(Answers(OK));
    assert!(edge.post("/bookings", &" ".repeat(64 * 1024)).await.ends_with("\n\nfine"));
    assert_snapshot!(edge.post("/vaccines", &" ".repeat(64 * 1024 + 1)).await, @r#"
    HTTP/1.1 413 Payload Too Large
    content-type: application/problem+json
    content-length: 116
    connection: close

    {"type":"urn:anticorona:body-too-large","title":"The body is too large","status":413,"detail":"at most 65536 bytes"}
    "#);
    assert!(edge.post("/vaccines", &" ".repeat(1024 * 1024)).await.starts_with("HTTP/1.1 413"));
    assert_eq!((edge.vaccine.asked().len(), edge.booking.asked().len()), (0, 1));
}

#[tokio::test]
async fn the_index_leads_to_the_collections() {
    let edge = Edge::with(Answers(OK));
    assert_snapshot!(edge.get("/").await, @r#"
    HTTP/1.1 200 OK
    content-type: application/hal+json
    content-length: 318
    connection: close

    {"_links":{"bookings":{"href":"http://edge.test/bookings"},"cancellations":{"href":"http://edge.test/cancellations"},"injections":{"href":"http://edge.test/injections"},"mypages":{"href":"http://edge.test/mypages"},"service-doc":{"href":"http://edge.test/swagger-ui/"},"vaccines":{"href":"http://edge.test/vaccines"}}}
    "#);
    let secure = edge.ask("GET /", "connection: close\r\nx-forwarded-proto: https\r\n", "").await;
    assert!(secure.contains(r#""https://edge.test/bookings""#), "{secure}");
    edge.nobody_was_asked();
}

#[tokio::test]
async fn the_edge_tells_collectors_what_it_counts() {
    let edge = Edge::with(Answers(OK));
    edge.get("/bookings").await;
    let counted = edge.get("/actuator/prometheus").await;
    let line = "\nanticorona_http_requests_total{method=\"GET\",status=\"2xx\"} 1\n";
    assert!(counted.contains(line), "{counted}");
}

#[tokio::test]
async fn breakers_of_the_edge_can_be_seen_from_outside_but_not_steered() {
    let edge = Edge::with(Answers(OK));
    let order = r#"{"updateState":"FORCE_OPEN"}"#;
    let headers =
        format!("{CLOSE}content-type: application/json\r\ncontent-length: {}\r\n", order.len());
    for path in
        ["/actuator/circuitbreakers/booking", "/bookings/../actuator/circuitbreakers/vaccine"]
    {
        let answer = edge.ask(&format!("POST {path}"), &headers, order).await;
        assert!(answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
    }
    edge.nobody_was_asked();
    let seen = edge.get("/actuator/circuitbreakers").await;
    let closed = seen.matches(r#""state":"CLOSED""#).count();
    assert_eq!(closed, 4, "{seen}");
}

#[tokio::test]
async fn what_operators_ask_of_the_parts_stays_inside() {
    let edge = Edge::with(Answers(OK));
    for path in ["/bookings/actuator/prometheus", "/actuator/env", "/vaccines/../actuator/health"] {
        let answer = edge.get(path).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    edge.nobody_was_asked();
}
