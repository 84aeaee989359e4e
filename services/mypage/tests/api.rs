//! Views over HTTP.

use std::time::Duration;

use insta::assert_snapshot;
use mypage::{SERVICE, rebuild};
use platform_service::{DataConfig, EventsUrl};
use platform_store::Database;
use serde_json::{Value, json};
use testkit::{Reply, TestApp, event};

/// A booking store and an injection desk.
const BOOKING: &str = "00000000-0000-0000-0000-000000000001";
const DESK: &str = "00000000-0000-0000-0000-000000000002";
/// A store of campaigns.
const CAMPAIGN: &str = "00000000-0000-0000-0000-000000000003";

/// The dose of booking 1 after a move.
const MOVED: &str = "00000000-0000-0000-0001-000000000001";

/// A mypage without views.
fn start() -> TestApp {
    TestApp::start(&SERVICE, &[])
}

/// An event of booking in the second of its number.
fn of_booking(sequence: u64, name: &str, booking: u64, status: &str) -> Value {
    at_second(event(BOOKING, sequence, name, &data(booking, status)), sequence)
}

fn booked(sequence: u64, booking: u64) -> Value {
    of_booking(sequence, "Booked", booking, "BOOKED")
}

fn cancelled(sequence: u64, booking: u64) -> Value {
    of_booking(sequence, "BookingCancelled", booking, "BOOKING_CANCELLED")
}

/// An event of injection in the eleventh second.
fn completed(sequence: u64, booking: u64) -> Value {
    let mut data = data(booking, "INJECTION_COMPLETED");
    data["injectionId"] = json!(1);
    at_second(event(DESK, sequence, "Completed", &data), 11)
}

/// A booking of a slot in Seoul.
fn booked_slot(sequence: u64, booking: u64) -> Value {
    at_slot(booked(sequence, booking), 7, "2026-12-01T00:30:00Z")
}

/// The event, with this slot of site 1.
fn at_slot(mut event: Value, slot: u64, starts_at: &str) -> Value {
    event["data"]["slotId"] = json!(slot);
    event["data"]["siteId"] = json!(1);
    event["data"]["startsAt"] = json!(starts_at);
    event
}

fn site_changed(sequence: u64, phone: &str) -> Value {
    let site = json!({
        "siteId": 1, "name": {"ko": "강남구 보건소", "en": "Gangnam Health Centre"},
        "address": {"line": "1 Teheran-ro", "city": "Seoul", "region": "KR-11"},
        "phone": phone, "timeZone": "Asia/Seoul",
        "position": {"latitude": 37.5, "longitude": 127.0}, "accessibility": "엘리베이터",
    });
    at_second(event(CAMPAIGN, sequence, "SiteChanged", &site), sequence)
}

fn at_second(mut event: Value, second: u64) -> Value {
    event["time"] = json!(format!("2026-11-24T08:00:{second:02}Z"));
    event
}

/// Odd bookings are of user 5, even ones of user 6.
fn data(booking: u64, status: &str) -> Value {
    json!({
        "reservationId": format!("00000000-0000-0000-0000-{booking:012}"),
        "bookingId": booking, "vaccineId": 1, "vcName": "FIZER",
        "userId": 6 - booking % 2, "status": status,
    })
}

async fn get(app: &TestApp, path: &str) -> Reply {
    app.request(&format!("GET {path}"), "").await
}

/// The bookings on each page, following the `next` links.
async fn pages(app: &TestApp, path: &str) -> Vec<Vec<i64>> {
    let (mut path, mut pages) = (Some(path.to_owned()), Vec::new());
    while let Some(here) = path {
        let page = get(app, &here).await;
        pages.push(page.numbers("mypages", "bookId"));
        path = page.link("next");
    }
    pages
}

#[tokio::test]
async fn a_booking_has_a_view_as_soon_as_its_event_is_consumed() {
    let app = start();
    assert_snapshot!(get(&app, "/mypages/1").await, @r#"
    404 Not Found
    content-type: application/problem+json

    {"type":"urn:anticorona:no-such-booking","title":"There is no such booking","status":404,"detail":"a booking appears here a moment after it was made"}
    "#);
    app.publish(&[booked(1, 1)]).await;
    assert_snapshot!(get(&app, "/mypages/1").await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","asOf":"2026-11-24T08:00:01Z","_links":{"self":{"href":"http://mypage.test/mypages/1"},"mypage":{"href":"http://mypage.test/mypages/1"}}}
    "#);
}

#[tokio::test]
async fn a_citizen_sees_when_and_where_once_the_site_is_known() {
    let app = start();
    app.publish(&[booked_slot(1, 1)]).await;
    assert_snapshot!(get(&app, "/mypages/1").await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","asOf":"2026-11-24T08:00:01Z","slotId":7,"siteId":1,"startsAt":"2026-12-01T00:30:00Z","_links":{"self":{"href":"http://mypage.test/mypages/1"},"mypage":{"href":"http://mypage.test/mypages/1"},"calendar":{"href":"http://mypage.test/mypages/1/calendar"}}}
    "#);
    app.publish(&[site_changed(1, "112")]).await;
    assert_snapshot!(get(&app, "/mypages/1").await, @r#"
    200 OK
    content-type: application/hal+json

    {"bookId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","asOf":"2026-11-24T08:00:01Z","slotId":7,"siteId":1,"startsAt":"2026-12-01T00:30:00Z","localTime":"2026-12-01T09:30+09:00[Asia/Seoul]","site":{"name":{"ko":"강남구 보건소","en":"Gangnam Health Centre"},"address":{"line":"1 Teheran-ro","city":"Seoul","region":"KR-11"},"phone":"112","timeZone":"Asia/Seoul","position":{"latitude":37.5,"longitude":127.0},"accessibility":"엘리베이터"},"_links":{"self":{"href":"http://mypage.test/mypages/1"},"mypage":{"href":"http://mypage.test/mypages/1"},"calendar":{"href":"http://mypage.test/mypages/1/calendar"}}}
    "#);
    app.publish(&[site_changed(2, "119")]).await;
    let list = get(&app, "/mypages/search/findByUserId?userId=5").await.json();
    let [found] = &list["_embedded"]["mypages"].as_array().unwrap()[..] else { panic!("{list}") };
    assert_eq!(found["site"]["phone"], "119", "a change is seen in all bookings");
    assert_eq!(found["_links"]["calendar"]["href"], "http://mypage.test/mypages/1/calendar");
}

/// By the link of the item.
#[tokio::test]
async fn a_citizen_puts_a_booking_into_their_calendar() {
    let app = start();
    app.publish(&[booked_slot(1, 1), booked_slot(2, 3), cancelled(3, 3)]).await;
    app.publish(&[site_changed(1, "112")]).await;
    let link = get(&app, "/mypages/1").await.link("calendar").unwrap();
    let reply = app
        .request_with(&[("accept", "text/calendar, */*;q=0.1")], &format!("GET {link}"), "")
        .await;
    for (name, value) in [
        ("content-type", "text/calendar; charset=utf-8"),
        ("content-disposition", "inline; filename=\"booking-1.ics\""),
        ("cache-control", "no-store"),
        ("content-language", "ko"),
        ("vary", "accept, accept-language"),
    ] {
        assert_eq!(reply.header(name), Some(value));
    }
    let text = reply.body();
    for line in
        ["BEGIN:VCALENDAR\r\n", "\r\nGEO:37.500000;127.000000\r\n", "\r\nSTATUS:CONFIRMED\r\n"]
    {
        assert!(text.contains(line), "{text}");
    }
    let accept = [("accept-language", "fr, en-GB;q=0.9, ko;q=0.8")];
    let english = app.request_with(&accept, "GET /mypages/1/calendar", "").await;
    assert_eq!(english.header("content-language"), Some("en"));
    assert!(english.body().contains("\r\nSUMMARY:Vaccination: FIZER\r\n"));
    let cancelled = get(&app, "/mypages/3/calendar").await;
    assert!(cancelled.body().contains("\r\nSTATUS:CANCELLED\r\n"));
}

#[tokio::test]
async fn a_booking_without_a_slot_has_no_calendar_and_other_media_types_are_refused() {
    let app = start();
    app.publish(&[booked(1, 1), booked_slot(2, 2)]).await;
    let shown = get(&app, "/mypages/1").await.json();
    for field in ["slotId", "siteId", "startsAt", "localTime", "site"] {
        assert!(shown.get(field).is_none(), "{field}");
    }
    assert!(shown["_links"].get("calendar").is_none());
    let transcript =
        app.transcript(&[("GET /mypages/1/calendar", ""), ("GET /mypages/9/calendar", "")]).await;
    assert_snapshot!(transcript, @"
    GET /mypages/1/calendar: 404 no-slot; it is of a dose without a time and a place
    GET /mypages/9/calendar: 404 no-such-booking; a booking appears here a moment after it was made
    ");
    let accept = [("accept", "application/json")];
    assert_snapshot!(app.request_with(&accept, "GET /mypages/2/calendar", "").await, @r#"
    406 Not Acceptable
    content-type: application/problem+json

    {"type":"urn:anticorona:not-acceptable","title":"No media type fits","status":406,"detail":"there is text/calendar","field":"Accept"}
    "#);
}

#[tokio::test]
async fn a_view_has_the_highest_status_and_its_time() {
    let app = start();
    let mut statuses = Vec::new();
    for event in [booked(1, 1), cancelled(2, 1), booked(3, 1), completed(1, 1), cancelled(4, 1)] {
        app.publish(&[event]).await;
        let view = get(&app, "/mypages/1").await.json();
        statuses.push(format!("{} since {}", view["status"], view["asOf"]));
    }
    assert_snapshot!(statuses.join("\n"), @r#"
    "BOOKED" since "2026-11-24T08:00:01Z"
    "BOOKING_CANCELLED" since "2026-11-24T08:00:02Z"
    "BOOKING_CANCELLED" since "2026-11-24T08:00:02Z"
    "INJECTION_COMPLETED" since "2026-11-24T08:00:11Z"
    "INJECTION_COMPLETED" since "2026-11-24T08:00:11Z"
    "#);
}

#[tokio::test]
async fn an_injection_is_visible_before_its_booking() {
    let app = start();
    app.publish(&[completed(1, 1)]).await;
    let early = get(&app, "/mypages/1").await.json();
    assert_eq!((&early["status"], &early["vcName"]), (&json!("INJECTION_COMPLETED"), &json!("")));
    app.publish(&[booked(1, 1)]).await;
    let later = get(&app, "/mypages/1").await.json();
    assert_eq!(
        (&later["status"], &later["vcName"]),
        (&json!("INJECTION_COMPLETED"), &json!("FIZER"))
    );
}

/// Booking 1 after a move to slot 8, half an hour after slot 7.
fn moved(sequence: u64) -> Value {
    let mut event = of_booking(sequence, "BookingMoved", 1, "BOOKED");
    event["data"]["previousReservationIds"] = json!([event["data"]["reservationId"]]);
    event["data"]["reservationId"] = json!(MOVED);
    at_slot(event, 8, "2026-12-01T01:00:00Z")
}

/// The injection of booking 1 with the dose that it has after a move.
fn completed_after_move() -> Value {
    let mut event = at_slot(completed(1, 1), 8, "2026-12-01T01:00:00Z");
    event["data"]["firstReservationId"] = event["data"]["reservationId"].clone();
    event["data"]["reservationId"] = json!(MOVED);
    for (field, value) in [
        ("lotNumber", json!("EW0150")),
        ("doseNumber", json!(2)),
        ("bodySite", json!("LEFT_DELTOID")),
        ("performer", json!("Kim")),
        ("occurredAt", json!("2026-11-24T08:00:10Z")),
    ] {
        event["data"][field] = value;
    }
    event
}

#[tokio::test]
async fn a_moved_booking_that_is_cancelled_is_one_view_at_its_new_slot() {
    let app = start();
    let calendar = async || get(&app, "/mypages/1/calendar").await.body().to_owned();
    app.publish(&[booked_slot(1, 1)]).await;
    assert!(calendar().await.contains("\r\nSEQUENCE:0\r\nDTSTART:20261201T003000Z\r\n"));
    app.publish(&[moved(2)]).await;
    assert!(calendar().await.contains("\r\nSEQUENCE:1\r\nDTSTART:20261201T010000Z\r\n"));
    let mut cancelled = moved(3);
    cancelled["type"] = json!("anticorona.BookingCancelled.v1");
    cancelled["data"]["status"] = json!("BOOKING_CANCELLED");
    app.publish(&[cancelled]).await;
    assert!(calendar().await.contains("\r\nSEQUENCE:2\r\nDTSTART:20261201T010000Z\r\n"));
    assert!(calendar().await.contains("\r\nSTATUS:CANCELLED\r\n"));
    assert_snapshot!(get(&app, "/mypages").await.json()["_embedded"], @r#"{"mypages":[{"_links":{"calendar":{"href":"http://mypage.test/mypages/1/calendar"},"mypage":{"href":"http://mypage.test/mypages/1"},"self":{"href":"http://mypage.test/mypages/1"}},"asOf":"2026-11-24T08:00:03Z","bookId":1,"siteId":1,"slotId":8,"startsAt":"2026-12-01T01:00:00Z","status":"BOOKING_CANCELLED","userId":5,"vaccineId":1,"vcName":"FIZER"}]}"#);
}

#[tokio::test]
async fn an_injection_with_its_lot_is_visible_before_the_move_and_the_booking() {
    let app = start();
    app.publish(&[completed_after_move()]).await;
    let early = get(&app, "/mypages/1").await.json();
    assert_eq!((&early["slotId"], &early["lotNumber"]), (&json!(8), &json!("EW0150")));
    app.publish(&[booked_slot(1, 1), moved(2)]).await;
    assert_snapshot!(get(&app, "/mypages").await.json()["_embedded"], @r#"{"mypages":[{"_links":{"calendar":{"href":"http://mypage.test/mypages/1/calendar"},"mypage":{"href":"http://mypage.test/mypages/1"},"self":{"href":"http://mypage.test/mypages/1"}},"asOf":"2026-11-24T08:00:11Z","bookId":1,"doseNumber":2,"lotNumber":"EW0150","occurredAt":"2026-11-24T08:00:10Z","siteId":1,"slotId":8,"startsAt":"2026-12-01T01:00:00Z","status":"INJECTION_COMPLETED","userId":5,"vaccineId":1,"vcName":"FIZER"}]}"#);
}

#[tokio::test]
async fn a_citizen_finds_their_bookings_page_by_page() {
    let app = start();
    app.publish(&(1..=6).map(|number| booked(number, number)).collect::<Vec<_>>()).await;
    let path = "/mypages/search/findByUserId?userId=5&size=2";
    let first = get(&app, path).await;
    assert_snapshot!(first, @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"mypages":[{"bookId":1,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","asOf":"2026-11-24T08:00:01Z","_links":{"self":{"href":"http://mypage.test/mypages/1"},"mypage":{"href":"http://mypage.test/mypages/1"}}},{"bookId":3,"vaccineId":1,"vcName":"FIZER","userId":5,"status":"BOOKED","asOf":"2026-11-24T08:00:03Z","_links":{"self":{"href":"http://mypage.test/mypages/3"},"mypage":{"href":"http://mypage.test/mypages/3"}}}]},"_links":{"first":{"href":"http://mypage.test/mypages/search/findByUserId?userId=5&size=2"},"self":{"href":"http://mypage.test/mypages/search/findByUserId?userId=5&page=0&size=2"},"next":{"href":"http://mypage.test/mypages/search/findByUserId?userId=5&cursor=after-3&size=2"},"last":{"href":"http://mypage.test/mypages/search/findByUserId?userId=5&cursor=before-9223372036854775807&size=2"},"profile":{"href":"http://mypage.test/profile/mypages"},"search":{"href":"http://mypage.test/mypages/search"}},"page":{"size":2,"number":0}}
    "#);
    assert_eq!(first.numbers("mypages", "userId"), [5, 5]);
    assert_eq!(pages(&app, path).await, [vec![1, 3], vec![5]]);
    assert_eq!(pages(&app, &first.link("self").unwrap()).await, [vec![1, 3], vec![5]]);

    let second = get(&app, &first.link("next").unwrap()).await;
    assert_eq!(second.numbers("mypages", "userId"), [5]);
    let back = get(&app, &second.link("prev").unwrap()).await;
    assert_eq!(back.numbers("mypages", "bookId"), [1, 3]);
    let last = get(&app, &first.link("last").unwrap()).await;
    assert_eq!(last.numbers("mypages", "bookId"), [3, 5]);

    let other = get(&app, "/mypages/search/findByUserId?userId=7").await;
    assert_eq!(other.numbers("mypages", "bookId"), Vec::<i64>::new());
}

/// From the index to the bookings of a user, and to the document, by links alone.
#[tokio::test]
async fn the_search_and_the_document_are_reached_from_the_index() {
    let app = start();
    app.publish(&[booked(1, 1), booked(2, 3)]).await;
    let link = async |path: &str, name: &str| get(&app, path).await.link(name).unwrap();
    let list = link("/", "mypages").await;
    assert_eq!(list, "/mypages{?page,size,sort}");
    let search = link(&link("/mypages", "search").await, "findByUserId").await;
    assert_eq!(search, "/mypages/search/findByUserId{?userId,page,size,sort}");
    let found = get(&app, "/mypages/search/findByUserId?userId=5&sort=id,desc").await;
    assert_eq!(found.numbers("mypages", "bookId"), [3, 1]);

    assert_eq!(link(&link("/", "profile").await, "mypages").await, "/profile/mypages");
    let profile = link("/mypages", "profile").await;
    assert_eq!(link(&profile, "describes").await, list);
    let document = get(&app, &link(&profile, "service-desc").await).await.json();
    assert!(document["paths"]["/mypages/search"].is_object());
}

#[tokio::test]
async fn all_bookings_are_listed_in_the_order_in_which_their_events_arrived() {
    let app = start();
    app.publish(&[booked(1, 2), booked(2, 3), booked(3, 1)]).await;
    assert_eq!(pages(&app, "/mypages?size=2").await, [vec![2, 3], vec![1]]);
}

#[tokio::test]
async fn a_repeated_or_early_event_changes_nothing() {
    let app = start();
    let mut offsets = Vec::new();
    for events in [
        vec![booked(2, 2)],
        vec![booked(1, 1), booked(1, 1)],
        vec![cancelled(1, 1)],
        vec![booked(2, 2), cancelled(4, 2), cancelled(3, 1)],
    ] {
        offsets.push(app.publish(&events).await.json()["sequence"].as_u64().unwrap());
    }
    assert_eq!(offsets, [0, 1, 1, 3]);
    assert_eq!(get(&app, "/mypages/1").await.json()["status"], "BOOKING_CANCELLED");
    assert_eq!(get(&app, "/mypages/2").await.json()["status"], "BOOKED");
}

#[tokio::test]
async fn an_event_that_cannot_be_decoded_is_dead_lettered() {
    let app = start();
    let malformed = event(BOOKING, 1, "Booked", &json!({"bookingId": "seven"}));
    let newer = event(BOOKING, 2, "Moved", &json!({}));
    assert_eq!(app.publish(&[malformed, newer, booked(3, 3)]).await.json()["sequence"], 3);
    let dead_letters = get(&app, "/events/dead-letters").await.json();
    assert_eq!(dead_letters["total"], 1);
    assert_eq!(dead_letters["events"][0]["sequence"], 1);
    assert_eq!(pages(&app, "/mypages").await, [[3]]);
}

#[tokio::test]
async fn a_rebuild_deletes_all_views_and_consumes_all_events_again() {
    let events = [booked(1, 1), booked(2, 2), cancelled(3, 2)];
    let offset = format!("/events/offset?source={BOOKING}");
    let app = start();
    app.publish(&events).await;
    app.publish(&[completed(1, 1)]).await;
    let before = get(&app, "/mypages").await.to_string();
    assert_eq!(get(&app, &offset).await.json()["sequence"], 3);

    let app = rebuilt(app).await;
    assert_eq!(get(&app, "/mypages/1").await.status, 404);
    assert_eq!(get(&app, &offset).await.json()["sequence"], 0);
    assert_eq!(app.publish(&events[2..]).await.json()["sequence"], 0);

    app.publish(&events).await;
    app.publish(&[completed(1, 1)]).await;
    assert_eq!(get(&app, "/mypages").await.to_string(), before);
}

/// Stopped, rebuilt and started.
async fn rebuilt(app: TestApp) -> TestApp {
    let folder = app.into_folder().await;
    let database = Database::Sqlite(folder.path().join("mypage.sqlite"));
    let config = DataConfig {
        database,
        events: EventsUrl::default(),
        subscribers: Vec::new(),
        retention: Duration::from_hours(1),
    };
    assert!(rebuild(config).await.is_ok());
    TestApp::start_in(folder, &SERVICE, &[])
}

/// Auditors can still read it, and nobody has to dismiss it again.
#[tokio::test]
async fn a_dismissed_dead_letter_stays_dismissed_after_a_rebuild() {
    let malformed = |sequence| event(BOOKING, sequence, "Booked", &json!({"bookingId": "seven"}));
    let events = [malformed(1), malformed(2)];
    let app = start();
    app.publish(&events).await;
    let dismiss = format!("DELETE /events/dead-letters/{BOOKING}/1");
    assert_eq!(app.request(&dismiss, r#"{"reason":"a test"}"#).await.status, 204);

    let app = rebuilt(app).await;
    let list = async |path: &str| {
        let letters = get(&app, path).await.json();
        let events = letters["events"].as_array().unwrap().clone();
        events.iter().map(|it| it["sequence"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(list("/events/dead-letters").await, [0; 0]);
    assert_eq!(app.publish(&events).await.json()["sequence"], 2);
    assert_eq!(list("/events/dead-letters").await, [2]);
    assert_eq!(list("/events/dead-letters?dismissed=true").await, [1]);
}

#[tokio::test]
async fn a_wrong_request_is_refused_with_its_field() {
    let app = start();
    let transcript = app
        .transcript(&[
            ("GET /mypages/one", ""),
            ("GET /mypages/0", ""),
            ("GET /mypages?page=-1", ""),
            ("GET /mypages?size=0", ""),
            ("GET /mypages/search/findByUserId", ""),
            ("GET /mypages/search/findByUserId?userId=five", ""),
            ("GET /mypages/search/findByUserId?userId=5&size=many", ""),
        ])
        .await;
    assert_snapshot!(transcript, @"
    GET /mypages/one: 404 not-found; nothing at /mypages/one
    GET /mypages/0: 404 no-such-booking; a booking appears here a moment after it was made
    GET /mypages?page=-1: 422 invalid-field; page: must be a whole number, counted from 0
    GET /mypages?size=0: 422 invalid-field; size: must be a whole number from 1
    GET /mypages/search/findByUserId: 422 invalid-field; userId: must be the number of a user
    GET /mypages/search/findByUserId?userId=five: 422 invalid-field; userId: must be the number of a user
    GET /mypages/search/findByUserId?userId=5&size=many: 422 invalid-field; size: must be a whole number from 1
    ");
}

#[tokio::test]
async fn views_are_read_only() {
    let app = start();
    app.publish(&[booked(1, 1)]).await;
    for line in [
        "POST /mypages",
        "PUT /mypages/1",
        "PATCH /mypages/1",
        "DELETE /mypages/1",
        "POST /mypages/search/findByUserId",
    ] {
        let refused = app.request(line, "").await;
        assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, Some("GET,HEAD")));
    }
}

#[tokio::test]
async fn nobody_may_store_a_view_on_the_way() {
    let app = start();
    app.publish(&[booked(1, 1), booked_slot(2, 2)]).await;
    for path in
        ["/mypages", "/mypages/1", "/mypages/2/calendar", "/mypages/search/findByUserId?userId=5"]
    {
        let reply = get(&app, path).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("cache-control"), Some("no-store"), "{path}");
    }
}
