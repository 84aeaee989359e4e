//! What bookings say is heard once, in order.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::town::{NORTH, SOUTH, Town, booked, booking_as, cancelled, event};

#[tokio::test]
async fn a_batch_of_events_is_heard_to_its_end() {
    let town = Town::open();
    let heard = town.say(&[booked(1, 1), booked(2, 2), cancelled(3, 1)]).await;
    assert_snapshot!(heard, @r#"
    200 OK
    content-type: application/json

    {"sequence":3}
    "#);
    let north = town.ask(&format!("GET /events/heard?source={NORTH}"), "").await;
    let south = town.ask(&format!("GET /events/heard?source={SOUTH}"), "").await;
    assert_eq!((&north.json()["sequence"], &south.json()["sequence"]), (&json!(3), &json!(0)));
    assert_eq!(town.status(1).await, "INJECTION_CANCELLED");
    assert_eq!(town.status(2).await, "INJECTION_READY");
}

#[tokio::test]
async fn what_comes_again_or_too_early_has_no_effect_and_is_answered_with_the_position() {
    let town = Town::open();
    let mut positions = Vec::new();
    for events in [
        vec![booked(2, 2)],
        vec![booked(1, 1), booked(1, 1)],
        vec![booked(1, 9)],
        vec![booked(2, 2), cancelled(4, 2), booked(3, 3)],
        vec![cancelled(4, 2), booked(1, 1)],
    ] {
        let heard = town.say(&events).await.json()["sequence"].as_u64().unwrap();
        let total = town.ask("GET /injections", "").await.json();
        positions.push((heard, total["page"]["totalElements"].as_u64().unwrap()));
    }
    assert_eq!(positions, [(0, 0), (1, 1), (1, 1), (3, 3), (4, 3)]);
}

#[tokio::test]
async fn a_citizen_who_was_vaccinated_cannot_cancel_any_more() {
    let town = Town::with_three().await;
    town.ask("PATCH /injections/1", r#"{"status":"INJECTION_COMPLETED"}"#).await;
    assert_eq!(town.say(&[cancelled(4, 1)]).await.json()["sequence"], 4);
    assert_eq!(town.status(1).await, "INJECTION_COMPLETED");
}

#[tokio::test]
async fn an_event_about_something_else_has_its_place_and_no_effect() {
    let town = Town::open();
    let newer = event(NORTH, 2, "Moved", &booking_as(1, "MOVED"));
    let abandoned = event(
        NORTH,
        3,
        "ReservationAbandoned",
        &json!({"reservationId": "00000000-0000-0000-0000-000000000001"}),
    );
    let heard = town.say(&[booked(1, 1), newer, abandoned, booked(4, 2)]).await;
    assert_eq!(heard.json()["sequence"], 4);
    assert_eq!(town.status(1).await, "INJECTION_READY");
    let parked = town.ask("GET /events/parked", "").await;
    assert_eq!(parked.json(), json!({"total": 0, "events": []}));
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_put_aside() {
    let town = Town::open();
    let unreadable = event(NORTH, 1, "Booked", &json!({"bookingId": "seven"}));
    assert_eq!(town.say(&[unreadable, booked(2, 2)]).await.json()["sequence"], 2);
    let parked = town.ask("GET /events/parked", "").await.json();
    assert_eq!(parked["total"], 1);
    assert_eq!(parked["events"][0]["data"], r#"{"bookingId":"seven"}"#);
    assert_eq!(town.status(1).await, "INJECTION_READY");
}

#[tokio::test]
async fn an_envelope_that_cannot_be_read_is_refused_with_its_field() {
    let town = Town::open();
    for (field, value) in [
        ("sequence", json!(2)),
        ("sequence", json!("-2")),
        ("source", json!("north")),
        ("time", json!("yesterday")),
        ("type", Value::Null),
    ] {
        let mut second = booked(2, 2);
        second[field] = value;
        let refused = town.say(&[booked(1, 1), second]).await;
        assert_eq!(refused.status, 422, "{refused}");
        assert_eq!(refused.json()["field"], format!("[1].{field}"));
    }
    let heard = town.ask(&format!("GET /events/heard?source={NORTH}"), "").await;
    assert_eq!(heard.json()["sequence"], 0);
}
