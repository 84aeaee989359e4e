//! Who would rather not wait gets a ticket, and one address that says what became of it.

use std::collections::BTreeSet;

use booking::store::MIGRATIONS;
use contracts::vaccine::HoldOutcome;
use insta::assert_snapshot;
use storage::database::open_blocking;
use tempfile::TempDir;

use crate::town::{
    Answer, Town, database,
    vaccine::{HOLDS, Reply, Vaccine, held},
};

const BODY: &str = r#"{"vaccineId":1,"userId":5}"#;

/// The answer, with a name in place of the id, which is another one in every store.
fn shown(answer: &Answer) -> String {
    let id = answer.json()["ticketId"].as_str().unwrap().to_owned();
    answer.to_string().replace(&id, "TICKET")
}

/// What becomes of a ticket for which vaccine says this.
async fn turned_into(said: HoldOutcome) -> Answer {
    let town = Town::open();
    town.vaccine.will_answer(HOLDS, Reply::outcomes([said]));
    let given = town.queue("a", BODY).await;
    town.vaccine.told(1).await;
    town.ticket(&given).await
}

#[tokio::test]
async fn a_ticket_says_where_it_is_and_how_it_stands() {
    let town = Town::with(Vaccine::closed());
    let given = town.queue("a", BODY).await;
    assert_snapshot!(shown(&given), @r#"
    202 Accepted
    location: http://booking.test/tickets/TICKET
    preference-applied: respond-async
    retry-after: in a moment
    content-type: application/hal+json

    {"ticketId":"TICKET","vaccineId":1,"status":"WAITING","position":1,"_links":{"self":{"href":"http://booking.test/tickets/TICKET"},"ticket":{"href":"http://booking.test/tickets/TICKET"}}}
    "#);
    assert_eq!(town.ticket(&given).await.header("cache-control"), Some("no-store"));
    assert_snapshot!(shown(&town.ticket(&given).await), @r#"
    200 OK
    retry-after: in a moment
    content-type: application/hal+json

    {"ticketId":"TICKET","vaccineId":1,"status":"WAITING","position":1,"_links":{"self":{"href":"http://booking.test/tickets/TICKET"},"ticket":{"href":"http://booking.test/tickets/TICKET"}}}
    "#);
}

#[tokio::test]
async fn a_place_in_the_line_is_told() {
    let town = Town::with(Vaccine::closed());
    for (key, place) in [("a", 1), ("b", 2), ("c", 3), ("b", 2)] {
        assert_eq!(town.queue(key, BODY).await.json()["position"], place, "{key}");
    }
}

#[tokio::test]
async fn a_ticket_turns_into_a_booking() {
    assert_snapshot!(shown(&turned_into(held()).await), @r#"
    200 OK
    content-type: application/hal+json

    {"ticketId":"TICKET","vaccineId":1,"status":"BOOKED","bookingId":1,"_links":{"self":{"href":"http://booking.test/tickets/TICKET"},"ticket":{"href":"http://booking.test/tickets/TICKET"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
}

#[tokio::test]
async fn a_ticket_turns_into_sold_out() {
    assert_snapshot!(shown(&turned_into(HoldOutcome::SoldOut).await), @r#"
    200 OK
    content-type: application/hal+json

    {"ticketId":"TICKET","vaccineId":1,"status":"SOLD_OUT","_links":{"self":{"href":"http://booking.test/tickets/TICKET"},"ticket":{"href":"http://booking.test/tickets/TICKET"}}}
    "#);
}

#[tokio::test]
async fn a_ticket_for_a_vaccine_that_does_not_exist_says_so() {
    let answer = turned_into(HoldOutcome::NoSuchVaccine).await;
    assert_eq!(answer.json()["status"], "NO_SUCH_VACCINE");
}

#[tokio::test]
async fn links_of_a_ticket_lead_back_the_way_the_caller_came() {
    let town = Town::open();
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", "a"),
        ("prefer", "respond-async"),
        ("x-forwarded-proto", "https"),
    ];
    let given = town.ask_with(&headers, "POST /bookings", BODY).await;
    let location = given.header("location").unwrap();
    assert!(location.starts_with("https://booking.test/tickets/"), "{location}");
}

#[tokio::test]
async fn without_a_key_there_is_no_ticket() {
    let town = Town::open();
    let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
    assert_snapshot!(town.ask_with(&headers, "POST /bookings", BODY).await, @r#"
    400 Bad Request
    content-type: application/problem+json

    {"type":"urn:anticorona:malformed","title":"The request cannot be read","status":400,"detail":"with Prefer: respond-async there must be an Idempotency-Key","field":"Idempotency-Key"}
    "#);
    assert!(town.vaccine.asked(HOLDS).is_empty());
}

#[tokio::test]
async fn what_is_no_booking_gets_no_ticket() {
    let town = Town::open();
    assert_eq!(town.queue("a", r#"{"vaccineId":1}"#).await.status, 422);
    assert_eq!(town.queue("a", "{").await.status, 400);
    assert!(town.vaccine.asked(HOLDS).is_empty());
}

#[tokio::test]
async fn the_same_key_is_the_same_ticket_also_after_it_has_ended() {
    let town = Town::open();
    let first = town.queue("a", BODY).await;
    town.vaccine.told(1).await;
    let again = town.queue("a", BODY).await;
    assert_eq!((again.status.as_u16(), &again.json()["status"]), (202, &"BOOKED".into()));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("retry-after"), None, "there is nothing to wait for");
    assert_eq!(town.vaccine.asked(HOLDS).len(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_its_request_whether_it_has_a_ticket_or_a_booking() {
    const OTHER: &str = r#"{"vaccineId":1,"userId":6}"#;
    let town = Town::with(Vaccine::closed());
    town.queue("a", BODY).await;
    let mut answers = BTreeSet::new();
    answers.insert(town.queue("a", OTHER).await.to_string());
    answers.insert(town.ask_with_key("a", "POST /bookings", OTHER).await.to_string());

    let town = Town::open();
    town.ask_with_key("a", "POST /bookings", BODY).await;
    answers.insert(town.queue("a", OTHER).await.to_string());
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers.first().unwrap().starts_with("422"), "{answers:?}");
}

#[tokio::test]
async fn a_key_that_has_its_booking_is_answered_with_it() {
    let town = Town::open();
    let booked = town.ask_with_key("a", "POST /bookings", BODY).await;
    assert_eq!(town.queue("a", BODY).await.to_string(), booked.to_string());
}

#[tokio::test]
async fn a_ticket_and_its_key_lead_to_one_booking() {
    let town = Town::open();
    let given = town.queue("a", BODY).await;
    town.vaccine.told(1).await;
    let booked = town.ask_with_key("a", "POST /bookings", BODY).await.json();
    assert_eq!(town.ticket(&given).await.json()["bookingId"], booked["bookingId"]);
    assert_eq!(town.ask("GET /bookings", "").await.json()["page"]["totalElements"], 1);
}

#[tokio::test]
async fn a_ticket_that_nobody_gave_is_not_found() {
    let town = Town::open();
    let unknown = "GET /tickets/3f2504e0-4f89-81d3-9a0c-0305e82c3301";
    assert_snapshot!(town.ask(unknown, "").await, @r#"
    404 Not Found
    content-type: application/problem+json

    {"type":"urn:anticorona:no-such-ticket","title":"There is no such ticket","status":404,"detail":"there is no such ticket"}
    "#);
    assert_eq!(town.ask("GET /tickets/1", "").await.status, 404);
}

#[tokio::test]
async fn a_full_line_says_come_back() {
    let town = Town::resumed(full(), Vaccine::closed());
    assert_snapshot!(town.queue("a", BODY).await, @r#"
    503 Service Unavailable
    retry-after: in a moment
    content-type: application/problem+json

    {"type":"urn:anticorona:come-back-later","title":"Please come back later","status":503,"detail":"too many tickets are waiting"}
    "#);
}

/// A store in which the last ticket that fits is waiting.
fn full() -> TempDir {
    let folder = TempDir::new().unwrap();
    let (mut writable, _) = open_blocking(&database(&folder), "booking", MIGRATIONS).unwrap();
    let insert = "
        INSERT INTO tickets
                    (number, id, client_key, asked, vaccine, user_id, queued_at_ms, attempt,
                     reservation)
             VALUES (100000, zeroblob(16), 'z', zeroblob(16), 1, 5, 0, 0, zeroblob(16))";
    writable.transaction(|tx| tx.run(insert)).unwrap();
    folder
}
