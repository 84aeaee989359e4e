//! What the edge forwards, what it keeps inside, and its responses when a service fails.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

/// The path of a committed document, for `include_str!`.
macro_rules! document_path {
    ($name:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi/", $name, ".json")
    };
}

#[path = "api/cors.rs"]
mod cors;
#[path = "api/proxies.rs"]
mod proxies;
#[path = "api/request_head.rs"]
mod request_head;
#[path = "api/swagger_ui.rs"]
mod swagger_ui;
#[path = "api/upstream.rs"]
mod upstream;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use insta::assert_snapshot;
use platform_rest::{hal::Collection, listener::Listener, runtime::Runtime};
use platform_service::{Configured, Env, ListenArgs, Service, ServiceArgs, Settings};
use platform_telemetry::logs::LogFormat;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    join,
    net::TcpStream,
    task::JoinSet,
    time::{self, timeout},
};
use tokio_util::sync::CancellationToken;
use upstream::{
    Behaviour::{self, Closes, ClosesFirst, Hangs, Responds},
    Upstream,
};

/// How long a test waits for something that must happen.
const TEST_TIMEOUT: Duration = Duration::from_secs(10);

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";

/// The services behind the edge, with their committed documents.
static SERVICES: [&Service; 5] = [
    &service(
        "vaccine",
        &[collection("vaccines"), collection("lots")],
        &["/vaccines/{id}/product", "/lots/{id}/changes", "/stocks/{siteId}/{vaccineId}"],
        || document(include_str!(document_path!("vaccine"))),
    ),
    &service("booking", &[collection("bookings")], &["/tickets/{id}"], || {
        document(include_str!(document_path!("booking")))
    }),
    &service("injection", &[collection("injections"), collection("cancellations")], &[], || {
        document(include_str!(document_path!("injection")))
    }),
    &service("mypage", &[collection("mypages")], &["/mypages/{id}/calendar"], || {
        document(include_str!(document_path!("mypage")))
    }),
    &service(
        "campaign",
        &[collection("sites"), collection("campaigns")],
        &[
            "/sites/{id}/exceptions/{date}",
            "/campaigns/{id}/status",
            "/campaigns/{id}/preview",
            "/slots",
            "/slots/{id}/alternatives",
            "/slots/{id}/next",
            "/days",
        ],
        || document(include_str!(document_path!("campaign"))),
    ),
];

const fn collection(plural: &'static str) -> Collection {
    Collection { plural, singular: "item", is_personal: true, searches: &[] }
}

const fn service(
    name: &'static str,
    collections: &'static [Collection],
    routes: &'static [&'static str],
    openapi: fn() -> utoipa::openapi::OpenApi,
) -> Service {
    Service {
        name,
        summary: "a service behind the edge",
        port: 0,
        consumes: &[],
        collections,
        routes,
        recognises_attempts: matches!(name.as_bytes(), b"booking"),
        migrations: &[],
        openapi: Some(openapi),
        configure: |_| Ok(Configured::new(Vec::new(), async |_| Err("never started".into()))),
    }
}

fn document(json: &str) -> utoipa::openapi::OpenApi {
    serde_json::from_str(json).unwrap()
}

struct Edge {
    address: SocketAddr,
    vaccine: Upstream,
    booking: Upstream,
    injection: Upstream,
    mypage: Upstream,
    _serving: JoinSet<()>,
}

impl Edge {
    /// Before upstreams that all behave alike.
    fn with(behaviour: Behaviour) -> Self {
        Self::with_settings(behaviour, &[])
    }

    /// With these settings, before upstreams that all behave alike.
    fn with_settings(behaviour: Behaviour, settings: &[(&str, &str)]) -> Self {
        let upstream = || Upstream::start(behaviour);
        Self::start(upstream(), [upstream(), upstream(), upstream()], settings)
    }

    /// Before booking, and vaccine, injection and mypage.
    fn before(booking: Upstream, others: [Upstream; 3]) -> Self {
        Self::start(booking, others, &[])
    }

    fn start(booking: Upstream, others: [Upstream; 3], settings: &[(&str, &str)]) -> Self {
        let [vaccine, injection, mypage] = others;
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.address();
        let args = ServiceArgs {
            data: PathBuf::new(),
            listen: ListenArgs {
                bind: address.ip(),
                port_offset: 0,
                log: LogFormat::Pretty,
                faults: false,
            },
        };
        let env = Env::of(vec![
            ("VACCINE_URL".to_owned(), vaccine.url()),
            ("BOOKING_URL".to_owned(), booking.url()),
            ("INJECTION_URL".to_owned(), injection.url()),
            ("MYPAGE_URL".to_owned(), mypage.url()),
            ("CAMPAIGN_URL".to_owned(), mypage.url()),
        ])
        .with(settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect());
        let settings =
            Settings { service: &gateway::SERVICE, services: &SERVICES, args: &args, env: &env };
        let configured = (gateway::SERVICE.configure)(&settings).unwrap();
        let runtime = Runtime::new("gateway", CancellationToken::new());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let app = configured.start(runtime.clone()).await.unwrap();
            app.serve(gateway::SERVICE.name, listener, runtime).await.unwrap();
        });
        Self { address, vaccine, booking, injection, mypage, _serving: serving }
    }

    /// Sends a request with these lines after the first, and reads the whole response.
    async fn request(&self, line: &str, headers: &str, body: &str) -> String {
        self.send(&format!("{line} HTTP/1.1\r\nhost: edge.test\r\n{headers}\r\n"), body).await
    }

    /// Sends a request with this head.
    async fn send(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream.write_all(body.as_bytes()).await); // A body that is too large is not read.
        let mut response = Vec::new();
        timeout(TEST_TIMEOUT, stream.read_to_end(&mut response))
            .await
            .expect("a response in time")
            .unwrap();
        let response = String::from_utf8_lossy(&response);
        response.lines().filter(|line| !line.starts_with("date")).collect::<Vec<_>>().join("\n")
    }

    async fn get(&self, path: &str) -> String {
        self.request(&format!("GET {path}"), CLOSE, "").await
    }

    async fn post(&self, path: &str, body: &str) -> String {
        let headers = format!("{CLOSE}content-length: {}\r\n", body.len());
        self.request(&format!("POST {path}"), &headers, body).await
    }

    fn assert_nothing_was_forwarded(&self) {
        assert_eq!(self.forwarded(), 0);
    }

    /// Requests that reached any service.
    fn forwarded(&self) -> usize {
        let upstreams = [&self.vaccine, &self.booking, &self.injection, &self.mypage];
        upstreams.map(|upstream| upstream.requests().len()).iter().sum()
    }
}

const CLOSE: &str = "connection: close\r\n";

#[tokio::test]
async fn a_request_is_forwarded_unchanged() {
    let edge = Edge::with(Responds(OK));
    let headers = "connection: close\r\ncontent-type: application/json\r\nidempotency-key: a\r\n\
                   content-length: 14\r\n";
    edge.request("PATCH /bookings/7?a=%2F&b=", headers, r#"{"status":"X"}"#).await;
    assert_snapshot!(edge.booking.requests().concat(), @r#"
    PATCH /bookings/7?a=%2F&b= HTTP/1.1
    host: edge.test
    idempotency-key: a
    content-type: application/json
    content-length: 14

    {"status":"X"}
    "#);
    assert_eq!(edge.vaccine.requests().len(), 0);
}

#[tokio::test]
async fn the_remaining_time_is_forwarded_and_is_never_what_a_client_states() {
    for header in ["", "x-request-deadline-ms: 5\r\n", "x-request-deadline-ms: 9000\r\n"] {
        let edge = Edge::with(Responds(OK));
        edge.request("GET /bookings/7", &format!("{CLOSE}{header}"), "").await;
        let left = edge.booking.time_left_ms();
        assert!((1_450..=2_900).contains(&left), "{header}: {left}");
    }
}

#[tokio::test]
async fn a_response_that_is_too_large_is_a_502_and_opens_no_circuit() {
    let length = 1024 * 1024 + 1;
    let large =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n") + &" ".repeat(length);
    let edge = Edge::with(Responds(large.leak()));
    for _ in 0..20 {
        let response = edge.get("/bookings?size=1000").await;
        assert!(response.starts_with("HTTP/1.1 502"), "{response}");
    }
    assert_snapshot!(edge.get("/bookings?size=1000").await, @r#"
    HTTP/1.1 502 Bad Gateway
    content-type: application/problem+json
    cache-control: no-store
    content-length: 163
    connection: close

    {"type":"urn:anticorona:response-too-large","title":"The response is too large","status":502,"detail":"it may have happened; a response has at most 1048576 bytes"}
    "#);
}

#[tokio::test]
async fn a_service_cannot_keep_its_circuit_open_for_long() {
    let failing =
        "HTTP/1.1 500 Internal Server Error\r\nretry-after: 30\r\ncontent-length: 0\r\n\r\n";
    let edge = Edge::with(Responds(failing));
    for _ in 0..5 {
        assert!(edge.get("/bookings").await.starts_with("HTTP/1.1 500"));
    }
    let rejected = edge.get("/bookings").await;
    assert!(rejected.starts_with("HTTP/1.1 503"), "{rejected}");
    let retry_after = rejected.lines().find_map(|line| line.strip_prefix("retry-after: "));
    let retry_after: u64 = retry_after.unwrap().parse().unwrap();
    assert!(retry_after <= 5, "{retry_after} s");
}

#[tokio::test]
async fn a_response_is_returned_unchanged() {
    let edge = Edge::with(Responds(
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
async fn every_collection_is_forwarded_to_its_service() {
    let edge = Edge::with(Responds(OK));
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
        "/mypages/1/calendar",
        "/mypages/search/findByUserId?userId=5",
    ] {
        assert!(edge.get(path).await.ends_with("\n\nfine"), "{path}");
    }
    let paths = |upstream: &Upstream| {
        let requests = upstream.requests();
        requests.iter().map(|text| text.split(' ').nth(1).unwrap().to_owned()).collect::<Vec<_>>()
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
    assert_eq!(
        paths(&edge.mypage),
        ["/mypages/1", "/mypages/1/calendar", "/mypages/search/findByUserId?userId=5"]
    );
}

#[tokio::test]
async fn hop_by_hop_headers_are_not_forwarded() {
    let edge = Edge::with(Responds(
        "HTTP/1.1 200 OK\r\nconnection: x-theirs\r\nx-theirs: 1\r\nkeep-alive: timeout=5\r\n\
         proxy-authenticate: Basic\r\nx-kept: 2\r\ncontent-length: 0\r\n\r\n",
    ));
    let headers = "connection: close, X-Mine\r\nx-mine: 1\r\nkeep-alive: timeout=5\r\n\
                   te: trailers\r\nproxy-connection: close\r\nupgrade: h2c\r\n\
                   http2-settings: AAMAAABkAAQAAP__\r\nx-kept: 2\r\n";
    assert_snapshot!(edge.request("GET /bookings", headers, "").await, @r"
    HTTP/1.1 200 OK
    x-kept: 2
    connection: close
    content-length: 0
    ");
    assert_snapshot!(edge.booking.requests().concat(), @r"
    GET /bookings HTTP/1.1
    host: edge.test
    x-kept: 2
    ");
}

#[tokio::test]
async fn a_body_that_was_read_is_forwarded_without_the_expectation_of_a_100() {
    let edge = Edge::with(Responds(OK));
    let headers = "connection: close\r\nexpect: 100-continue\r\ncontent-length: 2\r\n";
    let response = edge.request("POST /bookings", headers, "{}").await;
    assert!(response.starts_with("HTTP/1.1 100") && response.ends_with("fine"), "{response}");
    let forwarded = edge.booking.requests().concat();
    assert!(!forwarded.contains("expect"), "{forwarded}");
}

#[tokio::test]
async fn a_chunked_body_is_forwarded_whole() {
    let edge = Edge::with(Responds(OK));
    let headers = "connection: close\r\ntransfer-encoding: chunked\r\n";
    edge.request("POST /bookings", headers, "2\r\n{\"\r\n4\r\na\":1\r\n1\r\n}\r\n0\r\n\r\n").await;
    assert_snapshot!(edge.booking.requests().concat(), @r#"
    POST /bookings HTTP/1.1
    host: edge.test
    content-length: 7

    {"a":1}
    "#);
}

#[tokio::test]
async fn a_response_to_head_keeps_its_content_length() {
    let edge = Edge::with(Responds("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"));
    assert_snapshot!(edge.request("HEAD /bookings/1", CLOSE, "").await, @r"
    HTTP/1.1 200 OK
    content-length: 4
    connection: close
    ");
}

#[tokio::test]
async fn a_service_that_is_down_gives_503() {
    let fine = || Upstream::start(Responds(OK));
    let edge = Edge::before(Upstream::down(), [fine(), fine(), fine()]);
    assert_snapshot!(edge.post("/bookings", "{}").await, @r#"
    HTTP/1.1 503 Service Unavailable
    content-type: application/problem+json
    cache-control: no-store
    retry-after: 3
    content-length: 142
    connection: close

    {"type":"urn:anticorona:retry-later","title":"Please retry later","status":503,"detail":"nothing has happened; the service cannot be reached"}
    "#);
    assert!(edge.get("/vaccines").await.ends_with("\n\nfine"));
}

#[tokio::test]
async fn a_request_without_a_response_is_not_repeated_to_a_service_that_would_not_recognise_it() {
    let edge = Edge::with(Closes(""));
    assert_snapshot!(edge.post("/vaccines", "{}").await, @r#"
    HTTP/1.1 503 Service Unavailable
    content-type: application/problem+json
    cache-control: no-store
    retry-after: 3
    content-length: 150
    connection: close

    {"type":"urn:anticorona:retry-later","title":"Please retry later","status":503,"detail":"it may or may not have happened; the service did not answer"}
    "#);
    assert_eq!(edge.vaccine.requests().len(), 1);
}

/// Booking was killed after it had the request. Whether it has booked, only it can say.
#[tokio::test]
async fn a_booking_without_a_response_is_repeated_and_recognised_by_its_attempt() {
    let edge = Edge::with(ClosesFirst(OK));
    let chosen = "x-attempt: 019abcde-0000-7000-8000-00000000000a\r\ncontent-length: 2\r\n";
    let response = edge.request("POST /bookings", &format!("{CLOSE}{chosen}"), "{}").await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    let requests = edge.booking.requests();
    assert_eq!((requests.len(), &requests[0]), (2, &requests[1]));
    let [Some(first), Some(again)] = &edge.booking.attempts()[..] else { panic!("no attempts") };
    assert_eq!(*again, format!("{first} again"));
    assert!(!first.contains("019abcde"), "a client does not choose it");
}

#[tokio::test]
async fn half_a_response_gives_503() {
    let edge = Edge::with(Closes("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfi"));
    assert!(edge.post("/vaccines", "{}").await.starts_with("HTTP/1.1 503"));
    assert_eq!(edge.vaccine.requests().len(), 1);
}

/// Sends a request, and advances the clock to its deadline.
async fn post_until_deadline(edge: &Edge) -> String {
    let clock = async {
        edge.booking.first_request().await;
        time::pause();
        time::advance(Duration::from_secs(3)).await;
        time::resume();
    };
    join!(edge.post("/bookings", "{}"), clock).0
}

#[tokio::test]
async fn a_request_without_a_host_is_forwarded_without_one() {
    for headers in ["", "host: edge.test\r\nconnection: host\r\n"] {
        let edge = Edge::with(Responds(OK));
        edge.send(&format!("GET /bookings HTTP/1.0\r\n{headers}\r\n"), "").await;
        let forwarded = edge.booking.requests().concat();
        let host = if headers.is_empty() { "" } else { "edge.test" };
        let lines: Vec<_> = forwarded.lines().map(str::trim).collect();
        assert_eq!(lines[0], "GET /bookings HTTP/1.1");
        assert!(lines.contains(&format!("host: {host}").trim()), "{forwarded}");
    }
}

#[tokio::test]
async fn a_service_that_takes_too_long_gives_503() {
    let edge = Edge::with(Hangs(""));
    assert_snapshot!(post_until_deadline(&edge).await, @r#"
    HTTP/1.1 503 Service Unavailable
    content-type: application/problem+json
    cache-control: no-store
    retry-after: 3
    content-length: 150
    connection: close

    {"type":"urn:anticorona:retry-later","title":"Please retry later","status":503,"detail":"it may or may not have happened; the service did not answer"}
    "#);
    assert_eq!(edge.booking.requests().len(), 1);
}

#[tokio::test]
async fn a_response_that_takes_too_long_to_end_gives_503() {
    let edge = Edge::with(Hangs("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfi"));
    assert!(post_until_deadline(&edge).await.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn routes_between_services_are_not_forwarded() {
    let edge = Edge::with(Responds(OK));
    for path in [
        "/vaccines/1/reservations/0192d0c0-0000-7000-8000-000000000000",
        "/vaccines/checkAndBookStock?vaccineId=1",
        "/holds",
        "/holds?owner=a&heldForMs=0",
        "/events",
        "/events/offset",
        "/bookings/1/2",
        "/tickets",
        "/tickets/search/all",
        "//holds",
    ] {
        for line in ["GET", "POST", "PUT", "DELETE"].map(|method| format!("{method} {path}")) {
            let response = edge.request(&line, CLOSE, "").await;
            assert!(response.starts_with("HTTP/1.1 404"), "{line} is {response}");
        }
    }
    edge.assert_nothing_was_forwarded();
}

#[tokio::test]
async fn a_body_has_at_most_64_kib() {
    let edge = Edge::with(Responds(OK));
    assert!(edge.post("/bookings", &" ".repeat(64 * 1024)).await.ends_with("\n\nfine"));
    assert_snapshot!(edge.post("/vaccines", &" ".repeat(64 * 1024 + 1)).await, @r#"
    HTTP/1.1 413 Payload Too Large
    content-type: application/problem+json
    cache-control: no-store
    connection: close
    content-length: 116

    {"type":"urn:anticorona:body-too-large","title":"The body is too large","status":413,"detail":"at most 65536 bytes"}
    "#);
    assert!(edge.post("/vaccines", &" ".repeat(1024 * 1024)).await.starts_with("HTTP/1.1 413"));
    assert_eq!((edge.vaccine.requests().len(), edge.booking.requests().len()), (0, 1));
}

#[tokio::test]
async fn the_index_links_to_every_collection() {
    let edge = Edge::with(Responds(OK));
    assert_snapshot!(edge.get("/").await, @r#"
    HTTP/1.1 200 OK
    content-type: application/hal+json
    vary: accept, x-forwarded-proto
    content-length: 768
    connection: close

    {"_links":{"bookings":{"href":"http://edge.test/bookings{?page,size,sort}","templated":true},"campaigns":{"href":"http://edge.test/campaigns{?page,size,sort}","templated":true},"cancellations":{"href":"http://edge.test/cancellations{?page,size,sort}","templated":true},"injections":{"href":"http://edge.test/injections{?page,size,sort}","templated":true},"lots":{"href":"http://edge.test/lots{?page,size,sort}","templated":true},"mypages":{"href":"http://edge.test/mypages{?page,size,sort}","templated":true},"profile":{"href":"http://edge.test/profile"},"service-doc":{"href":"http://edge.test/swagger-ui/"},"sites":{"href":"http://edge.test/sites{?page,size,sort}","templated":true},"vaccines":{"href":"http://edge.test/vaccines{?page,size,sort}","templated":true}}}
    "#);
    edge.assert_nothing_was_forwarded();
}

#[tokio::test]
async fn the_profile_of_a_collection_leads_to_the_document_of_its_service() {
    let edge = Edge::with(Responds(OK));
    for (collection, service) in [
        ("bookings", "booking"),
        ("cancellations", "injection"),
        ("injections", "injection"),
        ("mypages", "mypage"),
        ("vaccines", "vaccine"),
    ] {
        let profile = edge.get(&format!("/profile/{collection}")).await;
        let document = format!("/openapi/{service}.json");
        assert!(profile.contains(&format!("http://edge.test{document}\"")), "{profile}");
        let document = edge.get(&document).await;
        assert!(document.contains(&format!("\"/{collection}\"")), "{document:.200}");
    }
    assert!(edge.get("/profile/tickets").await.starts_with("HTTP/1.1 404"));
    edge.assert_nothing_was_forwarded();
}

#[tokio::test]
async fn the_edge_has_metrics() {
    let edge = Edge::with(Responds(OK));
    edge.get("/bookings").await;
    let metrics = edge.get("/actuator/prometheus").await;
    let line = "\nanticorona_http_requests_total{method=\"GET\",status=\"2xx\"} 1\n";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn breakers_of_the_edge_are_readable_and_cannot_be_changed() {
    let edge = Edge::with(Responds(OK));
    let update = r#"{"updateState":"FORCE_OPEN"}"#;
    let headers =
        format!("{CLOSE}content-type: application/json\r\ncontent-length: {}\r\n", update.len());
    for path in
        ["/actuator/circuitbreakers/booking", "/bookings/../actuator/circuitbreakers/vaccine"]
    {
        let response = edge.request(&format!("POST {path}"), &headers, update).await;
        assert!(response.starts_with("HTTP/1.1 40"), "{path}: {response}");
    }
    edge.assert_nothing_was_forwarded();
    let breakers = edge.get("/actuator/circuitbreakers").await;
    let closed = breakers.matches(r#""state":"CLOSED""#).count();
    assert_eq!(closed, SERVICES.len(), "{breakers}");
}

#[tokio::test]
async fn actuator_routes_of_services_are_not_forwarded() {
    let edge = Edge::with(Responds(OK));
    for path in ["/bookings/actuator/prometheus", "/actuator/env"] {
        let response = edge.get(path).await;
        assert!(response.starts_with("HTTP/1.1 404"), "{path}: {response}");
    }
    edge.assert_nothing_was_forwarded();
}
