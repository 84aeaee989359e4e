//! A series of two doses, over HTTP.

use contracts::{
    ids::{CampaignId, SiteId},
    vaccine::{HeldNext, HeldPlace, HoldOutcome, product::DoseInterval},
};
use insta::assert_snapshot;
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use crate::{
    app::BookingApp,
    vaccine::{FakeReply, FakeVaccine, HOLDS},
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
        r#"{"vaccineId":1,"slotId":7,"userId":5,"nextSlotId":205}"#,
        r#"{"vaccineId":1,"userId":5,"plan":"series","nextSlotId":205}"#,
        r#"{"vaccineId":1,"slotId":7,"userId":5,"plan":"both","nextSlotId":205}"#,
        r#"{"vaccineId":1,"slotId":7,"userId":5,"plan":"series","nextSlotId":0}"#,
    ];
    let requests = bodies.map(|body| ("POST /bookings", body));
    let transcript = app.transcript(&requests).await.replace("POST /bookings ", "");
    assert_snapshot!(transcript, @r#"
    {"vaccineId":1,"slotId":7,"userId":5,"nextSlotId":205}: 422 invalid-field; plan: must be `series` where nextSlotId is given
    {"vaccineId":1,"userId":5,"plan":"series","nextSlotId":205}: 422 invalid-field; slotId: must be given for a series
    {"vaccineId":1,"slotId":7,"userId":5,"plan":"both","nextSlotId":205}: 422 invalid-field; plan: must be `series`, or left out
    {"vaccineId":1,"slotId":7,"userId":5,"plan":"series","nextSlotId":0}: 422 invalid-field; nextSlotId: must be from 1 to 9007199254740991
    "#);
    assert!(app.vaccine.requests(HOLDS).is_empty());
}

/// `campaign` has these slots for a second dose after slot 7, and the vaccine needs one.
fn with_next_slots(slots: &[i64]) -> (BookingApp, FakeVaccine) {
    let (vaccine, campaign) = (FakeVaccine::start(), FakeVaccine::start());
    let product = json!({"nextDose": {"minDays": 21, "maxDays": 42}});
    vaccine.reply_next("GET /vaccines/1/product", FakeReply::json(&product));
    let slot = |id: &i64| json!({"slotId": id, "siteId": 3, "startsAt": "2099-01-05T01:00:00Z", "free": 1});
    let slots: Vec<_> = slots.iter().map(slot).collect();
    let next = json!({"asOf": "2099-01-01T00:00:00Z", "slots": slots});
    campaign.reply_next("GET /slots/7/next", FakeReply::json(&next));
    let url = campaign.url();
    let app = BookingApp::start_with_settings(
        TempDir::new().unwrap(),
        vaccine,
        &[("CAMPAIGN_URL", &url)],
    );
    (app, campaign)
}

const SINGLE: &str = r#"{"vaccineId":1,"slotId":7,"userId":5}"#;

const FIRST_FREE: &str = r#"{"vaccineId":1,"slotId":7,"userId":5,"plan":"series"}"#;

#[tokio::test]
async fn without_a_second_slot_the_first_one_that_is_free_is_booked() {
    let (app, campaign) = with_next_slots(&[205, 206, 207]);
    for outcome in [HoldOutcome::NextSlotFull, held()] {
        app.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome]));
    }
    let booked = app.book_with_key("a", FIRST_FREE).await;
    assert_eq!((booked.status.as_u16(), &booked.json()["slotId"]), (201, &7.into()), "{booked}");
    let second = app.request("GET /bookings/2", "").await.json();
    assert_eq!(second["slotId"], 206, "205 was full by then");
    let asked = campaign.requests("GET /slots/7/next");
    assert!(asked[0].line.contains("vaccineId=1&minDays=21&maxDays=42"), "{asked:?}");
    let again = app.book_with_key("a", FIRST_FREE).await;
    assert_eq!(again.json()["bookingId"], 1, "{again}");
    assert_eq!((asked.len(), app.vaccine.requests(HOLDS).len()), (1, 2));
}

#[tokio::test]
async fn a_key_of_a_single_booking_is_not_one_of_a_series() {
    for (first, second) in [(SINGLE, FIRST_FREE), (FIRST_FREE, SINGLE)] {
        let (app, _campaign) = with_next_slots(&[205]);
        app.vaccine.reply_next(HOLDS, FakeReply::outcomes([held()]));
        assert_eq!(app.book_with_key("a", first).await.status, 201);
        let other = app.book_with_key("a", second).await;
        assert_eq!(other.status, 422, "{other}");
    }
}

#[tokio::test]
async fn a_series_that_the_edge_repeats_tries_every_slot_before_it_is_aborted() {
    let (app, _campaign) = with_next_slots(&[205, 206]);
    for outcome in [HoldOutcome::NextSlotFull, held()] {
        app.vaccine.reply_next(HOLDS, FakeReply::outcomes([outcome]));
    }
    let again = ("x-attempt", "019abcde-0000-7000-8000-000000000001 again");
    let headers = [("content-type", "application/json"), again];
    for _ in 0..2 {
        let booked = app.request_with(&headers, "POST /bookings", FIRST_FREE).await;
        assert_eq!(
            (booked.status.as_u16(), &booked.json()["bookingId"]),
            (201, &1.into()),
            "{booked}"
        );
    }
    let (app, _campaign) = with_next_slots(&[205]);
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::NextSlotFull]));
    let refused = app.request_with(&headers, "POST /bookings", FIRST_FREE).await;
    assert_eq!(refused.in_short().split(';').next(), Some("409 next-slot-full"));
}

#[tokio::test]
async fn a_series_without_a_time_for_its_second_dose_is_refused_with_the_reason() {
    let mut refusals = Vec::new();
    let (app, _campaign) = with_next_slots(&[]);
    refusals.push(app.request("POST /bookings", FIRST_FREE).await.in_short());
    let (app, _campaign) = with_next_slots(&[201, 202, 203, 204, 205, 206]);
    for _ in 0..6 {
        app.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::NextSlotFull]));
    }
    refusals.push(app.request("POST /bookings", FIRST_FREE).await.in_short());
    assert_eq!(app.vaccine.requests(HOLDS).len(), 4);
    let unknown = BookingApp::start();
    refusals.push(unknown.request("POST /bookings", FIRST_FREE).await.in_short());
    let (app, campaign) = with_next_slots(&[201]);
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SlotFull]));
    refusals.push(app.request("POST /bookings", FIRST_FREE).await.in_short());
    refusals.push(app.enqueue("b", FIRST_FREE).await.in_short());
    drop(campaign);
    let single = FakeVaccine::start();
    let campaign = FakeVaccine::start();
    let url = campaign.url();
    single.reply_next("GET /vaccines/1/product", FakeReply::json(&json!({"cvx": 208})));
    let folder = TempDir::new().unwrap();
    let app = BookingApp::start_with_settings(folder, single, &[("CAMPAIGN_URL", &url)]);
    refusals.push(app.request("POST /bookings", FIRST_FREE).await.in_short());
    assert_snapshot!(refusals.join("\n"), @r#"
    409 next-slot-full; every place or dose at the time of the second dose is taken
    409 next-slot-full; every place or dose at the time of the second dose is taken
    503 retry-later; bookings cannot be taken at this moment
    409 slot-full; every place of the slot is taken
    422 invalid-field; nextSlotId: must be given for a ticket of a series
    409 single-dose; one dose of this vaccine is enough
    "#);
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
async fn a_second_dose_that_was_cancelled_is_not_moved_with_the_first() {
    let app = with_a_series().await;
    assert_eq!(app.request("DELETE /bookings/2", "").await.status, 204);
    let holds = app.vaccine.requests(HOLDS).len();
    let moved = app.request("PATCH /bookings/1", r#"{"slotId":8,"nextSlotId":206}"#).await;
    assert_eq!((moved.status.as_u16(), app.vaccine.requests(HOLDS).len()), (409, holds), "{moved}");
}

#[tokio::test]
async fn who_cancels_the_first_dose_cancels_both() {
    let app = with_a_series().await;
    assert_eq!(app.request("DELETE /bookings/1", "").await.status, 204);
    let second = app.request("GET /bookings/2", "").await.json();
    assert_eq!(second["status"], "BOOKING_CANCELLED");
}
