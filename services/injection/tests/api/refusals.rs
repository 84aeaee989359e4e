//! Requests that are refused, and why.

use insta::assert_snapshot;

use super::{COMPLETED, start_with_three, status};

#[tokio::test]
async fn only_the_status_can_be_changed_and_only_to_those_of_the_desk() {
    let app = start_with_three().await;
    let with = |body| ("PATCH /injections/1", body);
    let transcript = app
        .transcript(&[
            with("{}"),
            with(r#"{"status":"INJECTION_CANCELLED"}"#),
            with(r#"{"status":"injection_completed"}"#),
            with(r#"{"status":""}"#),
            with(r#"{"status":7}"#),
            with(r#"{"status":"INJECTION_COMPLETED","bookingId":2}"#),
            with(r#"{"status":"INJECTION_COMPLETED","vaccineId":"2"}"#),
            with(r#"{"status":"INJECTION_COMPLETED","userId":5}"#),
            with(r#"{"status":"INJECTION_COMPLETED","userId":"five"}"#),
        ])
        .await;
    assert_snapshot!(transcript, @r#"
    PATCH /injections/1 {}: 422 invalid-field; status: must be given; it is all that can be changed
    PATCH /injections/1 {"status":"INJECTION_CANCELLED"}: 422 invalid-field; status: cannot be changed to this; cancel the booking
    PATCH /injections/1 {"status":"injection_completed"}: 422 invalid-field; status: must be INJECTION_READY, CHECKED_IN, NO_SHOW or INJECTION_COMPLETED
    PATCH /injections/1 {"status":""}: 422 invalid-field; status: must be INJECTION_READY, CHECKED_IN, NO_SHOW or INJECTION_COMPLETED
    PATCH /injections/1 {"status":7}: 422 invalid-field; status: invalid type: integer `7`, expected a string at line 1 column 11
    PATCH /injections/1 {"status":"INJECTION_COMPLETED","bookingId":2}: 409 unchangeable-field; bookingId: it is that of the booking
    PATCH /injections/1 {"status":"INJECTION_COMPLETED","vaccineId":"2"}: 409 unchangeable-field; vaccineId: it is that of the booking
    PATCH /injections/1 {"status":"INJECTION_COMPLETED","userId":5}: 409 unchangeable-field; userId: it is that of the booking
    PATCH /injections/1 {"status":"INJECTION_COMPLETED","userId":"five"}: 422 invalid-field; userId: invalid value: string "five", expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 47
    "#);
    assert_eq!(status(&app, 1).await, "INJECTION_READY");
}

#[tokio::test]
async fn a_completed_injection_does_not_become_ready_again() {
    let app = start_with_three().await;
    let transcript = app
        .transcript(&[
            ("PATCH /injections/1", COMPLETED),
            ("PUT /injections/1", r#"{"status":"INJECTION_READY"}"#),
        ])
        .await;
    assert_snapshot!(transcript, @r#"
    PATCH /injections/1 {"status":"INJECTION_COMPLETED"}: 200 {"injectionId":1,"bookingId":1,"vaccineId":1,"userId":101,"status":"INJECTION_COMPLETED","_links":{"self":{"href":"http://injection.test/injections/1"},"injection":{"href":"http://injection.test/injections/1"}}}
    PUT /injections/1 {"status":"INJECTION_READY"}: 409 injection-completed; it was completed before
    "#);
}

#[tokio::test]
async fn a_body_must_be_a_json_object() {
    let app = start_with_three().await;
    let with = |body| ("PUT /injections/1", body);
    let transcript = app.transcript(&[with(""), with("[]"), with("{"), with("null")]).await;
    assert_snapshot!(transcript, @"
    PUT /injections/1: 400 malformed; the body must be a JSON object
    PUT /injections/1 []: 400 malformed; the body must be a JSON object
    PUT /injections/1 {: 400 malformed; not JSON: EOF while parsing an object at line 1 column 1
    PUT /injections/1 null: 400 malformed; the body must be a JSON object
    ");
    let text = [("content-type", "text/plain")];
    let refused = app.request_with(&text, "PUT /injections/1", COMPLETED).await;
    assert_eq!(refused.status, 415);
    let refused = app.request("PUT /injections/1", " ".repeat(64 * 1024 + 1)).await;
    assert_eq!(refused.status, 413);
    assert_eq!(status(&app, 1).await, "INJECTION_READY");
}

#[tokio::test]
async fn an_unknown_injection_is_not_found() {
    let app = start_with_three().await;
    let transcript = app
        .transcript(&[
            ("GET /injections/4", ""),
            ("GET /injections/0", ""),
            ("GET /injections/-1", ""),
            ("GET /injections/one", ""),
            ("PUT /injections/4", COMPLETED),
            ("GET /cancellations/1", ""),
            ("GET /cancellations/one", ""),
        ])
        .await;
    assert_snapshot!(transcript, @r#"
    GET /injections/4: 404 no-such-injection; there is no such injection
    GET /injections/0: 404 no-such-injection; there is no such injection
    GET /injections/-1: 404 not-found; nothing at /injections/-1
    GET /injections/one: 404 not-found; nothing at /injections/one
    PUT /injections/4 {"status":"INJECTION_COMPLETED"}: 404 no-such-injection; there is no such injection
    GET /cancellations/1: 404 not-found; there is no such cancellation
    GET /cancellations/one: 404 not-found; nothing at /cancellations/one
    "#);
}

#[tokio::test]
async fn a_wrong_query_is_refused_with_its_field() {
    let app = start_with_three().await;
    let transcript = app
        .transcript(&[
            ("GET /injections?page=-1", ""),
            ("GET /injections?size=0", ""),
            ("GET /cancellations?page=one", ""),
            ("GET /injections/search/findByBookingId", ""),
            ("GET /injections/search/findByBookingId?bookingId=one", ""),
            ("GET /events/offset", ""),
            ("GET /events/offset?source=north", ""),
        ])
        .await;
    assert_snapshot!(transcript, @"
    GET /injections?page=-1: 422 invalid-field; page: must be a whole number, counted from 0
    GET /injections?size=0: 422 invalid-field; size: must be a whole number from 1
    GET /cancellations?page=one: 422 invalid-field; page: must be a whole number, counted from 0
    GET /injections/search/findByBookingId: 422 invalid-field; bookingId: must be the number of a booking
    GET /injections/search/findByBookingId?bookingId=one: 422 invalid-field; bookingId: must be the number of a booking
    GET /events/offset: 422 invalid-field; source: missing field `source`
    GET /events/offset?source=north: 422 invalid-field; source: UUID parsing failed: invalid character: found `n` at 0
    ");
}

#[tokio::test]
async fn appointments_cannot_be_created_or_deleted() {
    let app = start_with_three().await;
    for (line, allowed) in [
        ("POST /injections", "GET,HEAD"),
        ("DELETE /injections/1", "GET,HEAD,PUT,PATCH"),
        ("POST /cancellations", "GET,HEAD"),
        ("DELETE /cancellations/1", "GET,HEAD"),
        ("PUT /cancellations/1", "GET,HEAD"),
    ] {
        let refused = app.request(line, "{}").await;
        assert_eq!(refused.status, 405, "{line}");
        assert_eq!(refused.header("allow"), Some(allowed), "{line}");
    }
}
