//! A citizen books, or is refused.

use std::collections::BTreeSet;

use contracts::vaccine::HoldOutcome;
use insta::assert_snapshot;

use crate::{
    app::{BookingApp, REFERENCE_BODY},
    vaccine::{FakeReply, FakeVaccine, HOLDS},
};

const BOOK: &str = "POST /bookings";
const BODY: &str = r#"{"vaccineId":1,"userId":5}"#;

#[tokio::test]
async fn a_booking_is_created_with_its_location() {
    let app = BookingApp::start();
    assert_snapshot!(app.request(BOOK, BODY).await, @r#"
    201 Created
    location: http://booking.test/bookings/1
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
    assert_snapshot!(app.request("GET /bookings/1", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
}

#[tokio::test]
async fn a_body_of_the_reference_is_accepted_to_the_letter() {
    let app = BookingApp::start();
    assert_snapshot!(app.request(BOOK, REFERENCE_BODY).await, @r#"
    201 Created
    location: http://booking.test/bookings/1
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
}

#[tokio::test]
async fn numbers_may_be_sent_as_text() {
    let app = BookingApp::start();
    let reply = app.request(BOOK, r#"{"vaccineId":"1","userId":" 5 "}"#).await;
    assert_snapshot!(reply, @r#"
    201 Created
    location: http://booking.test/bookings/1
    content-type: application/hal+json

    {"bookingId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","_links":{"self":{"href":"http://booking.test/bookings/1"},"booking":{"href":"http://booking.test/bookings/1"}}}
    "#);
    let [batch] = &app.vaccine.batches(1).await[..] else { panic!("one request") };
    assert_eq!(batch.blocks[0].vaccine_id.0, 1);
}

#[tokio::test]
async fn a_booking_has_the_registered_name_of_its_vaccine() {
    let app = BookingApp::start();
    let name =
        HoldOutcome::Held { vc_name: "Pfizer".to_owned(), count: 1, place: None, next: None };
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([name]));
    assert_eq!(app.request(BOOK, REFERENCE_BODY).await.json()["vcName"], "Pfizer");
}

#[tokio::test]
async fn every_json_media_type_is_accepted() {
    let app = BookingApp::start();
    for media_type in
        ["application/json; charset=utf-8", "APPLICATION/JSON", "application/hal+json"]
    {
        let reply = app.request_with(&[("content-type", media_type)], BOOK, BODY).await;
        assert_eq!(reply.status, 201, "{media_type}");
    }
}

#[tokio::test]
async fn links_have_the_scheme_and_the_host_of_the_request() {
    let app = BookingApp::start();
    let headers = [("content-type", "application/json"), ("x-forwarded-proto", "https")];
    let reply = app.request_with(&headers, BOOK, BODY).await;
    assert_eq!(reply.header("location"), Some("https://booking.test/bookings/1"));
}

#[tokio::test]
async fn after_the_last_dose_a_booking_is_sold_out() {
    let app = BookingApp::start();
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::SoldOut]));
    assert_snapshot!(app.request(BOOK, BODY).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {"type":"urn:anticorona:sold-out","title":"Sold out","status":409,"detail":"every dose is taken"}
    "#);
}

#[tokio::test]
async fn a_vaccine_that_does_not_exist_cannot_be_booked() {
    let app = BookingApp::start();
    app.vaccine.reply_next(HOLDS, FakeReply::outcomes([HoldOutcome::NoSuchVaccine]));
    assert_snapshot!(app.request(BOOK, BODY).await, @r#"
    404 Not Found
    content-type: application/problem+json

    {"type":"urn:anticorona:no-such-vaccine","title":"There is no such vaccine","status":404,"detail":"there is no such vaccine"}
    "#);
}

/// Whatever `vaccine` responds, the only 5xx is a 503 with `Retry-After`.
#[tokio::test]
async fn a_failing_vaccine_means_retry_later() {
    let app = BookingApp::start();
    let nonsense = || FakeReply::Response(200, "nonsense".to_owned());
    let mut replies = BTreeSet::new();
    for reply in [nonsense(), FakeReply::Response(500, String::new()), FakeReply::Disconnect] {
        app.vaccine.reply_next(HOLDS, reply);
        replies.insert(app.request(BOOK, BODY).await.to_string());
    }
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_snapshot!(replies.first().unwrap(), @r#"
    503 Service Unavailable
    retry-after: (seconds)
    content-type: application/problem+json

    {"type":"urn:anticorona:retry-later","title":"Please retry later","status":503,"detail":"bookings cannot be taken at this moment"}
    "#);
}

#[tokio::test]
async fn bookings_can_be_read_while_vaccine_is_down() {
    let app = BookingApp::start_with(FakeVaccine::unreachable());
    assert_eq!(app.request("GET /bookings", "").await.status, 200);
    assert_eq!(app.request(BOOK, BODY).await.status, 503);
}
