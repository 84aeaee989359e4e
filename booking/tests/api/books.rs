//! A citizen books, or hears why not.

use std::collections::BTreeSet;

use contracts::vaccine::HoldOutcome;
use insta::assert_snapshot;

use crate::town::{
    SEED, Town,
    vaccine::{HOLDS, Reply, Vaccine},
};

const BOOK: &str = "POST /bookings";
const BODY: &str = r#"{"vaccineId":1,"userId":5}"#;

#[tokio::test]
async fn a_booking_is_made_and_says_where_it_is() {
    let town = Town::open();
    assert_snapshot!(town.ask(BOOK, BODY).await, @r#"
    201 Created
    location: http://booking.test/bookings/1
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
    assert_snapshot!(town.ask("GET /bookings/1", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
}

#[tokio::test]
async fn the_seed_books_to_the_letter() {
    let town = Town::open();
    assert_snapshot!(town.ask(BOOK, SEED).await, @r#"
    201 Created
    location: http://booking.test/bookings/1
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
}

#[tokio::test]
async fn numbers_may_come_as_text() {
    let town = Town::open();
    let answer = town.ask(BOOK, r#"{"vaccineId":"1","userId":" 5 "}"#).await;
    assert_snapshot!(answer, @r#"
    201 Created
    location: http://booking.test/bookings/1
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
    let [batch] = &town.vaccine.batches(1).await[..] else { panic!("one request") };
    assert_eq!(batch.holds[0].vaccine_id.0, 1);
}

#[tokio::test]
async fn a_booking_shows_the_name_that_vaccine_has() {
    let town = Town::open();
    let name = HoldOutcome::Held { vc_name: "Pfizer".to_owned() };
    town.vaccine.will_answer(HOLDS, Reply::outcomes([name]));
    assert_eq!(town.ask(BOOK, SEED).await.json()["vcName"], "Pfizer");
}

#[tokio::test]
async fn every_body_that_calls_itself_json_is_read() {
    let town = Town::open();
    for media_type in
        ["application/json; charset=utf-8", "APPLICATION/JSON", "application/hal+json"]
    {
        let answer = town.ask_with(&[("content-type", media_type)], BOOK, BODY).await;
        assert_eq!(answer.status, 201, "{media_type}");
    }
}

#[tokio::test]
async fn links_lead_back_the_way_the_caller_came() {
    let town = Town::open();
    let headers = [("content-type", "application/json"), ("x-forwarded-proto", "https")];
    let answer = town.ask_with(&headers, BOOK, BODY).await;
    assert_eq!(answer.header("location"), Some("https://booking.test/bookings/1"));
}

#[tokio::test]
async fn who_comes_after_the_last_dose_hears_that_it_is_sold_out() {
    let town = Town::open();
    town.vaccine.will_answer(HOLDS, Reply::outcomes([HoldOutcome::SoldOut]));
    assert_snapshot!(town.ask(BOOK, BODY).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {"type":"urn:anticorona:sold-out","title":"Sold out","status":409,"detail":"every dose is taken"}
    "#);
}

#[tokio::test]
async fn a_vaccine_that_does_not_exist_cannot_be_booked() {
    let town = Town::open();
    town.vaccine.will_answer(HOLDS, Reply::outcomes([HoldOutcome::NoSuchVaccine]));
    assert_snapshot!(town.ask(BOOK, BODY).await, @r#"
    404 Not Found
    content-type: application/problem+json

    {"type":"urn:anticorona:no-such-vaccine","title":"There is no such vaccine","status":404,"detail":"there is no such vaccine"}
    "#);
}

/// A raw 5xx never reaches a citizen, whatever vaccine does.
#[tokio::test]
async fn a_vaccine_in_trouble_means_come_back() {
    let town = Town::open();
    let nonsense = || Reply::Answer(200, "nonsense".to_owned());
    let mut answers = BTreeSet::new();
    for reply in [nonsense(), Reply::Answer(500, String::new()), Reply::Nothing] {
        town.vaccine.will_answer(HOLDS, reply);
        answers.insert(town.ask(BOOK, BODY).await.to_string());
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_snapshot!(answers.first().unwrap(), @r#"
    503 Service Unavailable
    retry-after: in a moment
    content-type: application/problem+json

    {"type":"urn:anticorona:come-back-later","title":"Please come back later","status":503,"detail":"the answer got lost on the way"}
    "#);
}

#[tokio::test]
async fn bookings_can_be_read_while_vaccine_is_down() {
    let town = Town::with(Vaccine::closed());
    assert_eq!(town.ask("GET /bookings", "").await.status, 200);
    assert_eq!(town.ask(BOOK, BODY).await.status, 503);
}
