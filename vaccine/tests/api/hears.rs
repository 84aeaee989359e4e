//! What bookings say of their doses is heard once, in order.

use std::fmt::Write;

use contracts::event::{BATCH_MEDIA_TYPE, EVENTS_MAX};
use eventing::hearing::TRIES_MAX;
use insta::assert_snapshot;
use serde_json::{Value, json};
use vaccine::domain::{Command, Done, Name, Pool, PoolId, Stock};

use crate::town::{ANA, Answer, BO, NORTH, SOUTH, Town};

fn event(source: &str, sequence: u64, kind: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("{source}/{sequence}"),
        "source": source,
        "sequence": sequence.to_string(),
        "type": format!("anticorona.{kind}.v1"),
        "time": "2026-11-24T08:00:00Z",
        "data": data,
    })
}

/// A booking of vaccine 1 in the north, as `booking` tells of it.
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

fn abandoned(sequence: u64, reservation: &str) -> Value {
    event(NORTH, sequence, "ReservationAbandoned", &json!({"reservationId": reservation}))
}

async fn say(town: &Town, events: &[Value]) -> Answer {
    let headers = [("content-type", BATCH_MEDIA_TYPE)];
    town.ask_with(&headers, "POST /events", Value::from(events).to_string()).await
}

#[tokio::test]
async fn a_batch_of_events_is_heard_to_its_end() {
    let town = Town::with_doses(2).await;
    let heard = say(&town, &[booked(1, ANA), booked(2, BO), cancelled(3, ANA)]).await;
    assert_snapshot!(heard, @r#"
    200 OK
    content-type: application/json

    {"sequence":3}
    "#);
    let story = town
        .story(&[
            format!("GET /vaccines/1/reservations/{ANA}"),
            format!("GET /vaccines/1/reservations/{BO}"),
            format!("GET /events/heard?source={NORTH}"),
            format!("GET /events/heard?source={SOUTH}"),
        ])
        .await;
    assert_snapshot!(story, @r#"
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 200 {"reservationId":"00000000-0000-0000-0000-00000000000a","vaccineId":1,"state":"released"}
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000b: 200 {"reservationId":"00000000-0000-0000-0000-00000000000b","vaccineId":1,"state":"booked"}
    GET /events/heard?source=00000000-0000-0000-0000-000000000001: 200 {"sequence":3}
    GET /events/heard?source=00000000-0000-0000-0000-000000000002: 200 {"sequence":0}
    "#);
    assert_eq!(town.taken().await, 1);
}

#[tokio::test]
async fn what_comes_again_or_too_early_has_no_effect_and_is_answered_with_the_position() {
    let town = Town::with_doses(2).await;
    let mut positions = Vec::new();
    for events in [
        vec![booked(2, BO)],
        vec![booked(1, ANA), booked(1, ANA)],
        vec![booked(1, BO)],
        vec![booked(2, BO), cancelled(4, BO), abandoned(3, ANA)],
        vec![cancelled(4, BO), booked(1, ANA)],
    ] {
        let heard = say(&town, &events).await.json()["sequence"].as_u64().unwrap();
        positions.push((heard, town.taken().await));
    }
    assert_eq!(positions, [(0, 0), (1, 1), (1, 1), (3, 1), (4, 0)]);
}

#[tokio::test]
async fn an_event_without_effect_is_still_heard() {
    let town = Town::with_doses(1).await;
    let events = [abandoned(1, ANA), booked(2, ANA), booked(3, BO)];
    assert_eq!(say(&town, &events).await.json()["sequence"], 3);
    assert_eq!(town.taken().await, 1);
}

fn with(field: &str, value: Value) -> Value {
    let mut event = booked(2, BO);
    event[field] = value;
    event
}

#[tokio::test]
async fn events_that_cannot_be_read_are_refused_whole() {
    let town = Town::with_doses(5).await;
    let mut story = String::new();
    for (what, second) in [
        ("a number as sequence", with("sequence", json!(2))),
        ("a negative sequence", with("sequence", json!("-2"))),
        ("a name as source", with("source", json!("north"))),
        ("another source", with("source", json!(SOUTH))),
        ("no time", with("time", json!("yesterday"))),
        ("a number as type", with("type", json!(2))),
    ] {
        let refused = say(&town, &[booked(1, ANA), second]).await;
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        writeln!(story, "{what}: {}", refused.in_short()).unwrap();
    }
    assert_snapshot!(story, @"
    a number as sequence: 422 [1].sequence: invalid type: integer `2`, expected a string at line 1 column 527
    a negative sequence: 422 [1].sequence: invalid digit found in string at line 1 column 530
    a name as source: 422 [1].source: UUID parsing failed: invalid character: found `n` at 0 at line 1 column 546
    another source: 422 source: one source in one request
    no time: 422 [1].time: failed to parse four digit integer as year: invalid digit, expected 0-9 but got y at line 1 column 616
    a number as type: 422 [1].type: invalid type: integer `2`, expected the type of an event at line 1 column 636
    ");
    let too_many: Vec<_> = (0..=EVENTS_MAX).map(|_| booked(1, ANA)).collect();
    assert_snapshot!(say(&town, &too_many).await.in_short(), @"422 events: at most 512 in one request");
    assert_snapshot!(say(&town, &[]).await.in_short(), @"422 events: at least one");
    assert_eq!(town.taken().await, 0);
}

/// Nothing that comes after it has to wait for somebody to understand it.
#[tokio::test]
async fn an_event_whose_data_cannot_be_read_is_put_aside() {
    for data in [json!({"vaccineId": 1}), Value::Null, json!("a dose")] {
        let town = Town::with_doses(5).await;
        let events = [booked(1, ANA), with("data", data.clone()), cancelled(3, ANA)];
        assert_eq!(say(&town, &events).await.json()["sequence"], 3);
        assert_eq!(town.taken().await, 0);

        let parked = town.ask("GET /events/parked", "").await.json();
        assert_eq!(parked["total"], 1);
        let event = &parked["events"][0];
        let read: Value = serde_json::from_str(event["data"].as_str().unwrap()).unwrap();
        let place = (event["source"].as_str(), event["sequence"].as_u64());
        assert_eq!((place, read), ((Some(NORTH), Some(2)), data));
        assert_eq!(event["type"], "Booked");
    }
}

/// A newer version says more than this one knows.
#[tokio::test]
async fn what_is_about_somebody_elses_matters_is_heard_and_has_no_effect() {
    let town = Town::with_doses(5).await;
    for (sequence, kind) in [(1, "Registered"), (2, "StockAdded"), (3, "Recalled")] {
        let heard = say(&town, &[event(NORTH, sequence, kind, &json!({"vaccineId": 1}))]).await;
        assert_eq!(heard.json()["sequence"], sequence, "{kind}");
    }
    assert_eq!(say(&town, &[booked(4, ANA)]).await.json()["sequence"], 4);
    assert_eq!(town.taken().await, 1);
    assert_eq!(town.ask("GET /events/parked", "").await.json()["total"], 0);
}

/// An injection, as `injection` tells of it.
fn completed(sequence: u64, reservation: &str) -> Value {
    let data = json!({
        "reservationId": reservation, "injectionId": sequence, "bookingId": 1, "vaccineId": 1,
        "userId": 5, "status": "INJECTION_COMPLETED",
    });
    event(SOUTH, sequence, "Completed", &data)
}

#[tokio::test]
async fn an_injection_uses_its_dose_up_once_however_often_it_is_told() {
    let town = Town::with_doses(3).await;
    say(&town, &[booked(1, ANA), booked(2, BO)]).await;
    assert_eq!(say(&town, &[completed(1, ANA)]).await.json()["sequence"], 1);
    say(&town, &[completed(1, ANA), completed(2, ANA)]).await;
    let vaccine = town.ask("GET /vaccines/1", "").await.json();
    assert_eq!((&vaccine["stock"], &vaccine["bookQty"]), (&2.into(), &1.into()));

    say(&town, &[cancelled(3, ANA)]).await;
    let ana = format!("/vaccines/1/reservations/{ANA}");
    let story =
        town.story(&[format!("GET {ana}"), format!("PUT {ana}"), format!("DELETE {ana}")]).await;
    assert_snapshot!(story, @r#"
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 200 {"reservationId":"00000000-0000-0000-0000-00000000000a","vaccineId":1,"state":"administered"}
    PUT /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 409 the dose was administered
    DELETE /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a: 409 the dose was administered
    "#);
    let vaccine = town.ask("GET /vaccines/1", "").await.json();
    assert_eq!((&vaccine["stock"], &vaccine["bookQty"]), (&2.into(), &1.into()));
}

/// The source must not take it for the event's fault, or it would give up.
#[tokio::test]
async fn a_ledger_that_cannot_keep_an_event_asks_to_come_back() {
    let town = Town::with_doses(1).await;
    town.run_beside("ALTER TABLE inbox RENAME TO away");
    for _ in 0..=TRIES_MAX {
        let answer = say(&town, &[booked(1, ANA)]).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after").is_some()), (503, true));
    }
    town.run_beside("ALTER TABLE away RENAME TO inbox");
    assert_eq!(say(&town, &[booked(1, ANA)]).await.json()["sequence"], 1);
    assert_eq!(town.taken().await, 1);
}

/// The tables refuse what this ledger decides.
#[tokio::test]
async fn an_event_that_is_refused_again_and_again_is_put_aside_and_the_next_is_heard() {
    let town = Town::deciding_by(|ledger, command| {
        if matches!(command, Command::Confirm(_)) {
            let (name, stock) = (Name::parse("FIZER").unwrap(), Stock::parse(1).unwrap());
            ledger.pools.put(PoolId(1), Pool { name, stock, taken: 2 });
        }
        Ok(Done::Removed)
    });
    for _ in 0..TRIES_MAX {
        // It comes first, and what follows has to wait.
        let heard = say(&town, &[booked(1, ANA), abandoned(2, BO)]).await;
        assert_eq!(heard.json()["sequence"], 0);
        assert_eq!(town.ask("GET /events/parked", "").await.json()["total"], 0);
    }
    assert_eq!(say(&town, &[booked(1, ANA), abandoned(2, BO)]).await.json()["sequence"], 2);
    let parked = town.ask("GET /events/parked", "").await.json();
    assert_eq!((&parked["total"], &parked["events"][0]["sequence"]), (&1.into(), &1.into()));
}
