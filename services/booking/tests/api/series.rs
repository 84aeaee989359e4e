//! A series of two doses, over HTTP.

use contracts::{
    ids::{CampaignId, SiteId},
    vaccine::{HeldNext, HeldPlace, HoldOutcome, product::DoseInterval},
};
use insta::assert_snapshot;
use jiff::Timestamp;

use crate::{
    app::BookingApp,
    vaccine::{FakeReply, HOLDS},
};

const SERIES: &str = r#"{"vaccineId":1,"slotId":7,"userId":5,"plan":"series","nextSlotId":205}"#;

fn held() -> HoldOutcome {
    let place = |seconds| HeldPlace {
        site_id: SiteId(3),
        starts_at: Timestamp::from_second(seconds).unwrap(),
        campaign_id: CampaignId(1),
        bookings_per_person: 1,
    };
    let interval = DoseInterval { min_days: 21, max_days: 42 };
    let next = HeldNext { place: place(2_592_000), interval };
    HoldOutcome::Held {
        vc_name: "FIZER".to_owned(),
        count: 1,
        place: Some(place(0)),
        next: Some(next),
    }
}

async fn with_a_series() -> BookingApp {
    let app = BookingApp::start();
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([held()]));
    assert_eq!(app.request("POST /bookings", SERIES).await.status, 201);
    app
}

#[tokio::test]
async fn the_response_is_the_first_booking_which_names_the_second() {
    let app = with_a_series().await;
    assert_snapshot!(app.transcript(&[("GET /bookings/1", ""), ("GET /bookings/2", "")]).await, @r#"
    GET /bookings/1: 200 {"bookingId":1,"vaccineId":1,"vcName":"FIZER","slotId":7,"siteId":3,"startsAt":"1970-01-01T00:00:00Z","doseNumber":1,"otherDoseBookingId":2,"userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    GET /bookings/2: 200 {"bookingId":2,"vaccineId":1,"vcName":"FIZER","slotId":205,"siteId":3,"startsAt":"1970-01-31T00:00:00Z","doseNumber":2,"otherDoseBookingId":1,"userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/2"},"booking":{"href":"http://booking.test/bookings/2"}}}
    "#);
}

#[tokio::test]
async fn a_request_for_a_series_says_both_slots() {
    let app = BookingApp::start();
    let bodies = [
        r#"{"vaccineId":1,"slotId":7,"userId":5,"plan":"series"}"#,
        r#"{"vaccineId":1,"slotId":7,"userId":5,"nextSlotId":205}"#,
        r#"{"vaccineId":1,"userId":5,"plan":"series","nextSlotId":205}"#,
        r#"{"vaccineId":1,"slotId":7,"userId":5,"plan":"both","nextSlotId":205}"#,
        r#"{"vaccineId":1,"slotId":7,"userId":5,"plan":"series","nextSlotId":0}"#,
    ];
    let requests = bodies.map(|body| ("POST /bookings", body));
    let transcript = app.transcript(&requests).await.replace("POST /bookings ", "");
    assert_snapshot!(transcript, @r#"
    {"vaccineId":1,"slotId":7,"userId":5,"plan":"series"}: 422 invalid-field; nextSlotId: must be given for a series
    {"vaccineId":1,"slotId":7,"userId":5,"nextSlotId":205}: 422 invalid-field; plan: must be `series` where nextSlotId is given
    {"vaccineId":1,"userId":5,"plan":"series","nextSlotId":205}: 422 invalid-field; slotId: must be given for a series
    {"vaccineId":1,"slotId":7,"userId":5,"plan":"both","nextSlotId":205}: 422 invalid-field; plan: must be `series`, or left out
    {"vaccineId":1,"slotId":7,"userId":5,"plan":"series","nextSlotId":0}: 422 invalid-field; nextSlotId: must be from 1 to 9007199254740991
    "#);
    assert!(app.vaccine.requests(HOLDS).is_empty());
}

#[tokio::test]
async fn a_refusal_of_the_second_dose_has_a_type_of_its_own() {
    let mut refusals = Vec::new();
    for outcome in
        [HoldOutcome::NextSlotFull, HoldOutcome::OutsideInterval, HoldOutcome::SingleDose]
    {
        let app = BookingApp::start();
        app.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome]));
        refusals.push(app.request("POST /bookings", SERIES).await.in_short());
    }
    assert_snapshot!(refusals.join("\n"), @r"
    409 next-slot-full; every place or dose at the time of the second dose is taken
    409 outside-interval; the second dose would be too early or too late after the first
    409 single-dose; one dose of this vaccine is enough
    ");
}

#[tokio::test]
async fn only_a_first_dose_is_moved_with_a_second_one() {
    let app = with_a_series().await;
    let lines = [
        ("PATCH /bookings/2", r#"{"slotId":8,"nextSlotId":206}"#),
        ("PATCH /bookings/1", r#"{"nextSlotId":206}"#),
    ];
    assert_snapshot!(app.transcript(&lines).await, @r#"
    PATCH /bookings/2 {"slotId":8,"nextSlotId":206}: 422 invalid-field; nextSlotId: this booking has no second dose
    PATCH /bookings/1 {"nextSlotId":206}: 422 invalid-field; slotId: must be given where nextSlotId is
    "#);
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([held()]));
    let moved = app.request("PATCH /bookings/1", r#"{"slotId":8,"nextSlotId":206}"#).await;
    assert_eq!((moved.status.as_u16(), &moved.json()["slotId"]), (200, &8.into()));
    assert_eq!(app.request("GET /bookings/2", "").await.json()["slotId"], 206);
}

#[tokio::test]
async fn who_cancels_the_first_dose_cancels_both() {
    let app = with_a_series().await;
    assert_eq!(app.request("DELETE /bookings/1", "").await.status, 204);
    let second = app.request("GET /bookings/2", "").await.json();
    assert_eq!(second["status"], "BOOKING_CANCELLED");
}
