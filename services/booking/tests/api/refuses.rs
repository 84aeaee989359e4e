//! A wrong request is refused with the reason, and changes nothing.

use insta::assert_snapshot;

use crate::{app::BookingApp, vaccine::HOLDS};

const BODY: &str = r#"{"vaccineId":1,"userId":5}"#;

/// The replies to bodies that are not bookings.
async fn posts(bodies: &[&str]) -> String {
    let app = BookingApp::start();
    let requests: Vec<_> = bodies.iter().map(|body| ("POST /bookings", *body)).collect();
    let transcript = app.transcript(&requests).await;
    nothing_happened(&app).await;
    transcript.replace("POST /bookings ", "")
}

async fn nothing_happened(app: &BookingApp) {
    assert!(app.vaccine.requests(HOLDS).is_empty(), "doses were requested");
    let bookings = app.request("GET /bookings", "").await.json();
    assert_eq!(bookings["page"]["totalElements"], 0);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed() {
    let transcript = posts(&[
        r#"{"vaccineId":1"#,
        r"{vaccineId:1,userId:5}",
        r#"{"vaccineId":1,"userId":05}"#,
        r#"{"vaccineId":1,"userId":5} 6"#,
    ]);
    assert_snapshot!(transcript.await, @r#"
    {"vaccineId":1: 400 malformed; not JSON: EOF while parsing an object at line 1 column 14
    {vaccineId:1,userId:5}: 400 malformed; not JSON: key must be a string at line 1 column 2
    {"vaccineId":1,"userId":05}: 400 malformed; not JSON: invalid number at line 1 column 26
    {"vaccineId":1,"userId":5} 6: 400 malformed; not JSON: trailing characters at line 1 column 28
    "#);
}

#[tokio::test]
async fn a_body_that_is_not_an_object_is_refused() {
    let app = BookingApp::start();
    for body in ["", " ", "nonsense", "5", "null", "[]", r#"[1,"FIZER",5,"BOOKED"]"#] {
        let reply = app.request("POST /bookings", body).await;
        assert!(reply.status.is_client_error(), "{body} is {reply}");
        assert_ne!(reply.json()["field"], "", "{body} has no field that could be wrong");
        assert!(!reply.in_short().contains("struct"), "{reply} names a type of the code");
    }
    nothing_happened(&app).await;
}

#[tokio::test]
async fn a_missing_field_is_named() {
    let transcript = posts(&["{}", r#"{"vaccineId":1}"#, r#"{"userId":5,"vaccineId":null}"#]);
    assert_snapshot!(transcript.await, @r#"
    {}: 422 invalid-field; vaccineId: must be given
    {"vaccineId":1}: 422 invalid-field; userId: must be given
    {"userId":5,"vaccineId":null}: 422 invalid-field; vaccineId: must be given
    "#);
}

#[tokio::test]
async fn a_field_that_is_not_a_whole_number_in_range_is_named() {
    let transcript = posts(&[
        r#"{"vaccineId":0,"userId":5}"#,
        r#"{"vaccineId":1,"userId":-5}"#,
        r#"{"vaccineId":1,"userId":5.5}"#,
        r#"{"vaccineId":1,"userId":"5.5"}"#,
        r#"{"vaccineId":1,"userId":1e30}"#,
        r#"{"vaccineId":1,"userId":9007199254740992}"#,
        r#"{"vaccineId":1,"userId":99999999999999999999}"#,
        r#"{"vaccineId":true,"userId":5}"#,
        r#"{"vaccineId":[1],"userId":5}"#,
        r#"{"vaccineId":1,"userId":"five"}"#,
    ]);
    assert_snapshot!(transcript.await, @r#"
    {"vaccineId":0,"userId":5}: 422 invalid-field; vaccineId: must be from 1 to 9007199254740991
    {"vaccineId":1,"userId":-5}: 422 invalid-field; userId: must be from 0 to 9007199254740991
    {"vaccineId":1,"userId":5.5}: 422 invalid-field; userId: invalid value: floating point `5.5`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 27
    {"vaccineId":1,"userId":"5.5"}: 422 invalid-field; userId: invalid value: string "5.5", expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 29
    {"vaccineId":1,"userId":1e30}: 422 invalid-field; userId: invalid value: floating point `1e+30`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 28
    {"vaccineId":1,"userId":9007199254740992}: 422 invalid-field; userId: invalid value: integer `9007199254740992`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 40
    {"vaccineId":1,"userId":99999999999999999999}: 422 invalid-field; userId: invalid value: floating point `1e+20`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 44
    {"vaccineId":true,"userId":5}: 422 invalid-field; vaccineId: invalid type: boolean `true`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 17
    {"vaccineId":[1],"userId":5}: 422 invalid-field; vaccineId: invalid type: sequence, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 14
    {"vaccineId":1,"userId":"five"}: 422 invalid-field; userId: invalid value: string "five", expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 30
    "#);
}

#[tokio::test]
async fn a_field_of_another_type_or_a_repeated_field_is_named() {
    let transcript = posts(&[
        r#"{"vaccineId":1,"userId":5,"vcName":7}"#,
        r#"{"vaccineId":1,"userId":5,"status":["BOOKED"]}"#,
        r#"{"vaccineId":1,"userId":5,"vaccineId":2}"#,
    ]);
    assert_snapshot!(transcript.await, @r#"
    {"vaccineId":1,"userId":5,"vcName":7}: 422 invalid-field; vcName: invalid type: integer `7`, expected a string at line 1 column 36
    {"vaccineId":1,"userId":5,"status":["BOOKED"]}: 422 invalid-field; status: invalid type: sequence, expected a string at line 1 column 35
    {"vaccineId":1,"userId":5,"vaccineId":2}: 422 invalid-field; vaccineId: duplicate field `vaccineId` at line 1 column 37
    "#);
}

#[tokio::test]
async fn a_body_may_have_at_most_64_kib() {
    let app = BookingApp::start();
    let padded = |length| [BODY, &" ".repeat(length - BODY.len())].concat();
    assert_eq!(app.request("POST /bookings", padded(64 * 1024)).await.status, 201);
    assert_snapshot!(app.request("POST /bookings", padded(64 * 1024 + 1)).await, @r#"
    413 Payload Too Large
    content-type: application/problem+json

    {"type":"urn:anticorona:body-too-large","title":"The body is too large","status":413,"detail":"at most 65536 bytes"}
    "#);
    assert_eq!(app.request("POST /bookings", padded(8 * 1024 * 1024)).await.status, 413);
    assert_eq!(app.vaccine.requests(HOLDS).len(), 1);
}

#[tokio::test]
async fn a_body_of_another_media_type_is_refused() {
    let app = BookingApp::start();
    let text = app.request_with(&[("content-type", "text/plain")], "POST /bookings", BODY).await;
    let unnamed = app.request_with(&[], "POST /bookings", BODY).await;
    assert_snapshot!(text, @r#"
    415 Unsupported Media Type
    content-type: application/problem+json

    {"type":"urn:anticorona:unsupported-media-type","title":"The body must be JSON","status":415,"detail":"send Content-Type: application/json","field":"Content-Type"}
    "#);
    assert_eq!(text.to_string(), unnamed.to_string());
    nothing_happened(&app).await;
}

#[tokio::test]
async fn a_method_that_is_not_allowed_is_refused_with_those_that_are() {
    let app = BookingApp::start();
    assert_snapshot!(app.request("DELETE /bookings", "").await, @r#"
    405 Method Not Allowed
    allow: GET,HEAD,POST
    content-type: application/problem+json

    {"type":"urn:anticorona:method-not-allowed","title":"This address does not take this method","status":405,"detail":"DELETE is not possible here; see the Allow header"}
    "#);
    assert_snapshot!(app.request("POST /bookings/1", "").await, @r#"
    405 Method Not Allowed
    allow: GET,HEAD,PUT,PATCH,DELETE
    content-type: application/problem+json

    {"type":"urn:anticorona:method-not-allowed","title":"This address does not take this method","status":405,"detail":"POST is not possible here; see the Allow header"}
    "#);
}

#[tokio::test]
async fn other_urls_are_not_found() {
    let app = BookingApp::start();
    let requests = [
        "GET /bookings/1",
        "GET /bookings/0",
        "GET /bookings/-1",
        "GET /bookings/one",
        "GET /bookings/1.0",
        "GET /bookings/99999999999999999999",
        "GET /bookings/1/2",
        "GET /booking",
        "DELETE /bookings/1",
    ];
    let transcript = app.transcript(&requests.map(|line| (line, ""))).await;
    assert_snapshot!(transcript, @r#"
    GET /bookings/1: 404 no-such-booking; there is no such booking
    GET /bookings/0: 404 no-such-booking; there is no such booking
    GET /bookings/-1: 404 not-found; nothing at /bookings/-1
    GET /bookings/one: 404 not-found; nothing at /bookings/one
    GET /bookings/1.0: 404 not-found; nothing at /bookings/1.0
    GET /bookings/99999999999999999999: 404 not-found; nothing at /bookings/99999999999999999999
    GET /bookings/1/2: 404 not-found; nothing at /bookings/1/2
    GET /booking: 404 not-found; nothing at /booking
    DELETE /bookings/1: 404 no-such-booking; there is no such booking
    "#);
    let cancel = r#"{"status":"BOOKING_CANCELLED"}"#;
    let requests = [("PUT /bookings/1", cancel), ("PATCH /bookings/1", cancel)];
    assert_snapshot!(app.transcript(&requests).await, @r#"
    PUT /bookings/1 {"status":"BOOKING_CANCELLED"}: 404 no-such-booking; there is no such booking
    PATCH /bookings/1 {"status":"BOOKING_CANCELLED"}: 404 no-such-booking; there is no such booking
    "#);
}

#[tokio::test]
async fn a_page_that_cannot_exist_is_refused() {
    let app = BookingApp::start();
    let queries = [
        "page=-1",
        "page=one",
        "page=1.5",
        "page=",
        "page=4294967296",
        "size=0",
        "size=-1",
        "size=many",
        "size=",
        "page=1&page=2",
    ];
    let lines = queries.map(|query| format!("GET /bookings?{query}"));
    let requests: Vec<_> = lines.iter().map(|line| (line.as_str(), "")).collect();
    assert_snapshot!(app.transcript(&requests).await, @r#"
    GET /bookings?page=-1: 422 invalid-field; page: must be a whole number, counted from 0
    GET /bookings?page=one: 422 invalid-field; page: must be a whole number, counted from 0
    GET /bookings?page=1.5: 422 invalid-field; page: must be a whole number, counted from 0
    GET /bookings?page=: 422 invalid-field; page: must be a whole number, counted from 0
    GET /bookings?page=4294967296: 422 invalid-field; page: must be a whole number, counted from 0
    GET /bookings?size=0: 422 invalid-field; size: must be a whole number from 1
    GET /bookings?size=-1: 422 invalid-field; size: must be a whole number from 1
    GET /bookings?size=many: 422 invalid-field; size: must be a whole number from 1
    GET /bookings?size=: 422 invalid-field; size: must be a whole number from 1
    GET /bookings?page=1&page=2: 422 invalid-field; page: duplicate field `page`
    "#);
}
