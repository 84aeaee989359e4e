//! With an `Idempotency-Key`, a request can be repeated safely.

use std::collections::BTreeSet;

use contracts::vaccine::HoldOutcome;
use insta::assert_snapshot;
use testkit::Reply;
use tokio::join;

use crate::{
    app::{BookingApp, REFERENCE_BODY},
    vaccine::{FakeReply, HOLDS, held, refusals_expire, wanted},
};

async fn book(app: &BookingApp, key: &str) -> Reply {
    app.book_with_key(key, REFERENCE_BODY).await
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_booking_and_takes_one_dose() {
    let app = BookingApp::start();
    let first = book(&app, "a").await;
    assert_eq!((first.status.as_u16(), &first.json()["bookingId"]), (201, &1.into()));
    assert_eq!(book(&app, "a").await.to_string(), first.to_string());
    assert_eq!(app.vaccine.requests(HOLDS).len(), 1);
}

#[tokio::test]
async fn a_key_is_remembered_across_restarts() {
    let mut app = BookingApp::start();
    let first = book(&app, "a").await;
    app.restart().await;
    assert_eq!(book(&app, "a").await.to_string(), first.to_string());
    assert_eq!(app.vaccine.requests(HOLDS).len(), 1);
}

#[tokio::test]
async fn another_key_is_another_booking() {
    let app = BookingApp::start();
    assert_eq!(book(&app, "a").await.json()["bookingId"], 1);
    assert_eq!(book(&app, "b").await.json()["bookingId"], 2);
    let batches = app.vaccine.batches(2).await;
    assert_ne!(batches[0].blocks[0].first, batches[1].blocks[0].first);
}

#[tokio::test]
async fn a_key_belongs_to_its_request() {
    let app = BookingApp::start();
    book(&app, "a").await;
    let others = [("1,", "2,"), ("FIZER", "MODERNA")];
    let mut replies = BTreeSet::new();
    for (field, other) in others {
        let body = REFERENCE_BODY.replace(field, other);
        replies.insert(app.book_with_key("a", &body).await.to_string());
    }
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_snapshot!(replies.first().unwrap(), @r#"
    422 Unprocessable Entity
    content-type: application/problem+json

    {"type":"urn:anticorona:idempotency-key-reused","title":"The Idempotency-Key belongs to another request","status":422,"detail":"the Idempotency-Key came with another request before"}
    "#);
    assert_eq!(app.request("GET /bookings", "").await.json()["page"]["totalElements"], 1);
}

/// As the reference spells it, and correctly.
#[tokio::test]
async fn the_status_of_the_body_is_no_part_of_the_request() {
    let app = BookingApp::start();
    let booked = book(&app, "a").await.to_string();
    for status in ["BOOKED", "", "BOOKING_CANCELLED"] {
        let body = REFERENCE_BODY.replace("BOOCKED", status);
        assert_eq!(app.book_with_key("a", &body).await.to_string(), booked);
    }
}

#[tokio::test]
async fn the_same_key_of_another_user_is_another_request() {
    let app = BookingApp::start();
    book(&app, "a").await;
    let other = REFERENCE_BODY.replace("5,", "6,");
    let booked = app.book_with_key("a", &other).await;
    assert_eq!((booked.status.as_u16(), &booked.json()["bookingId"]), (201, &2.into()));
    assert_eq!(app.enqueue("a", &other).await.to_string(), booked.to_string());
}

#[tokio::test]
async fn the_same_key_twice_at_once_is_one_booking() {
    let app = BookingApp::start();
    let decide = app.vaccine.delay_next(HOLDS);
    let (first, second, ()) = join!(book(&app, "a"), book(&app, "a"), async {
        let [batch] = &app.vaccine.batches(1).await[..] else { panic!("one request") };
        assert_eq!(wanted(batch), 1, "the second takes no dose from another citizen");
        drop(decide.send(FakeReply::outcomes([held()])));
    });
    assert_eq!(first.status, 201);
    assert_eq!(first.to_string(), second.to_string());
    assert_eq!(app.request("GET /bookings", "").await.json()["page"]["totalElements"], 1);
}

#[tokio::test]
async fn a_key_that_was_sold_out_may_be_retried() {
    let app = BookingApp::start();
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SoldOut]));
    assert_eq!(book(&app, "a").await.status, 409);
    refusals_expire().await;
    assert_eq!(book(&app, "a").await.status, 201);
}

#[tokio::test]
async fn a_key_whose_dose_was_refused_gets_another_one() {
    let app = BookingApp::start();
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::Conflict]));
    assert_eq!(book(&app, "a").await.status, 503);
    assert_eq!(book(&app, "a").await.json()["bookingId"], 1);
    let batches = app.vaccine.batches(2).await;
    assert_ne!(batches[0].blocks[0].first, batches[1].blocks[0].first);
    assert_eq!(book(&app, "a").await.json()["bookingId"], 1);
    assert_eq!(app.vaccine.requests(HOLDS).len(), 2);
}

#[tokio::test]
async fn a_key_gets_its_booking_as_it_is_now_when_that_is_cancelled() {
    let app = BookingApp::start();
    book(&app, "a").await;
    app.request("DELETE /bookings/1", "").await;
    assert_snapshot!(book(&app, "a").await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKING_CANCELLED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
}

#[tokio::test]
async fn a_key_has_1_to_255_visible_characters() {
    let app = BookingApp::start();
    assert_eq!(book(&app, &"k".repeat(255)).await.status, 201);
    let mut replies = BTreeSet::new();
    for wrong in ["", "k".repeat(256).as_str(), "schlüssel"] {
        replies.insert(book(&app, wrong).await.to_string());
    }
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_snapshot!(replies.first().unwrap(), @r#"
    400 Bad Request
    content-type: application/problem+json

    {"type":"urn:anticorona:malformed","title":"The request cannot be read","status":400,"detail":"the Idempotency-Key must be 1 to 255 visible ASCII characters","field":"Idempotency-Key"}
    "#);
    assert_eq!(app.vaccine.requests(HOLDS).len(), 1);
}
