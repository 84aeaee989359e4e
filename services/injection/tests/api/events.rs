//! Events of bookings are consumed once, in order.

use injection::SERVICE;
use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::{EventRecorder, TestApp, event};

use super::{
    COMPLETED, MOVED_TO, NORTH, SOUTH, booked, cancelled, data, moved, offset, start,
    start_with_three, status, with_three,
};

#[tokio::test]
async fn a_batch_of_events_is_consumed_to_its_end() {
    let app = start();
    let consumed = app.publish(&[booked(1, 1), booked(2, 2), cancelled(3, 1)]).await;
    assert_snapshot!(consumed, @r#"
    200 OK
    content-type: application/json

    {"sequence":3}
    "#);
    assert_eq!((offset(&app, NORTH).await, offset(&app, SOUTH).await), (json!(3), json!(0)));
    assert_eq!(status(&app, 1).await, "INJECTION_CANCELLED");
    assert_eq!(status(&app, 2).await, "INJECTION_READY");
}

#[tokio::test]
async fn a_repeated_or_early_event_has_no_effect_and_the_reply_is_the_offset() {
    let app = start();
    let mut offsets = Vec::new();
    for events in [
        vec![booked(2, 2)],
        vec![booked(1, 1), booked(1, 1)],
        vec![booked(1, 9)],
        vec![booked(2, 2), cancelled(4, 2), booked(3, 3)],
        vec![cancelled(4, 2), booked(1, 1)],
    ] {
        let consumed = app.publish(&events).await.json()["sequence"].as_u64().unwrap();
        let total = app.request("GET /injections", "").await.json();
        offsets.push((consumed, total["page"]["totalElements"].as_u64().unwrap()));
    }
    assert_eq!(offsets, [(0, 0), (1, 1), (1, 1), (3, 3), (4, 3)]);
}

#[tokio::test]
async fn a_cancellation_after_the_injection_has_no_effect() {
    let app = start_with_three().await;
    app.request("PATCH /injections/1", COMPLETED).await;
    assert_eq!(app.publish(&[cancelled(4, 1)]).await.json()["sequence"], 4);
    assert_eq!(status(&app, 1).await, "INJECTION_COMPLETED");
}

#[tokio::test]
async fn a_moved_booking_keeps_its_appointment_which_is_completed_with_the_new_dose() {
    let vaccine = EventRecorder::start();
    let app = with_three(TestApp::start(&SERVICE, &[("VACCINE_URL", vaccine.url())])).await;
    assert_eq!(app.publish(&[moved(4, 2)]).await.json()["sequence"], 4);
    let all = app.request("GET /injections", "").await.json();
    assert_eq!(all["page"]["totalElements"], 3);
    app.request("PATCH /injections/2", COMPLETED).await;
    let published = &vaccine.events(1).await[0];
    let used: Value = serde_json::from_str(published.data.get()).unwrap();
    assert_eq!(used["reservationId"], MOVED_TO);
    assert_eq!(used["firstReservationId"], data(2, "BOOKED")["reservationId"]);
}

#[tokio::test]
async fn an_event_that_does_not_concern_the_desk_is_consumed_without_effect() {
    let app = start();
    let newer = event(NORTH, 2, "Moved", &data(1, "MOVED"));
    let aborted = event(
        NORTH,
        3,
        "ReservationAborted",
        &json!({"reservationId": "00000000-0000-0000-0000-000000000001"}),
    );
    let consumed = app.publish(&[booked(1, 1), newer, aborted, booked(4, 2)]).await;
    assert_eq!(consumed.json()["sequence"], 4);
    assert_eq!(status(&app, 1).await, "INJECTION_READY");
    let dead_letters = app.request("GET /events/dead-letters", "").await;
    assert_eq!(dead_letters.json(), json!({"total": 0, "events": []}));
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_is_dead_lettered() {
    let app = start();
    let malformed = event(NORTH, 1, "Booked", &json!({"bookingId": "seven"}));
    assert_eq!(app.publish(&[malformed, booked(2, 2)]).await.json()["sequence"], 2);
    let dead_letters = app.request("GET /events/dead-letters", "").await.json();
    assert_eq!(dead_letters["total"], 1);
    assert_eq!(dead_letters["events"][0]["data"], r#"{"bookingId":"seven"}"#);
    assert_eq!(status(&app, 1).await, "INJECTION_READY");
}

#[tokio::test]
async fn an_envelope_that_cannot_be_parsed_is_refused_with_its_field() {
    let app = start();
    for (field, value) in [
        ("sequence", json!(2)),
        ("sequence", json!("-2")),
        ("source", json!("north")),
        ("time", json!("yesterday")),
        ("type", Value::Null),
    ] {
        let mut second = booked(2, 2);
        second[field] = value;
        let refused = app.publish(&[booked(1, 1), second]).await;
        assert_eq!(refused.status, 422, "{refused}");
        assert_eq!(refused.json()["field"], format!("[1].{field}"));
    }
    assert_eq!(offset(&app, NORTH).await, 0);
}
