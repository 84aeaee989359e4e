//! What cannot be right is refused with the reason, and leaves no trace.

use insta::assert_snapshot;

use crate::{
    in_short,
    town::{Town, vaccine::HOLDS},
};

const BODY: &str = r#"{"vaccineId":1,"userId":5}"#;

/// Asks all of it, and shows each request above its answer.
async fn asks(town: &Town, requests: &[(&str, &str)]) -> String {
    let mut story = Vec::new();
    for (line, body) in requests {
        let answer = town.ask(line, *body).await;
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/problem+json"), "{line} {body}");
        let request = format!("{line} {body}");
        story.push(format!("{}\n  {}", request.trim_end(), in_short(&answer)));
    }
    story.join("\n")
}

/// Bodies of which none is a booking.
async fn posts(bodies: &[&str]) -> String {
    let town = Town::open();
    let requests: Vec<_> = bodies.iter().map(|body| ("POST /bookings", *body)).collect();
    let story = asks(&town, &requests).await;
    nothing_happened(&town).await;
    story.replace("POST /bookings ", "")
}

async fn nothing_happened(town: &Town) {
    assert!(town.vaccine.asked(HOLDS).is_empty(), "vaccine was asked");
    let bookings = town.ask("GET /bookings", "").await.json();
    assert_eq!(bookings["page"]["totalElements"], 0);
}

#[tokio::test]
async fn what_is_not_json_is_malformed() {
    let story = posts(&[
        r#"{"vaccineId":1"#,
        r"{vaccineId:1,userId:5}",
        r#"{"vaccineId":1,"userId":05}"#,
        r#"{"vaccineId":1,"userId":5} 6"#,
    ]);
    assert_snapshot!(story.await, @r#"
    {"vaccineId":1
      400 not JSON: EOF while parsing an object at line 1 column 14
    {vaccineId:1,userId:5}
      400 not JSON: key must be a string at line 1 column 2
    {"vaccineId":1,"userId":05}
      400 not JSON: invalid number at line 1 column 26
    {"vaccineId":1,"userId":5} 6
      400 not JSON: trailing characters at line 1 column 28
    "#);
}

#[tokio::test]
async fn what_is_no_object_is_no_booking() {
    let town = Town::open();
    for body in ["", " ", "nonsense", "5", "null", "[]", r#"[1,"FIZER",5,"BOOKED"]"#] {
        let answer = town.ask("POST /bookings", body).await;
        assert!(answer.status.is_client_error(), "{body} is {answer}");
        assert_ne!(answer.json()["field"], "", "{body} has no field that could be wrong");
        assert!(!in_short(&answer).contains("struct"), "{answer} speaks of our own code");
    }
    nothing_happened(&town).await;
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let story = posts(&["{}", r#"{"vaccineId":1}"#, r#"{"userId":5,"vaccineId":null}"#]);
    assert_snapshot!(story.await, @r#"
    {}
      422 "vaccineId": must be given
    {"vaccineId":1}
      422 "userId": must be given
    {"userId":5,"vaccineId":null}
      422 "vaccineId": must be given
    "#);
}

#[tokio::test]
async fn what_is_no_whole_number_in_range_is_named() {
    let story = posts(&[
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
    assert_snapshot!(story.await, @r#"
    {"vaccineId":0,"userId":5}
      422 "vaccineId": must be from 1 to 9007199254740991
    {"vaccineId":1,"userId":-5}
      422 "userId": must be from 0 to 9007199254740991
    {"vaccineId":1,"userId":5.5}
      422 "userId": invalid type: floating point `5.5`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 27
    {"vaccineId":1,"userId":"5.5"}
      422 "userId": invalid value: string "5.5", expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 29
    {"vaccineId":1,"userId":1e30}
      422 "userId": invalid type: floating point `1e+30`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 28
    {"vaccineId":1,"userId":9007199254740992}
      422 "userId": invalid value: integer `9007199254740992`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 40
    {"vaccineId":1,"userId":99999999999999999999}
      422 "userId": invalid type: floating point `1e+20`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 44
    {"vaccineId":true,"userId":5}
      422 "vaccineId": invalid type: boolean `true`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 17
    {"vaccineId":[1],"userId":5}
      422 "vaccineId": invalid type: sequence, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 14
    {"vaccineId":1,"userId":"five"}
      422 "userId": invalid value: string "five", expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 30
    "#);
}

#[tokio::test]
async fn what_is_of_another_type_or_comes_twice_is_named() {
    let story = posts(&[
        r#"{"vaccineId":1,"userId":5,"vcName":7}"#,
        r#"{"vaccineId":1,"userId":5,"status":["BOOKED"]}"#,
        r#"{"vaccineId":1,"userId":5,"vaccineId":2}"#,
    ]);
    assert_snapshot!(story.await, @r#"
    {"vaccineId":1,"userId":5,"vcName":7}
      422 "vcName": invalid type: integer `7`, expected a string at line 1 column 36
    {"vaccineId":1,"userId":5,"status":["BOOKED"]}
      422 "status": invalid type: sequence, expected a string at line 1 column 35
    {"vaccineId":1,"userId":5,"vaccineId":2}
      422 "vaccineId": duplicate field `vaccineId` at line 1 column 37
    "#);
}

#[tokio::test]
async fn a_body_may_have_64_kib_and_not_a_byte_more() {
    let town = Town::open();
    let padded = |length| [BODY, &" ".repeat(length - BODY.len())].concat();
    assert_eq!(town.ask("POST /bookings", padded(64 * 1024)).await.status, 201);
    assert_snapshot!(town.ask("POST /bookings", padded(64 * 1024 + 1)).await, @r#"
    413 Payload Too Large
    content-type: application/problem+json

    {"type":"urn:anticorona:body-too-large","title":"The body is too large","status":413,"detail":"at most 65536 bytes"}
    "#);
    assert_eq!(town.ask("POST /bookings", padded(8 * 1024 * 1024)).await.status, 413);
    assert_eq!(town.vaccine.asked(HOLDS).len(), 1);
}

#[tokio::test]
async fn a_body_that_does_not_call_itself_json_is_not_read() {
    let town = Town::open();
    let text = town.ask_with(&[("content-type", "text/plain")], "POST /bookings", BODY).await;
    let unnamed = town.ask_with(&[], "POST /bookings", BODY).await;
    assert_snapshot!(text, @r#"
    415 Unsupported Media Type
    content-type: application/problem+json

    {"type":"urn:anticorona:unsupported-media-type","title":"The body must be JSON","status":415,"detail":"send Content-Type: application/json","field":"Content-Type"}
    "#);
    assert_eq!(text.to_string(), unnamed.to_string());
    nothing_happened(&town).await;
}

#[tokio::test]
async fn a_method_that_an_address_does_not_take_is_answered_with_those_it_takes() {
    let town = Town::open();
    assert_snapshot!(town.ask("DELETE /bookings", "").await, @r#"
    405 Method Not Allowed
    allow: GET,HEAD,POST
    content-type: application/problem+json

    {"type":"urn:anticorona:method-not-allowed","title":"This address does not take this method","status":405,"detail":"DELETE is not possible here; see the Allow header"}
    "#);
    assert_snapshot!(town.ask("POST /bookings/1", "").await, @r#"
    405 Method Not Allowed
    allow: GET,HEAD,PUT,PATCH,DELETE
    content-type: application/problem+json

    {"type":"urn:anticorona:method-not-allowed","title":"This address does not take this method","status":405,"detail":"POST is not possible here; see the Allow header"}
    "#);
}

#[tokio::test]
async fn nobody_is_at_other_addresses() {
    let town = Town::open();
    let requests = [
        "GET /bookings/1",
        "GET /bookings/0",
        "GET /bookings/-1",
        "GET /bookings/one",
        "GET /bookings/1.0",
        "GET /bookings/99999999999999999999",
        "GET /bookings/",
        "GET /bookings/1/2",
        "GET /booking",
        "DELETE /bookings/1",
    ];
    let story = asks(&town, &requests.map(|line| (line, ""))).await;
    assert_snapshot!(story, @r"
    GET /bookings/1
      404 there is no such booking
    GET /bookings/0
      404 there is no such booking
    GET /bookings/-1
      404 there is no such booking
    GET /bookings/one
      404 nothing at /bookings/one
    GET /bookings/1.0
      404 nothing at /bookings/1.0
    GET /bookings/99999999999999999999
      404 nothing at /bookings/99999999999999999999
    GET /bookings/
      404 nothing at /bookings/
    GET /bookings/1/2
      404 nothing at /bookings/1/2
    GET /booking
      404 nothing at /booking
    DELETE /bookings/1
      404 there is no such booking
    ");
    let cancel = r#"{"status":"BOOKING_CANCELLED"}"#;
    let requests = [("PUT /bookings/1", cancel), ("PATCH /bookings/1", cancel)];
    assert_snapshot!(asks(&town, &requests).await, @r#"
    PUT /bookings/1 {"status":"BOOKING_CANCELLED"}
      404 there is no such booking
    PATCH /bookings/1 {"status":"BOOKING_CANCELLED"}
      404 there is no such booking
    "#);
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused() {
    let town = Town::open();
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
    assert_snapshot!(asks(&town, &requests).await, @r#"
    GET /bookings?page=-1
      422 "page": must be a whole number, counted from 0
    GET /bookings?page=one
      422 "page": must be a whole number, counted from 0
    GET /bookings?page=1.5
      422 "page": must be a whole number, counted from 0
    GET /bookings?page=
      422 "page": must be a whole number, counted from 0
    GET /bookings?page=4294967296
      422 "page": must be a whole number, counted from 0
    GET /bookings?size=0
      422 "size": must be a whole number from 1
    GET /bookings?size=-1
      422 "size": must be a whole number from 1
    GET /bookings?size=many
      422 "size": must be a whole number from 1
    GET /bookings?size=
      422 "size": must be a whole number from 1
    GET /bookings?page=1&page=2
      422 "page": duplicate field `page`
    "#);
}
