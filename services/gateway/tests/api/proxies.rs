//! What a proxy says of its client is believed if the proxy is trusted, and nobody else's word is.

use insta::assert_snapshot;

use crate::{CLOSE, Edge, OK, upstream::Behaviour::Responds};

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Behind a proxy on this machine.
fn behind_proxy() -> Edge {
    Edge::with_settings(Responds(OK), &[("TRUSTED_PROXIES", "192.0.2.0/24, 127.0.0.1")])
}

/// The link to the bookings, without its variables.
async fn link(edge: &Edge, headers: &str) -> String {
    let index = edge.request("GET /", &format!("{CLOSE}{headers}"), "").await;
    let (_, rest) = index.split_once(r#""bookings":{"href":""#).unwrap();
    rest.split('{').next().unwrap().to_owned()
}

#[tokio::test]
async fn links_lead_to_where_a_trusted_proxy_was_requested() {
    let edge = behind_proxy();
    for (headers, expected) in [
        ("", "http://edge.test/bookings"),
        ("x-forwarded-proto: https\r\n", "https://edge.test/bookings"),
        ("x-forwarded-host: a.test:8443\r\n", "http://a.test:8443/bookings"),
        ("x-forwarded-prefix: /vaccination/\r\n", "http://edge.test/vaccination/bookings"),
        ("forwarded: for=_a;proto=https;host=\"a.test:1\"\r\n", "https://a.test:1/bookings"),
        // The last element is the trusted proxy's own; the others it was sent.
        ("forwarded: host=evil.test, Host=a.test\r\n", "http://a.test/bookings"),
        ("x-forwarded-host: evil.test, a.test\r\n", "http://a.test/bookings"),
        ("x-forwarded-host: evil.test\r\nx-forwarded-host: a.test\r\n", "http://a.test/bookings"),
        ("x-forwarded-proto: gopher\r\nx-forwarded-host: a/b\r\n", "http://edge.test/bookings"),
        ("x-forwarded-prefix: //evil.test\r\n", "http://edge.test/bookings"),
        ("x-forwarded-prefix: /a/../b\r\n", "http://edge.test/bookings"),
    ] {
        assert_eq!(link(&edge, headers).await, expected, "{headers}");
    }
}

#[tokio::test]
async fn services_receive_what_links_are_made_of() {
    let edge = behind_proxy();
    let headers = format!(
        "{CLOSE}forwarded: proto=https;host=a.test\r\nx-forwarded-prefix: /v\r\n\
         x-forwarded-port: 1\r\ntraceparent: {TRACEPARENT}\r\n"
    );
    edge.request("GET /bookings", &headers, "").await;
    assert_snapshot!(edge.booking.requests().concat(), @"
    GET /bookings HTTP/1.1
    host: a.test
    x-forwarded-prefix: /v
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
    x-forwarded-proto: https
    ");
}

#[tokio::test]
async fn nothing_is_believed_of_anybody_else() {
    for settings in [&[][..], &[("TRUSTED_PROXIES", "192.0.2.1,::1")]] {
        let edge = Edge::with_settings(Responds(OK), settings);
        let headers = format!(
            "forwarded: proto=https;host=evil.test\r\nx-forwarded-host: evil.test\r\n\
             x-forwarded-proto: https\r\nx-forwarded-prefix: /evil\r\nx-forwarded-for: 192.0.2.1\r\n\
             traceparent: {TRACEPARENT}\r\ntracestate: a=b\r\n"
        );
        assert_eq!(link(&edge, &headers).await, "http://edge.test/bookings");
        edge.request("GET /bookings", &format!("{CLOSE}{headers}"), "").await;
        let forwarded = edge.booking.requests().concat();
        assert_eq!(forwarded, "GET /bookings HTTP/1.1\nhost: edge.test\n\n");
    }
}
