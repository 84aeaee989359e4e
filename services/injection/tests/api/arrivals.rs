//! Who came, and who did not.

use serde_json::{Value, json};
use testkit::TestApp;

use super::{COMPLETED, booked, cancelled, day::booked_at, start, start_with_three, status};

const CHECKED_IN: &str = r#"{"status":"CHECKED_IN"}"#;
const NO_SHOW: &str = r#"{"status":"NO_SHOW"}"#;
const READY: &str = r#"{"status":"INJECTION_READY"}"#;

/// A desk with an appointment of long ago, one of a distant day, and one without a slot.
async fn start_with_slots() -> TestApp {
    let app = start();
    let events = [booked_at(1, "2000-01-01T00:00:00Z"), booked_at(2, "2999-01-01T00:00:00Z")];
    app.publish(&events).await;
    app.publish(&[booked(3, 3)]).await;
    app
}

#[tokio::test]
async fn a_citizen_is_checked_in_once_and_keeps_the_time() {
    let app = start_with_three().await;
    let first = app.request("PATCH /injections/1", CHECKED_IN).await;
    assert_eq!(first.status, 200);
    let shown = first.json();
    assert_eq!(shown["status"], "CHECKED_IN");
    let is_time = |value: &Value| value.as_str().unwrap().ends_with('Z');
    assert!(is_time(&shown["checkedInAt"]), "{shown}");
    let again = app.request("PATCH /injections/1", CHECKED_IN).await;
    let read = app.request("GET /injections/1", "").await;
    for reply in [again, read] {
        assert_eq!((reply.status.as_u16(), reply.body()), (200, first.body()));
        assert_eq!(reply.header("etag"), first.header("etag"));
    }
}

#[tokio::test]
async fn a_check_in_is_taken_back_completed_or_cancelled() {
    let app = start_with_three().await;
    for id in 1..=3 {
        app.request(&format!("PATCH /injections/{id}"), CHECKED_IN).await;
    }
    let ready = app.request("PATCH /injections/1", READY).await.json();
    assert_eq!((&ready["status"], ready.get("checkedInAt")), (&json!("INJECTION_READY"), None));
    app.request("PUT /injections/2", COMPLETED).await;
    app.publish(&[cancelled(4, 3)]).await;
    assert_eq!(status(&app, 2).await, "INJECTION_COMPLETED");
    assert_eq!(status(&app, 3).await, "INJECTION_CANCELLED");
}

#[tokio::test]
async fn a_no_show_is_marked_after_the_start_and_can_be_set_back() {
    let app = start_with_slots().await;
    let transcript = async |line, body| app.request(line, body).await.in_short();
    assert!(transcript("PATCH /injections/1", NO_SHOW).await.contains("\"NO_SHOW\""));
    assert!(transcript("PATCH /injections/1", NO_SHOW).await.starts_with("200"));
    for (line, body, expected) in [
        ("PATCH /injections/2", NO_SHOW, "409 slot-not-started; its slot has not started"),
        (
            "PATCH /injections/3",
            NO_SHOW,
            "409 no-slot; it has no slot, so nobody knows when it starts",
        ),
        (
            "PATCH /injections/1",
            CHECKED_IN,
            "409 no-show; it was marked as a no-show; it must become ready first",
        ),
        (
            "PATCH /injections/1",
            COMPLETED,
            "409 no-show; it was marked as a no-show, and its day is over; it must become ready first",
        ),
    ] {
        assert_eq!(transcript(line, body).await, expected);
    }
    assert!(transcript("PATCH /injections/1", READY).await.starts_with("200"));
    assert!(transcript("PATCH /injections/1", CHECKED_IN).await.starts_with("200"));
    let refused = transcript("PATCH /injections/1", NO_SHOW).await;
    assert_eq!(refused, "409 checked-in; its citizen is checked in; it must become ready first");
}
