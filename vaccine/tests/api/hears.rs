//! What bookings say of their doses is heard once, in order.

use std::fmt::Write;

use contracts::event::{BATCH_MEDIA_TYPE, EVENTS_MAX};
use insta::assert_snapshot;
use serde_json::{Value, json};
use vaccine::domain::{Done, Name, Pool, PoolId, Stock};

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

#[tokio::test]
async fn events_that_cannot_be_read_are_refused_whole() {
    let town = Town::with_doses(5).await;
    let with = |field: &str, value: Value| {
        let mut event = booked(2, BO);
        event[field] = value;
        event
    };
    let mut story = String::new();
    for (what, second) in [
        ("no reservation", with("data", json!({"vaccineId": 1}))),
        ("no data", with("data", Value::Null)),
        ("another type", with("type", json!("anticorona.Administered.v1"))),
        ("a number as sequence", with("sequence", json!(2))),
        ("a negative sequence", with("sequence", json!("-2"))),
        ("a name as source", with("source", json!("north"))),
        ("no time", with("time", json!("yesterday"))),
    ] {
        let refused = say(&town, &[booked(1, ANA), second]).await;
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
        writeln!(story, "{what}: {}", refused.in_short()).unwrap();
    }
    assert_snapshot!(story, @"
    no reservation: 422 data: event 00000000-0000-0000-0000-000000000001/2: missing field `reservationId` at line 1 column 15
    no data: 422 data: event 00000000-0000-0000-0000-000000000001/2: invalid type: null, expected struct BookedDose at line 1 column 4
    another type: 422 [1].type: unknown variant `anticorona.Administered.v1`, expected one of `anticorona.Booked.v1`, `anticorona.BookingCancelled.v1`, `anticorona.ReservationAbandoned.v1` at line 1 column 663
    a number as sequence: 422 [1].sequence: invalid type: integer `2`, expected a string at line 1 column 527
    a negative sequence: 422 [1].sequence: invalid digit found in string at line 1 column 530
    a name as source: 422 [1].source: UUID parsing failed: invalid character: found `n` at 0 at line 1 column 546
    no time: 422 [1].time: failed to parse four digit integer as year: invalid digit, expected 0-9 but got y at line 1 column 616
    ");
    let too_many: Vec<_> = (0..=EVENTS_MAX).map(|_| booked(1, ANA)).collect();
    assert_snapshot!(say(&town, &too_many).await.in_short(), @"422 events: at most 512 in one request");
    assert_snapshot!(say(&town, &[]).await.in_short(), @"422 events: at least one");
    assert_eq!(town.taken().await, 0);
}

/// The source must not take it for the event's fault, or it would give up.
#[tokio::test]
async fn a_ledger_that_cannot_keep_an_event_asks_to_come_back() {
    let town = Town::deciding_by(|ledger, _| {
        let (name, stock) = (Name::parse("FIZER").unwrap(), Stock::parse(1).unwrap());
        ledger.pools.put(PoolId(1), Pool { name, stock, taken: 2 });
        Ok(Done::Removed)
    });
    let answer = say(&town, &[booked(1, ANA)]).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("2")));
}
