//! A booking can be cancelled, once and for good; nothing else about it can change.

use contracts::event::{
    BATCH_MEDIA_TYPE,
    EventType::{self, Booked, BookingCancelled},
};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{
    in_short,
    town::{SEED, Town},
};

const CANCEL: &str = r#"{"status":"BOOKING_CANCELLED"}"#;

async fn with_a_booking() -> Town {
    let town = Town::open();
    assert_eq!(town.ask("POST /bookings", SEED).await.status, 201);
    town
}

/// Everything that vaccine hears of a town where now one more booking is made.
async fn told_with_one_more(town: &Town, many: usize) -> Vec<EventType> {
    assert_eq!(town.ask("POST /bookings", SEED).await.status, 201);
    town.vaccine.told(many).await.iter().map(|event| event.r#type.clone()).collect()
}

#[tokio::test]
async fn a_changed_status_cancels_and_the_dose_goes_back_once() {
    let town = with_a_booking().await;
    assert_snapshot!(town.ask("PATCH /bookings/1", CANCEL).await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKING_CANCELLED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
    let again = town.ask("PATCH /bookings/1", CANCEL).await;
    assert_eq!(
        (again.status.as_u16(), &again.json()["status"]),
        (200, &"BOOKING_CANCELLED".into())
    );
    assert_eq!(told_with_one_more(&town, 3).await, [Booked, BookingCancelled, Booked]);
}

#[tokio::test]
async fn the_booking_can_be_put_back_as_it_was_read_with_another_status() {
    let town = with_a_booking().await;
    let mut booking = town.ask("GET /bookings/1", "").await.json();
    booking["status"] = "BOOKING_CANCELLED".into();
    assert_snapshot!(town.ask("PUT /bookings/1", booking.to_string()).await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKING_CANCELLED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
    assert_eq!(town.ask("PUT /bookings/1", booking.to_string()).await.status, 200);
    assert_eq!(told_with_one_more(&town, 3).await, [Booked, BookingCancelled, Booked]);
}

#[tokio::test]
async fn delete_cancels_and_the_booking_stays_to_be_seen() {
    let town = with_a_booking().await;
    assert_snapshot!(town.ask("DELETE /bookings/1", "").await, @"204 No Content");
    assert_snapshot!(town.ask("DELETE /bookings/1", "").await, @"204 No Content");
    assert_snapshot!(town.ask("GET /bookings/1", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKING_CANCELLED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
    assert_eq!(told_with_one_more(&town, 3).await, [Booked, BookingCancelled, Booked]);
}

#[tokio::test]
async fn what_is_booked_already_stays_booked() {
    let town = with_a_booking().await;
    for status in ["BOOKED", "BOOCKED"] {
        let answer = town.ask("PATCH /bookings/1", format!(r#"{{"status":"{status}"}}"#)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &"BOOKED".into()));
    }
    assert_eq!(told_with_one_more(&town, 2).await, [Booked, Booked]);
}

#[tokio::test]
async fn a_cancelled_booking_stays_cancelled() {
    let town = with_a_booking().await;
    town.ask("DELETE /bookings/1", "").await;
    assert_snapshot!(town.ask("PATCH /bookings/1", r#"{"status":"BOOKED"}"#).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {"type":"urn:anticorona:booking-cancelled","title":"The booking is cancelled","status":409,"detail":"its dose may be somebody else's by now; book again"}
    "#);
    assert_eq!(told_with_one_more(&town, 3).await, [Booked, BookingCancelled, Booked]);
}

#[tokio::test]
async fn everything_but_the_status_stays_as_it_is() {
    let town = with_a_booking().await;
    let bodies = [
        r#"{"status":"BOOKING_CANCELLED","userId":6}"#,
        r#"{"status":"BOOKING_CANCELLED","vaccineId":2}"#,
        r#"{"status":"INJECTION_READY"}"#,
        r#"{"status":null}"#,
        "{}",
    ];
    let mut story = Vec::new();
    for body in bodies {
        for method in ["PATCH", "PUT"] {
            let answer = town.ask(&format!("{method} /bookings/1"), body).await;
            story.push(format!("{method} {body}\n  {}", in_short(&answer)));
        }
    }
    assert_snapshot!(story.join("\n"), @r#"
    PATCH {"status":"BOOKING_CANCELLED","userId":6}
      422 "userId": cannot be changed; cancel and book again
    PUT {"status":"BOOKING_CANCELLED","userId":6}
      422 "userId": cannot be changed; cancel and book again
    PATCH {"status":"BOOKING_CANCELLED","vaccineId":2}
      422 "vaccineId": cannot be changed; cancel and book again
    PUT {"status":"BOOKING_CANCELLED","vaccineId":2}
      422 "vaccineId": cannot be changed; cancel and book again
    PATCH {"status":"INJECTION_READY"}
      422 "status": must be BOOKED or BOOKING_CANCELLED
    PUT {"status":"INJECTION_READY"}
      422 "status": must be BOOKED or BOOKING_CANCELLED
    PATCH {"status":null}
      422 "status": must be given; it is all that can be changed
    PUT {"status":null}
      422 "status": must be given; it is all that can be changed
    PATCH {}
      422 "status": must be given; it is all that can be changed
    PUT {}
      422 "status": must be given; it is all that can be changed
    "#);
    assert_eq!(told_with_one_more(&town, 2).await, [Booked, Booked]);
}

/// What `injection` says of a dose that was used.
fn completed(sequence: u64, reservation: &str) -> Value {
    let desk = "00000000-0000-0000-0000-000000000009";
    json!({
        "specversion": "1.0",
        "id": format!("{desk}/{sequence}"),
        "source": desk,
        "sequence": sequence.to_string(),
        "type": "anticorona.Completed.v1",
        "time": "2026-11-24T08:00:00Z",
        "data": {
            "reservationId": reservation, "injectionId": 1, "bookingId": 1, "vaccineId": 1,
            "userId": 5, "status": "INJECTION_COMPLETED",
        },
    })
}

async fn say(town: &Town, events: &[Value]) -> Value {
    let headers = [("content-type", BATCH_MEDIA_TYPE)];
    let heard = town.ask_with(&headers, "POST /events", Value::from(events).to_string()).await;
    heard.json()["sequence"].clone()
}

/// The attempt behind the first booking.
async fn reservation(town: &Town) -> String {
    town.vaccine.batches(1).await[0].holds[0].reservation_id.to_string()
}

#[tokio::test]
async fn a_completed_booking_cannot_be_cancelled() {
    let town = with_a_booking().await;
    assert_eq!(say(&town, &[completed(1, &reservation(&town).await)]).await, 1);
    assert_eq!(town.ask("GET /bookings/1", "").await.json()["status"], "INJECTION_COMPLETED");
    let refused = town.ask("DELETE /bookings/1", "").await;
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
        assert_eq!(town.ask(line, body).await.to_string(), refused.to_string(), "{line} {body}");
    }
    assert_eq!(town.ask("GET /bookings/1", "").await.json()["status"], "INJECTION_COMPLETED");
    // Whoever injects has told everybody.
    assert_eq!(told_with_one_more(&town, 2).await, [Booked, Booked]);
}

#[tokio::test]
async fn a_cancelled_booking_whose_dose_was_used_after_all_is_completed() {
    let town = with_a_booking().await;
    town.ask("DELETE /bookings/1", "").await;
    let used = completed(1, &reservation(&town).await);
    assert_eq!(say(&town, &[used.clone(), used]).await, 1);
    assert_eq!(town.ask("GET /bookings/1", "").await.json()["status"], "INJECTION_COMPLETED");
}

#[tokio::test]
async fn an_injection_of_another_offices_booking_is_heard_and_changes_nothing() {
    let town = with_a_booking().await;
    let others = completed(1, "00000000-0000-0000-0000-00000000000a");
    assert_eq!(say(&town, &[others]).await, 1);
    assert_eq!(town.ask("GET /bookings/1", "").await.json()["status"], "BOOKED");
    assert_eq!(town.ask("GET /events/parked", "").await.json()["total"], 0);
}
