//! A booking is moved to another slot with `PATCH` or `PUT`.

use contracts::{
    ids::{CampaignId, SiteId},
    vaccine::{HeldPlace, HoldOutcome},
};
use insta::assert_snapshot;
use jiff::Timestamp;

use crate::{
    app::{BookingApp, REFERENCE_BODY},
    vaccine::{FakeReply, HOLDS},
};

const TO_SLOT_7: &str = r#"{"slotId":7}"#;

async fn with_a_booking() -> BookingApp {
    let app = BookingApp::start();
    assert_eq!(app.request("POST /bookings", REFERENCE_BODY).await.status, 201);
    app
}

/// The next hold is answered so.
fn next(app: &BookingApp, outcome: HoldOutcome) {
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome]));
}

/// A dose with a place.
fn held() -> HoldOutcome {
    let starts_at = Timestamp::from_second(100).unwrap();
    let place = Some(HeldPlace {
        site_id: SiteId(3),
        starts_at,
        campaign_id: CampaignId(1),
        bookings_per_person: 1,
    });
    HoldOutcome::Held { vc_name: "FIZER".to_owned(), count: 1, place, next: None }
}

/// The slot of booking 1.
async fn slot(app: &BookingApp) -> serde_json::Value {
    app.request("GET /bookings/1", "").await.json()["slotId"].clone()
}

#[tokio::test]
async fn a_slot_moves_the_booking_there_however_often_it_is_sent() {
    let app = with_a_booking().await;
    next(&app, held());
    let moved = app.request("PATCH /bookings/1", TO_SLOT_7).await;
    assert_snapshot!(moved, @r#"
    200 OK
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","slotId":7,"siteId":3,"startsAt":"1970-01-01T00:01:40Z","userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
    let as_read = app.request("GET /bookings/1", "").await;
    for (line, body) in [
        ("PATCH /bookings/1", TO_SLOT_7),
        ("PATCH /bookings/1", r#"{"slotId":"7","status":"BOOKED"}"#),
        ("PUT /bookings/1", as_read.body()),
    ] {
        assert_eq!(app.request(line, body).await.to_string(), moved.to_string(), "{line} {body}");
    }
    assert_eq!(app.vaccine.requests(HOLDS).len(), 2, "one for the booking, one for the move");
}

#[tokio::test]
async fn a_booking_can_be_put_as_it_was_read_with_another_slot() {
    let app = with_a_booking().await;
    let mut booking = app.request("GET /bookings/1", "").await.json();
    for number in [7, 8] {
        booking["slotId"] = number.into();
        next(&app, held());
        let moved = app.request("PUT /bookings/1", booking.to_string()).await;
        assert_eq!((moved.status.as_u16(), &moved.json()["slotId"]), (200, &number.into()));
        booking = moved.json();
    }
    assert_eq!(slot(&app).await, 8);
}

#[tokio::test]
async fn a_move_is_refused_as_a_booking_is_and_the_booking_stands() {
    let app = with_a_booking().await;
    let mut refusals = Vec::new();
    for (number, outcome) in (7..).zip([
        HoldOutcome::SoldOut,
        HoldOutcome::SlotFull,
        HoldOutcome::NotOpen,
        HoldOutcome::NoSuchSlot,
    ]) {
        next(&app, outcome.clone());
        let moved = app.request("PATCH /bookings/1", format!(r#"{{"slotId":{number}}}"#)).await;
        let fresh = BookingApp::start();
        next(&fresh, outcome);
        let body = format!(r#"{{"vaccineId":1,"userId":5,"slotId":{number}}}"#);
        let booked = fresh.request("POST /bookings", body).await;
        assert_eq!(moved.body(), booked.body());
        refusals.push(moved.in_short());
    }
    assert_snapshot!(refusals.join("\n"), @r"
    409 sold-out; every dose is taken
    409 slot-full; every place of the slot is taken
    409 slot-not-open; the slot cannot be booked now
    404 no-such-slot; there is no such slot for this vaccine
    ");
    let booking = app.request("GET /bookings/1", "").await.json();
    assert_eq!((&booking["status"], booking.get("slotId")), (&"BOOKED".into(), None));
}

#[tokio::test]
async fn a_booking_that_ended_or_does_not_exist_is_not_moved() {
    let app = with_a_booking().await;
    app.request("DELETE /bookings/1", "").await;
    let lines = [("PATCH /bookings/1", TO_SLOT_7), ("PATCH /bookings/9", TO_SLOT_7)];
    assert_snapshot!(app.transcript(&lines).await, @r#"
    PATCH /bookings/1 {"slotId":7}: 409 booking-cancelled; its dose may have been booked by another citizen; book again
    PATCH /bookings/9 {"slotId":7}: 404 no-such-booking; there is no such booking
    "#);
    assert_eq!(app.vaccine.requests(HOLDS).len(), 1, "for the booking");
}

#[tokio::test]
async fn a_move_that_is_meant_for_another_state_is_refused() {
    let app = with_a_booking().await;
    let read = app.request("GET /bookings/1", "").await;
    let tag = read.header("etag").unwrap();
    let mut statuses = Vec::new();
    for number in [7, 8] {
        next(&app, held());
        let headers = [("content-type", "application/json"), ("if-match", tag)];
        let body = format!(r#"{{"slotId":{number}}}"#);
        let moved = app.request_with(&headers, "PATCH /bookings/1", body).await;
        statuses.push(moved.status.as_u16());
    }
    assert_eq!(statuses, [200, 412]);
    assert_eq!(slot(&app).await, 7);
}

#[tokio::test]
async fn a_moved_booking_is_cancelled_as_it_was_read() {
    let app = with_a_booking().await;
    next(&app, held());
    let mut booking = app.request("PATCH /bookings/1", TO_SLOT_7).await.json();
    booking["status"] = "BOOKING_CANCELLED".into();
    let cancelled = app.request("PUT /bookings/1", booking.to_string()).await;
    assert_eq!(cancelled.json()["status"], "BOOKING_CANCELLED");
    assert_eq!(cancelled.json()["slotId"], 7);
}
