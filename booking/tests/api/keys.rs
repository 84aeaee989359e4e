//! With an `Idempotency-Key`, asking again is safe.

use std::collections::BTreeSet;

use contracts::vaccine::HoldOutcome;
use insta::assert_snapshot;
use tokio::join;

use crate::town::{
    Answer, SEED, Town,
    vaccine::{HOLDS, Reply, held},
};

async fn book(town: &Town, key: &str) -> Answer {
    town.ask_with_key(key, "POST /bookings", SEED).await
}

#[tokio::test]
async fn asking_again_answers_the_same_booking_and_takes_one_dose() {
    let town = Town::open();
    let first = book(&town, "a").await;
    assert_eq!((first.status.as_u16(), &first.json()["bookingId"]), (201, &1.into()));
    assert_eq!(book(&town, "a").await.to_string(), first.to_string());
    assert_eq!(town.vaccine.asked(HOLDS).len(), 1);
}

#[tokio::test]
async fn a_key_is_remembered_across_restarts() {
    let mut town = Town::open();
    let first = book(&town, "a").await;
    town.reopen().await;
    assert_eq!(book(&town, "a").await.to_string(), first.to_string());
    assert_eq!(town.vaccine.asked(HOLDS).len(), 1);
}

#[tokio::test]
async fn another_key_is_another_booking() {
    let town = Town::open();
    assert_eq!(book(&town, "a").await.json()["bookingId"], 1);
    assert_eq!(book(&town, "b").await.json()["bookingId"], 2);
    let batches = town.vaccine.batches(2).await;
    assert_ne!(batches[0].holds[0].reservation_id, batches[1].holds[0].reservation_id);
}

#[tokio::test]
async fn a_key_belongs_to_its_request() {
    let town = Town::open();
    book(&town, "a").await;
    let others = [("1,", "2,"), ("FIZER", "MODERNA"), ("5,", "6,"), ("BOOCKED", "BOOKED")];
    let mut answers = BTreeSet::new();
    for (field, other) in others {
        let body = SEED.replace(field, other);
        answers.insert(town.ask_with_key("a", "POST /bookings", &body).await.to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_snapshot!(answers.first().unwrap(), @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {"type":"urn:anticorona:idempotency-key-reused","title":"The Idempotency-Key belongs to another request","status":422,"detail":"the Idempotency-Key came with another request before"}
    "#);
    assert_eq!(town.ask("GET /bookings", "").await.json()["page"]["totalElements"], 1);
}

#[tokio::test]
async fn the_same_key_twice_at_once_is_one_booking() {
    let town = Town::open();
    let decide = town.vaccine.will_wait(HOLDS);
    let (first, second, ()) = join!(book(&town, "a"), book(&town, "a"), async {
        let [batch] = &town.vaccine.batches(1).await[..] else { panic!("one request") };
        let outcomes = vec![held(); batch.holds.len()];
        drop(decide.send(Reply::outcomes(outcomes)));
    });
    assert_eq!(first.status, 201);
    assert_eq!(first.to_string(), second.to_string());
    assert_eq!(town.ask("GET /bookings", "").await.json()["page"]["totalElements"], 1);
}

#[tokio::test]
async fn a_key_that_hit_sold_out_may_try_again() {
    let town = Town::open();
    town.vaccine.will_answer(HOLDS, Reply::outcomes([HoldOutcome::SoldOut]));
    assert_eq!(book(&town, "a").await.status, 409);
    assert_eq!(book(&town, "a").await.status, 201);
}

/// The holder gave the first attempt up while nobody came back for it.
#[tokio::test]
async fn a_key_goes_on_after_an_attempt_that_was_given_up() {
    let town = Town::open();
    town.vaccine.will_answer(HOLDS, Reply::outcomes([HoldOutcome::Released]));
    assert_eq!(book(&town, "a").await.json()["bookingId"], 1);
    let batches = town.vaccine.batches(2).await;
    assert_ne!(batches[0].holds[0].reservation_id, batches[1].holds[0].reservation_id);
    assert_eq!(book(&town, "a").await.json()["bookingId"], 1);
    assert_eq!(town.vaccine.asked(HOLDS).len(), 2);
}

#[tokio::test]
async fn a_key_answers_its_booking_even_when_that_is_cancelled() {
    let town = Town::open();
    book(&town, "a").await;
    town.ask("DELETE /bookings/1", "").await;
    assert_snapshot!(book(&town, "a").await, @r#"
    201 Created
    location: http://booking.test/bookings/1
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKING_CANCELLED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
}

#[tokio::test]
async fn a_key_has_1_to_255_visible_characters() {
    let town = Town::open();
    assert_eq!(book(&town, &"k".repeat(255)).await.status, 201);
    let mut answers = BTreeSet::new();
    for wrong in ["", "k".repeat(256).as_str(), "schlüssel"] {
        answers.insert(book(&town, wrong).await.to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_snapshot!(answers.first().unwrap(), @r#"
    400 Bad Request
    content-type: application/problem+json

    {"type":"urn:anticorona:malformed","title":"The request cannot be read","status":400,"detail":"the Idempotency-Key must be 1 to 255 visible ASCII characters","field":"Idempotency-Key"}
    "#);
    assert_eq!(town.vaccine.asked(HOLDS).len(), 1);
}
