//! A request that two servers could read differently is refused at the edge.

use insta::assert_snapshot;

use crate::{CLOSE, Edge, OK, upstream::Behaviour::Responds};

#[tokio::test]
async fn connect_is_refused() {
    let edge = Edge::with(Responds(OK));
    for target in ["/bookings", "/bookings/1", "edge.test:80", "http://edge.test/bookings"] {
        let response = edge.request(&format!("CONNECT {target}"), CLOSE, "").await;
        assert!(response.starts_with("HTTP/1.1 400"), "{target}: {response}");
        assert!(response.contains("urn:anticorona:malformed"), "{target}: {response}");
    }
    edge.assert_nothing_was_forwarded();
}

#[tokio::test]
async fn a_path_with_dot_segments_or_encoded_slashes_is_refused() {
    let edge = Edge::with(Responds(OK));
    for path in [
        "/bookings/..",
        "/bookings/.",
        "/bookings/%2e%2e",
        "/bookings/%2E.",
        "/bookings/1%2f2",
        "/bookings/1%2Factuator",
        "/bookings/..%5cholds",
        "/bookings/%252e%252e",
        "/bookings/search/%2e%2e",
        "/vaccines/../holds",
        "/vaccines/../actuator/health",
    ] {
        let response = edge.get(path).await;
        assert!(response.starts_with("HTTP/1.1 400"), "{path}: {response}");
    }
    edge.assert_nothing_was_forwarded();
    assert_snapshot!(edge.get("/bookings/%2e").await, @r#"
    HTTP/1.1 400 Bad Request
    content-type: application/problem+json
    cache-control: no-store
    connection: close
    content-length: 180

    {"type":"urn:anticorona:malformed","title":"The request cannot be read","status":400,"detail":"a path has no dot segments, no backslash, and no encoded dot, slash or percent sign"}
    "#);
}

#[tokio::test]
async fn a_request_without_exactly_one_host_is_refused() {
    let edge = Edge::with(Responds(OK));
    for hosts in ["", "host: edge.test\r\nhost: edge.test\r\n", "host: a\r\nhost: b\r\n"] {
        let head = format!("GET /bookings HTTP/1.1\r\n{hosts}{CLOSE}\r\n");
        let response = edge.send(&head, "").await;
        assert!(response.starts_with("HTTP/1.1 400"), "{hosts:?}: {response}");
        assert!(response.contains(r#""field":"Host""#), "{hosts:?}: {response}");
    }
    edge.assert_nothing_was_forwarded();
}

#[tokio::test]
async fn the_host_of_an_absolute_url_counts_and_not_the_header() {
    let edge = Edge::with(Responds(OK));
    edge.request("GET http://other.test/bookings", CLOSE, "").await;
    let forwarded = edge.booking.requests().concat();
    assert!(forwarded.starts_with("GET /bookings HTTP/1.1\nhost: other.test\n"), "{forwarded}");
}
