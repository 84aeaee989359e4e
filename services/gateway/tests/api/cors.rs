//! Scripts of other origins may use the edge if their origins are set.

use insta::assert_snapshot;

use crate::{CLOSE, Edge, OK, upstream::Behaviour::Responds};

const PREFLIGHT: &str = "connection: close\r\norigin: https://app.test\r\n\
                         access-control-request-method: POST\r\n\
                         access-control-request-headers: content-type,idempotency-key\r\n";

fn edge() -> Edge {
    let origins = "https://app.test, http://localhost:3000";
    Edge::with_settings(Responds(OK), &[("CORS_ORIGINS", origins)])
}

#[tokio::test]
async fn a_preflight_of_an_allowed_origin_is_answered_and_not_forwarded() {
    let edge = edge();
    assert_snapshot!(edge.request("OPTIONS /bookings", PREFLIGHT, "").await, @"
    HTTP/1.1 200 OK
    vary: origin
    access-control-allow-methods: GET,POST,PUT,PATCH,DELETE
    access-control-allow-headers: authorization,content-type,idempotency-key,prefer
    access-control-max-age: 600
    access-control-allow-origin: https://app.test
    connection: close
    content-length: 0
    ");
    edge.assert_nothing_was_forwarded();
}

#[tokio::test]
async fn a_response_names_the_allowed_origin_that_requested_it() {
    let edge = edge();
    let headers = format!("{CLOSE}origin: http://localhost:3000\r\n");
    assert_snapshot!(edge.request("GET /bookings", &headers, "").await, @"
    HTTP/1.1 200 OK
    content-length: 4
    vary: origin
    access-control-allow-origin: http://localhost:3000
    access-control-expose-headers: location,retry-after,preference-applied
    connection: close

    fine
    ");
}

#[tokio::test]
async fn other_origins_are_allowed_nothing() {
    let edge = edge();
    for origin in ["https://evil.test", "https://app.test.evil.test", "http://app.test", "null"] {
        for line in ["GET /bookings", "OPTIONS /bookings"] {
            let headers =
                format!("{CLOSE}origin: {origin}\r\naccess-control-request-method: POST\r\n");
            let response = edge.request(line, &headers, "").await;
            assert!(!response.contains("access-control-allow-origin"), "{origin}: {response}");
        }
    }
}

#[tokio::test]
async fn without_the_setting_no_origin_is_allowed() {
    let edge = Edge::with(Responds(OK));
    for line in ["GET /bookings", "OPTIONS /bookings"] {
        let response = edge.request(line, PREFLIGHT, "").await;
        assert!(!response.contains("access-control"), "{response}");
    }
    assert_eq!(edge.booking.requests().len(), 2);
}
