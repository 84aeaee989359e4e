//! A booking can be cancelled, once and for good.

use contracts::event::short_name;
use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::event;

use crate::app::{BookingApp, REFERENCE_BODY};

/// The store of `injection`.
const INJECTION: &str = "00000000-0000-0000-0000-000000000009";

const CANCEL: &str = r#"{"status":"BOOKING_CANCELLED"}"#;

async fn with_a_booking() -> BookingApp {
    let app = BookingApp::start();
    assert_eq!(app.request("POST /bookings", REFERENCE_BODY).await.status, 201);
    app
}

/// The types of all events, after one more booking.
async fn events_with_one_more(app: &BookingApp, count: usize) -> Vec<String> {
    assert_eq!(app.request("POST /bookings", REFERENCE_BODY).await.status, 201);
    let events = app.vaccine.events(count).await;
    events.iter().map(|event| short_name(&event.r#type).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_changed_status_cancels_and_the_dose_is_released_once() {
    let app = with_a_booking().await;
    assert_snapshot!(app.request("PATCH /bookings/1", CANCEL).await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKING_CANCELLED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
    let again = app.request("PATCH /bookings/1", CANCEL).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["status"]),
        (200, &"BOOKING_CANCELLED".into())
    );
    assert_eq!(events_with_one_more(&app, 3).await, ["Booked", "BookingCancelled", "Booked"]);
}

#[tokio::test]
async fn a_booking_can_be_put_as_it_was_read_with_another_status() {
    let app = with_a_booking().await;
    let mut booking = app.request("GET /bookings/1", "").await.json();
    booking["status"] = "BOOKING_CANCELLED".into();
    assert_snapshot!(app.request("PUT /bookings/1", booking.to_string()).await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKING_CANCELLED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
    assert_eq!(app.request("PUT /bookings/1", booking.to_string()).await.status, 200);
    assert_eq!(events_with_one_more(&app, 3).await, ["Booked", "BookingCancelled", "Booked"]);
}

#[tokio::test]
async fn delete_cancels_and_the_booking_remains_readable() {
    let app = with_a_booking().await;
    assert_snapshot!(app.request("DELETE /bookings/1", "").await, @"204 No Content");
    assert_snapshot!(app.request("DELETE /bookings/1", "").await, @"204 No Content");
    assert_snapshot!(app.request("GET /bookings/1", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKING_CANCELLED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
    assert_eq!(events_with_one_more(&app, 3).await, ["Booked", "BookingCancelled", "Booked"]);
}

#[tokio::test]
async fn the_status_of_a_booking_may_be_sent_unchanged() {
    let app = with_a_booking().await;
    for status in ["BOOKED", "BOOCKED"] {
        let reply = app.request("PATCH /bookings/1", format!(r#"{{"status":"{status}"}}"#)).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["status"]), (200, &"BOOKED".into()));
    }
    assert_eq!(events_with_one_more(&app, 2).await, ["Booked", "Booked"]);
}

#[tokio::test]
async fn a_cancelled_booking_stays_cancelled() {
    let app = with_a_booking().await;
    app.request("DELETE /bookings/1", "").await;
    assert_snapshot!(app.request("PATCH /bookings/1", r#"{"status":"BOOKED"}"#).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {"type":"urn:anticorona:booking-cancelled","title":"The booking is cancelled","status":409,"detail":"its dose may have been booked by another citizen; book again"}
    "#);
    assert_eq!(events_with_one_more(&app, 3).await, ["Booked", "BookingCancelled", "Booked"]);
}

#[tokio::test]
async fn only_the_status_and_the_slot_can_be_changed() {
    let app = with_a_booking().await;
    let bodies = [
        r#"{"status":"BOOKING_CANCELLED","userId":6}"#,
        r#"{"status":"BOOKING_CANCELLED","vaccineId":2}"#,
        r#"{"slotId":7,"vaccineId":2}"#,
        r#"{"status":"BOOKING_CANCELLED","slotId":7}"#,
        r#"{"slotId":0}"#,
        r#"{"status":"INJECTION_READY"}"#,
        r#"{"status":null}"#,
        "{}",
    ];
    let mut requests = Vec::new();
    for body in bodies {
        for method in ["PATCH", "PUT"] {
            requests.push((format!("{method} /bookings/1"), body));
        }
    }
    let lines: Vec<_> = requests.iter().map(|(line, body)| (line.as_str(), *body)).collect();
    assert_snapshot!(app.transcript(&lines).await, @r#"
    PATCH /bookings/1 {"status":"BOOKING_CANCELLED","userId":6}: 409 unchangeable-field; userId: cancel and book again
    PUT /bookings/1 {"status":"BOOKING_CANCELLED","userId":6}: 409 unchangeable-field; userId: cancel and book again
    PATCH /bookings/1 {"status":"BOOKING_CANCELLED","vaccineId":2}: 409 unchangeable-field; vaccineId: cancel and book again
    PUT /bookings/1 {"status":"BOOKING_CANCELLED","vaccineId":2}: 409 unchangeable-field; vaccineId: cancel and book again
    PATCH /bookings/1 {"slotId":7,"vaccineId":2}: 409 unchangeable-field; vaccineId: cancel and book again
    PUT /bookings/1 {"slotId":7,"vaccineId":2}: 409 unchangeable-field; vaccineId: cancel and book again
    PATCH /bookings/1 {"status":"BOOKING_CANCELLED","slotId":7}: 409 unchangeable-field; slotId: cancel and book again
    PUT /bookings/1 {"status":"BOOKING_CANCELLED","slotId":7}: 409 unchangeable-field; slotId: cancel and book again
    PATCH /bookings/1 {"slotId":0}: 422 invalid-field; slotId: must be from 1 to 9007199254740991
    PUT /bookings/1 {"slotId":0}: 422 invalid-field; slotId: must be from 1 to 9007199254740991
    PATCH /bookings/1 {"status":"INJECTION_READY"}: 422 invalid-field; status: must be BOOKED or BOOKING_CANCELLED
    PUT /bookings/1 {"status":"INJECTION_READY"}: 422 invalid-field; status: must be BOOKED or BOOKING_CANCELLED
    PATCH /bookings/1 {"status":null}: 422 invalid-field; status: must be given, unless a slotId is
    PUT /bookings/1 {"status":null}: 422 invalid-field; status: must be given, unless a slotId is
    PATCH /bookings/1 {}: 422 invalid-field; status: must be given, unless a slotId is
    PUT /bookings/1 {}: 422 invalid-field; status: must be given, unless a slotId is
    "#);
    assert_eq!(events_with_one_more(&app, 2).await, ["Booked", "Booked"]);
}

/// The event that a dose was used.
fn completed(sequence: u64, reservation: &str) -> Value {
    let data = json!({
        "reservationId": reservation, "injectionId": 1, "bookingId": 1, "vaccineId": 1,
        "userId": 5, "status": "INJECTION_COMPLETED",
    });
    event(INJECTION, sequence, "Completed", &data)
}

/// Publishes events to booking; its consumer offset afterwards.
async fn publish(app: &BookingApp, events: &[Value]) -> Value {
    app.publish(events).await.json()["sequence"].clone()
}

/// The dose of the first booking.
async fn reservation(app: &BookingApp) -> String {
    app.vaccine.batches(1).await[0].blocks[0].first.to_string()
}

#[tokio::test]
async fn a_completed_booking_cannot_be_cancelled() {
    let app = with_a_booking().await;
    assert_eq!(publish(&app, &[completed(1, &reservation(&app).await)]).await, 1);
    assert_eq!(app.request("GET /bookings/1", "").await.json()["status"], "INJECTION_COMPLETED");
    let refused = app.request("DELETE /bookings/1", "").await;
    assert_snapshot!(refused, @r#"
    409 Conflict
    content-type: application/problem+json

    {"type":"urn:anticorona:injection-completed","title":"The injection is completed","status":409,"detail":"the injection is completed"}
    "#);
    for (line, body) in [
        ("PATCH /bookings/1", CANCEL),
        ("PUT /bookings/1", CANCEL),
        ("PATCH /bookings/1", r#"{"status":"BOOKED"}"#),
    ] {
        assert_eq!(app.request(line, body).await.to_string(), refused.to_string(), "{line} {body}");
    }
    assert_eq!(app.request("GET /bookings/1", "").await.json()["status"], "INJECTION_COMPLETED");
    // `injection` publishes it.
    assert_eq!(events_with_one_more(&app, 2).await, ["Booked", "Booked"]);
}

#[tokio::test]
async fn a_cancelled_booking_whose_dose_was_used_is_completed() {
    let app = with_a_booking().await;
    app.request("DELETE /bookings/1", "").await;
    let used = completed(1, &reservation(&app).await);
    assert_eq!(publish(&app, &[used.clone(), used]).await, 1);
    assert_eq!(app.request("GET /bookings/1", "").await.json()["status"], "INJECTION_COMPLETED");
}

#[tokio::test]
async fn an_injection_of_another_stores_booking_is_consumed_and_changes_nothing() {
    let app = with_a_booking().await;
    let others = completed(1, "00000000-0000-0000-0000-00000000000a");
    assert_eq!(publish(&app, &[others]).await, 1);
    assert_eq!(app.request("GET /bookings/1", "").await.json()["status"], "BOOKED");
    assert_eq!(app.request("GET /events/dead-letters", "").await.json()["total"], 0);
}

#[tokio::test]
async fn a_cancellation_that_is_meant_for_another_state_is_refused() {
    let app = with_a_booking().await;
    let tag = async || {
        let read = app.request("GET /bookings/1", "").await;
        read.header("etag").unwrap().to_owned()
    };
    let cancel = async |line: &str, tag: &str, body: &str| {
        let headers = [("content-type", "application/json"), ("if-match", tag)];
        app.request_with(&headers, line, body).await.status.as_u16()
    };
    let booked = tag().await;
    assert_eq!(cancel("PATCH /bookings/1", &booked, CANCEL).await, 200);
    assert_eq!(cancel("PATCH /bookings/1", &booked, CANCEL).await, 412);
    assert_eq!(cancel("DELETE /bookings/1", &booked, "").await, 412);
    assert_eq!(cancel("DELETE /bookings/1", &tag().await, "").await, 204);
}

#[tokio::test]
async fn nobody_may_store_a_booking_on_the_way() {
    let app = with_a_booking().await;
    let created = app.request("POST /bookings", REFERENCE_BODY).await;
    assert_eq!(created.header("cache-control"), Some("no-store"));
    for line in ["GET /bookings", "GET /bookings/1", "GET /bookings/9"] {
        let reply = app.request(line, "").await;
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{line}");
    }
}
