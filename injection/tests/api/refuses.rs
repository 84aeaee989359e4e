//! Requests that cannot be meant, and what is wrong with them.

use insta::assert_snapshot;

use crate::town::Town;

#[tokio::test]
async fn only_the_status_can_be_changed_and_only_to_completed() {
    let town = Town::with_three().await;
    let with = |body| ("PATCH /injections/1", body);
    let story = town
        .story(&[
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
    assert_snapshot!(story, @r#"
    PATCH /injections/1 {}: 422 invalid-field; status: must be given; it is all that can be changed
    PATCH /injections/1 {"status":"INJECTION_CANCELLED"}: 422 invalid-field; status: cannot be changed to this; cancel the booking
    PATCH /injections/1 {"status":"injection_completed"}: 422 invalid-field; status: must be INJECTION_COMPLETED
    PATCH /injections/1 {"status":""}: 422 invalid-field; status: must be INJECTION_COMPLETED
    PATCH /injections/1 {"status":7}: 422 invalid-field; status: invalid type: integer `7`, expected a string at line 1 column 11
    PATCH /injections/1 {"status":"INJECTION_COMPLETED","bookingId":2}: 422 invalid-field; bookingId: cannot be changed
    PATCH /injections/1 {"status":"INJECTION_COMPLETED","vaccineId":"2"}: 422 invalid-field; vaccineId: cannot be changed
    PATCH /injections/1 {"status":"INJECTION_COMPLETED","userId":5}: 422 invalid-field; userId: cannot be changed
    PATCH /injections/1 {"status":"INJECTION_COMPLETED","userId":"five"}: 422 invalid-field; userId: invalid value: string "five", expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 47
    "#);
    assert_eq!(town.status(1).await, "INJECTION_READY");
}

#[tokio::test]
async fn a_completed_injection_does_not_become_ready_again() {
    let town = Town::with_three().await;
    let story = town
        .story(&[
            ("PATCH /injections/1", r#"{"status":"INJECTION_COMPLETED"}"#),
            ("PUT /injections/1", r#"{"status":"INJECTION_READY"}"#),
        ])
        .await;
    assert_snapshot!(story, @r#"
    PATCH /injections/1 {"status":"INJECTION_COMPLETED"}: 200 {"injectionId":1,"bookingId":1,"vaccineId":1,"userId":101,"status":"INJECTION_COMPLETED","_links":{"self":{"href":"http://injection.test/injections/1"},"injection":{"href":"http://injection.test/injections/1"}}}
    PUT /injections/1 {"status":"INJECTION_READY"}: 422 invalid-field; status: cannot be changed to this; cancel the booking
    "#);
}

#[tokio::test]
async fn a_body_must_be_a_json_object() {
    let town = Town::with_three().await;
    let with = |body| ("PUT /injections/1", body);
    let story = town.story(&[with(""), with("[]"), with("{"), with("null")]).await;
    assert_snapshot!(story, @"
    PUT /injections/1: 400 malformed; the body must be a JSON object
    PUT /injections/1 []: 400 malformed; the body must be a JSON object
    PUT /injections/1 {: 400 malformed; not JSON: EOF while parsing an object at line 1 column 1
    PUT /injections/1 null: 400 malformed; the body must be a JSON object
    ");
    let text = [("content-type", "text/plain")];
    let completed = r#"{"status":"INJECTION_COMPLETED"}"#;
    let refused = town.ask_with(&text, "PUT /injections/1", completed).await;
    assert_eq!(refused.status, 415);
    let refused = town.ask("PUT /injections/1", " ".repeat(64 * 1024 + 1)).await;
    assert_eq!(refused.status, 413);
    assert_eq!(town.status(1).await, "INJECTION_READY");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let town = Town::with_three().await;
    let story = town
        .story(&[
            ("GET /injections/4", ""),
            ("GET /injections/0", ""),
            ("GET /injections/-1", ""),
            ("GET /injections/one", ""),
            ("PUT /injections/4", r#"{"status":"INJECTION_COMPLETED"}"#),
            ("GET /cancellations/1", ""),
            ("GET /cancellations/one", ""),
        ])
        .await;
    assert_snapshot!(story, @r#"
    GET /injections/4: 404 no-such-injection; there is no such injection
    GET /injections/0: 404 no-such-injection; there is no such injection
    GET /injections/-1: 404 no-such-injection; there is no such injection
    GET /injections/one: 404 not-found; nothing at /injections/one
    PUT /injections/4 {"status":"INJECTION_COMPLETED"}: 404 no-such-injection; there is no such injection
    GET /cancellations/1: 404 not-found; there is no such cancellation
    GET /cancellations/one: 404 not-found; nothing at /cancellations/one
    "#);
}

#[tokio::test]
async fn a_wrong_query_is_refused_with_its_field() {
    let town = Town::with_three().await;
    let story = town
        .story(&[
            ("GET /injections?page=-1", ""),
            ("GET /injections?size=0", ""),
            ("GET /cancellations?page=one", ""),
            ("GET /injections/search/findByBookingId", ""),
            ("GET /injections/search/findByBookingId?bookingId=one", ""),
            ("GET /events/heard", ""),
            ("GET /events/heard?source=north", ""),
        ])
        .await;
    assert_snapshot!(story, @"
    GET /injections?page=-1: 422 invalid-field; page: must be a whole number, counted from 0
    GET /injections?size=0: 422 invalid-field; size: must be a whole number from 1
    GET /cancellations?page=one: 422 invalid-field; page: must be a whole number, counted from 0
    GET /injections/search/findByBookingId: 422 invalid-field; bookingId: must be the number of a booking
    GET /injections/search/findByBookingId?bookingId=one: 422 invalid-field; bookingId: must be the number of a booking
    GET /events/heard: 422 invalid-field; source: missing field `source`
    GET /events/heard?source=north: 422 invalid-field; source: UUID parsing failed: invalid character: found `n` at 0
    ");
}

#[tokio::test]
async fn nothing_is_made_or_removed_by_hand() {
    let town = Town::with_three().await;
    for (line, allowed) in [
        ("POST /injections", "GET,HEAD"),
        ("DELETE /injections/1", "GET,HEAD,PUT,PATCH"),
        ("POST /cancellations", "GET,HEAD"),
        ("DELETE /cancellations/1", "GET,HEAD"),
        ("PUT /cancellations/1", "GET,HEAD"),
    ] {
        let refused = town.ask(line, "{}").await;
        assert_eq!(refused.status, 405, "{line}");
        assert_eq!(refused.header("allow"), Some(allowed), "{line}");
    }
}
