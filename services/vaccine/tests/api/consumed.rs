//! Events of bookings and injections are consumed once, in order.

use std::fmt::Write;

use contracts::event::EVENTS_MAX;
use insta::assert_snapshot;
use platform_events::DELIVERIES_MAX;
use serde_json::{Value, json};
use testkit::event;

use crate::app::{ANA, BO, NORTH, SOUTH, VaccineApp};

/// A booking of vaccine 1 in the north.
fn booked(sequence: u64, reservation: &str) -> Value {
    let data = json!({
        "reservationId": reservation,
        "bookingId": sequence, "vaccineId": 1, "vcName": "FIZER", "userId": 5, "status": "BOOKED",
    });
    event(NORTH, sequence, "Booked", &data)
}

fn cancelled(sequence: u64, reservation: &str) -> Value {
    let data = json!({
        "reservationId": reservation, "bookingId": sequence, "vaccineId": 1,
        "vcName": "FIZER", "userId": 5, "status": "BOOKING_CANCELLED",
    });
    event(NORTH, sequence, "BookingCancelled", &data)
}

/// The booking of the one reservation has another one.
fn moved(sequence: u64, from: &str, to: &str) -> Value {
    let data = json!({
        "reservationId": to, "previousReservationIds": [from], "bookingId": 1, "vaccineId": 1,
        "vcName": "FIZER", "userId": 5, "status": "BOOKED",
    });
    event(NORTH, sequence, "BookingMoved", &data)
}

fn aborted(sequence: u64, reservation: &str) -> Value {
    event(NORTH, sequence, "ReservationAborted", &json!({"reservationId": reservation}))
}

#[tokio::test]
async fn a_batch_of_events_is_consumed_to_its_end() {
    let app = VaccineApp::with_doses(2).await;
    let consumed = app.publish(&[booked(1, ANA), booked(2, BO), cancelled(3, ANA)]).await;
    assert_snapshot!(consumed, @r#"
    200 OK
    content-type: application/json

    {"sequence":3}
    "#);
    let replies = app
        .replies(&[
            format!("GET /vaccines/1/reservations/{ANA}"),
            format!("GET /vaccines/1/reservations/{BO}"),
            format!("GET /events/offset?source={NORTH}"),
            format!("GET /events/offset?source={SOUTH}"),
        ])
        .await;
    assert_snapshot!(replies, @r#"
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 200 {"reservationId":"00000000-0000-0000-0000-00000000000a","vaccineId":1,"state":"released"}
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000b: 200 {"reservationId":"00000000-0000-0000-0000-00000000000b","vaccineId":1,"state":"booked"}
    GET /events/offset?source=00000000-0000-0000-0000-000000000001: 200 {"sequence":3,"lastEventAt":"2026-11-24T08:00:00Z"}
    GET /events/offset?source=00000000-0000-0000-0000-000000000002: 200 {"sequence":0}
    "#);
    assert_eq!(app.taken().await, 1);
}

#[tokio::test]
async fn a_moved_booking_has_its_new_reservation_and_nothing_once_it_is_cancelled() {
    let app = VaccineApp::with_doses(2).await;
    let state = async |id: &str| {
        let path = format!("GET /vaccines/1/reservations/{id}");
        app.request(&path, "").await.json()["state"].clone()
    };
    app.publish(&[booked(1, ANA), moved(2, ANA, BO)]).await;
    assert_eq!([state(ANA).await, state(BO).await], ["released", "booked"]);
    assert_eq!(app.taken().await, 1);
    // As in a snapshot to a ledger that missed all of it.
    let mut cancelled = cancelled(3, BO);
    cancelled["data"]["previousReservationIds"] = json!([ANA]);
    app.publish(&[cancelled]).await;
    assert_eq!([state(ANA).await, state(BO).await], ["released", "released"]);
    assert_eq!(app.taken().await, 0);
}

#[tokio::test]
async fn a_repeated_event_or_one_behind_a_gap_has_no_effect_and_the_reply_is_the_offset() {
    let app = VaccineApp::with_doses(2).await;
    let mut offsets = Vec::new();
    for events in [
        vec![booked(2, BO)],
        vec![booked(1, ANA), booked(1, ANA)],
        vec![booked(1, BO)],
        vec![booked(2, BO), cancelled(4, BO), aborted(3, ANA)],
        vec![cancelled(4, BO), booked(1, ANA)],
    ] {
        let offset = app.publish(&events).await.json()["sequence"].as_u64().unwrap();
        offsets.push((offset, app.taken().await));
    }
    assert_eq!(offsets, [(0, 0), (1, 1), (1, 1), (3, 1), (4, 0)]);
}

#[tokio::test]
async fn an_event_without_effect_is_still_consumed() {
    let app = VaccineApp::with_doses(1).await;
    let events = [aborted(1, ANA), booked(2, ANA), booked(3, BO)];
    assert_eq!(app.publish(&events).await.json()["sequence"], 3);
    assert_eq!(app.taken().await, 1);
}

/// Its booking was cancelled, and booked by another citizen, before the injection was recorded.
#[tokio::test]
async fn a_dose_that_was_used_after_all_is_recorded_and_shown_as_overcommitted() {
    let app = VaccineApp::with_doses(1).await;
    app.publish(&[booked(1, ANA), cancelled(2, ANA), booked(3, BO)]).await;
    let used = json!({
        "reservationId": ANA,
        "injectionId": 1, "bookingId": 1, "vaccineId": 1, "vcName": "FIZER", "userId": 5,
        "status": "INJECTION_COMPLETED",
    });
    app.publish(&[event(SOUTH, 1, "Completed", &used)]).await;
    let metrics = app.request("GET /actuator/prometheus", "").await;
    let metrics = metrics.body();
    assert!(metrics.contains("\nanticorona_overcommitted_doses 1\n"), "{metrics}");
    let whole = app.request("GET /vaccines/1", "").await.json();
    assert_eq!([&whole["stock"], &whole["bookQty"], &whole["overcommitted"]], [0, 1, 1]);
    // What was read may be sent back, with the doses that have arrived.
    let sent = json!({"vcName": "FIZER", "stock": 1, "bookQty": 1, "overcommitted": 1});
    let changed = app.request("PUT /vaccines/1", sent.to_string()).await.json();
    assert_eq!((&changed["stock"], changed.get("overcommitted")), (&json!(1), None));
}

fn with(field: &str, value: Value) -> Value {
    let mut event = booked(2, BO);
    event[field] = value;
    event
}

#[tokio::test]
async fn a_batch_that_cannot_be_parsed_is_refused_whole() {
    let app = VaccineApp::with_doses(5).await;
    let mut replies = String::new();
    for (what, second) in [
        ("a number as sequence", with("sequence", json!(2))),
        ("a negative sequence", with("sequence", json!("-2"))),
        ("a name as source", with("source", json!("north"))),
        ("another source", with("source", json!(SOUTH))),
        ("no time", with("time", json!("yesterday"))),
        ("a number as type", with("type", json!(2))),
    ] {
        let refused = app.publish(&[booked(1, ANA), second]).await;
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        writeln!(replies, "{what}: {}", refused.in_short()).unwrap();
    }
    assert_snapshot!(replies, @"
    a number as sequence: 422 invalid-field; [1].sequence: invalid type: integer `2`, expected a string at line 1 column 527
    a negative sequence: 422 invalid-field; [1].sequence: invalid digit found in string at line 1 column 530
    a name as source: 422 invalid-field; [1].source: UUID parsing failed: invalid character: found `n` at 0 at line 1 column 546
    another source: 422 invalid-field; source: one source in one request
    no time: 422 invalid-field; [1].time: failed to parse four digit integer as year: invalid digit, expected 0-9 but got y at line 1 column 616
    a number as type: 422 invalid-field; [1].type: invalid type: integer `2`, expected a string at line 1 column 636
    ");
    let too_many: Vec<_> = (0..=EVENTS_MAX).map(|_| booked(1, ANA)).collect();
    assert_snapshot!(app.publish(&too_many).await.in_short(), @"422 invalid-field; events: at most 512 in one request");
    assert_snapshot!(app.publish(&[]).await.in_short(), @"422 invalid-field; events: at least one");
    assert_eq!(app.taken().await, 0);
}

/// The events after it do not wait for a fix.
#[tokio::test]
async fn an_event_whose_payload_cannot_be_decoded_is_dead_lettered() {
    for data in [json!({"vaccineId": 1}), Value::Null, json!("a dose")] {
        let app = VaccineApp::with_doses(5).await;
        let events = [booked(1, ANA), with("data", data.clone()), cancelled(3, ANA)];
        assert_eq!(app.publish(&events).await.json()["sequence"], 3);
        assert_eq!(app.taken().await, 0);

        let dead_letters = app.request("GET /events/dead-letters", "").await.json();
        assert_eq!(dead_letters["total"], 1);
        let event = &dead_letters["events"][0];
        let read: Value = serde_json::from_str(event["data"].as_str().unwrap()).unwrap();
        let id = (event["source"].as_str(), event["sequence"].as_u64());
        assert_eq!((id, read), ((Some(NORTH), Some(2)), data));
        assert_eq!(event["type"], "Booked");
    }
}

#[tokio::test]
async fn an_event_of_another_concern_or_of_an_unknown_type_is_consumed_without_effect() {
    let app = VaccineApp::with_doses(5).await;
    let data = json!({
        "vaccineId": 1, "vcName": "FIZER", "stock": 9, "bookQty": 0, "stockBefore": 5,
    });
    for (sequence, name) in [(1, "Registered"), (2, "StockAdded"), (3, "Recalled")] {
        let consumed = app.publish(&[event(NORTH, sequence, name, &data)]).await;
        assert_eq!(consumed.json()["sequence"], sequence, "{name}");
    }
    assert_eq!(app.publish(&[booked(4, ANA)]).await.json()["sequence"], 4);
    assert_eq!(app.taken().await, 1);
    assert_eq!(app.request("GET /events/dead-letters", "").await.json()["total"], 0);
}

/// A completed injection.
fn completed(sequence: u64, reservation: &str) -> Value {
    let data = json!({
        "reservationId": reservation, "injectionId": sequence, "bookingId": 1, "vaccineId": 1,
        "userId": 5, "status": "INJECTION_COMPLETED",
    });
    event(SOUTH, sequence, "Completed", &data)
}

#[tokio::test]
async fn a_completed_injection_uses_its_dose_once_even_if_it_is_repeated() {
    let app = VaccineApp::with_doses(3).await;
    app.publish(&[booked(1, ANA), booked(2, BO)]).await;
    assert_eq!(app.publish(&[completed(1, ANA)]).await.json()["sequence"], 1);
    app.publish(&[completed(1, ANA), completed(2, ANA)]).await;
    let vaccine = app.request("GET /vaccines/1", "").await.json();
    assert_eq!((&vaccine["stock"], &vaccine["bookQty"]), (&2.into(), &1.into()));

    app.publish(&[cancelled(3, ANA)]).await;
    let ana = format!("/vaccines/1/reservations/{ANA}");
    let replies =
        app.replies(&[format!("GET {ana}"), format!("PUT {ana}"), format!("DELETE {ana}")]).await;
    assert_snapshot!(replies, @r#"
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 200 {"reservationId":"00000000-0000-0000-0000-00000000000a","vaccineId":1,"state":"administered"}
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 409 dose-administered; the dose was administered
    DELETE /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 409 dose-administered; the dose was administered
    "#);
    let vaccine = app.request("GET /vaccines/1", "").await.json();
    assert_eq!((&vaccine["stock"], &vaccine["bookQty"]), (&2.into(), &1.into()));
}

/// The event is not at fault, so it is never dead-lettered.
#[tokio::test]
async fn while_the_store_cannot_commit_publishers_have_to_retry_later() {
    let app = VaccineApp::with_doses(1).await;
    app.run_sql("ALTER TABLE consumer_offsets RENAME TO away");
    for _ in 0..=DELIVERIES_MAX {
        let reply = app.publish(&[booked(1, ANA)]).await;
        assert_eq!((reply.status.as_u16(), reply.header("retry-after").is_some()), (503, true));
    }
    app.run_sql("ALTER TABLE away RENAME TO consumer_offsets");
    assert_eq!(app.publish(&[booked(1, ANA)]).await.json()["sequence"], 1);
    assert_eq!(app.taken().await, 1);
}

/// The database rejects what this ledger decides.
#[tokio::test]
async fn an_event_that_is_rejected_repeatedly_is_dead_lettered_and_the_next_is_consumed() {
    let app = VaccineApp::start_unguarded().register(0).await;
    let events = [booked(1, ANA), aborted(2, BO)];
    for _ in 0..DELIVERIES_MAX {
        // The second event waits for the first.
        assert_eq!(app.publish(&events).await.json()["sequence"], 0);
        assert_eq!(app.request("GET /events/dead-letters", "").await.json()["total"], 0);
    }
    assert_eq!(app.publish(&events).await.json()["sequence"], 2);
    let dead_letters = app.request("GET /events/dead-letters", "").await.json();
    assert_eq!(dead_letters["total"], 1);
    assert_eq!(dead_letters["events"][0]["sequence"], 1);
}
