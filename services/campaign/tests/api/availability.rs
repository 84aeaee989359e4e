//! What citizens can book: what is free of slots that can be booked now.

use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::TestApp;

use super::{
    SCHEDULED, far_campaign,
    fixture::{site_json, with},
    start_with, wait_for_slots,
};
use crate::vaccine::FakeVaccine;

pub(super) const OPEN: &str = r#"{"status":"OPEN","reason":"as decided","actor":"kim"}"#;
pub(super) const PAUSED: &str = r#"{"status":"PAUSED","reason":"as decided","actor":"kim"}"#;

/// The slots of vaccine 1 at site 1 on the first date.
const SLOTS: &str = "GET /slots?vaccineId=1&siteId=1&from=2999-01-01&to=2999-01-01";

/// With a campaign of three slots on each of two days, which is open.
async fn start_open(vaccine: &FakeVaccine, fields: Value) -> TestApp {
    let app = start_with(vaccine.url());
    app.request("POST /sites", site_json().to_string()).await;
    app.request("POST /campaigns", far_campaign(fields).to_string()).await;
    app.request("POST /campaigns/1/status", SCHEDULED).await;
    let day = |date| [(date, "09:00", 9), (date, "09:20", 9), (date, "09:40", 9)];
    wait_for_slots(&app, &[day("2999-01-01"), day("2999-01-08")].concat()).await;
    assert_eq!(app.request("POST /campaigns/1/status", OPEN).await.status, 200);
    app
}

/// Places by slot, from 1; and doses, with the date on which they are valid.
pub(super) fn answer(places: &[i64], doses: &[(Option<&str>, i64)]) -> Value {
    let slots = (1..).zip(places).map(|(id, free)| {
        json!({
            "slotId": id, "campaignId": 1, "startsAt": "2999-01-01T00:00:00Z",
            "date": "2999-01-01", "free": free,
        })
    });
    let doses = doses.iter().map(|(date, free)| {
        let mut doses = json!({"vaccineId": 1, "free": free});
        if let Some(date) = date {
            doses["date"] = json!(date);
        }
        doses
    });
    let (slots, doses): (Vec<_>, Vec<_>) = (slots.collect(), doses.collect());
    json!({"asOf": "2026-12-01T00:00:00Z", "slots": slots, "doses": doses})
}

fn free(reply: &Value) -> Vec<i64> {
    let days = reply["days"].as_array().unwrap().iter();
    let slots = days.flat_map(|day| day["slots"].as_array().unwrap());
    slots.map(|slot| slot["free"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_slot_has_as_many_free_as_there_are_places_and_doses() {
    let vaccine = FakeVaccine::start();
    vaccine.answer(answer(&[9, 2, 0, 5, 99, 4], &[(None, 6)]));
    let app = start_open(&vaccine, json!({})).await;
    let found = app.request(SLOTS, "").await;
    assert_eq!(found.header("cache-control"), Some("public, max-age=1"));
    assert_snapshot!(found.json().to_string(), @r#"
    {"asOf":"2026-12-01T00:00:00Z","days":[{"campaignId":1,"date":"2999-01-01","siteId":1,"slots":[{"capacity":9,"free":6,"from":"09:00","heldBack":1,"minutes":20,"slotId":1,"startsAt":"2999-01-01T00:00:00Z"},{"capacity":9,"free":2,"from":"09:20","heldBack":1,"minutes":20,"slotId":2,"startsAt":"2999-01-01T00:20:00Z"},{"capacity":9,"free":0,"from":"09:40","heldBack":1,"minutes":20,"slotId":3,"startsAt":"2999-01-01T00:40:00Z"}],"timeZone":"Asia/Seoul"}]}
    "#);
    let only_free = app.request(&format!("{SLOTS}&free=true"), "").await.json();
    assert_eq!(free(&only_free), [6, 2]);
    let of_campaign = app.request(&format!("{SLOTS}&campaignId=1"), "").await.json();
    assert_eq!(free(&of_campaign), [6, 2, 0]);
    let other = SLOTS.replace("vaccineId=1", "vaccineId=2");
    assert_eq!(app.request(&other, "").await.json()["days"], json!([]), "it is not offered");
    let other = app.request(&format!("{other}&campaignId=1"), "").await.json();
    assert_eq!(free(&other), [0; 3]);
    assert_eq!(vaccine.requests()[0], "siteId=1&from=2999-01-01&to=2999-01-01");
}

#[tokio::test]
async fn nothing_is_free_of_a_campaign_that_is_not_open_or_has_begun() {
    let vaccine = FakeVaccine::start();
    vaccine.answer(answer(&[9; 6], &[(None, 6)]));
    let app = start_open(&vaccine, json!({})).await;
    let past = "GET /slots?vaccineId=1&campaignId=1&siteId=1&from=2026-01-01&to=2026-01-31";
    assert_eq!(app.request(past, "").await.json()["days"], json!([]));
    assert_eq!(free(&app.request(SLOTS, "").await.json()), [6; 3]);
    let closed = json!({"hours": [{"from": "09:20", "to": "10:00"}]}).to_string();
    app.request("PUT /sites/1/exceptions/2999-01-01", closed).await;
    assert_eq!(free(&app.request(SLOTS, "").await.json()), [0, 6, 6], "at once");
    app.request("POST /campaigns/1/status", PAUSED).await;
    assert_eq!(app.request(SLOTS, "").await.json()["days"], json!([]));
    let of_campaign = app.request(&format!("{SLOTS}&campaignId=1"), "").await.json();
    assert_eq!(free(&of_campaign), [0; 3]);
}

#[tokio::test]
async fn a_client_that_has_the_answer_gets_304() {
    let vaccine = FakeVaccine::start();
    vaccine.answer(answer(&[1; 6], &[(None, 6)]));
    let app = start_open(&vaccine, json!({})).await;
    let days = "GET /days?vaccineId=1&siteId=1&from=2999-01-01&to=2999-01-01";
    for line in [SLOTS, days] {
        let tag = app.request(line, "").await.header("etag").unwrap().to_owned();
        assert!(tag.starts_with("W/"), "{tag}: the body has the time, too");
        let tags = [tag.clone(), tag.replace("W/", ""), format!("\"x\", {tag}"), "*".to_owned()];
        for tags in tags {
            let same = app.request_with(&[("if-none-match", &*tags)], line, "").await;
            assert_eq!((same.status.as_u16(), same.body()), (304, ""), "{tags}");
            assert_eq!(same.header("etag"), Some(&*tag));
        }
        let other = app.request_with(&[("if-none-match", "W/\"x\"")], line, "").await;
        assert_eq!(other.status, 200);
    }
}

#[tokio::test]
async fn a_calendar_says_of_each_date_whether_anything_is_free() {
    let vaccine = FakeVaccine::start();
    let lots = [(Some("2999-01-01"), 20), (Some("2999-01-08"), 2)];
    vaccine.answer(answer(&[9, 9, 9, 3, 3, 3], &lots));
    let app = start_open(&vaccine, json!({"doses": "SITE_LOTS"})).await;
    let line = "GET /days?vaccineId=1&siteId=1&from=2998-12-31&to=2999-01-08";
    let calendar = app.request(line, "").await;
    assert_snapshot!(calendar.json().to_string(), @r#"
    {"asOf":"2026-12-01T00:00:00Z","days":[{"date":"2998-12-31","free":0,"status":"NONE"},{"date":"2999-01-01","free":20,"status":"FREE"},{"date":"2999-01-02","free":0,"status":"NONE"},{"date":"2999-01-03","free":0,"status":"NONE"},{"date":"2999-01-04","free":0,"status":"NONE"},{"date":"2999-01-05","free":0,"status":"NONE"},{"date":"2999-01-06","free":0,"status":"NONE"},{"date":"2999-01-07","free":0,"status":"NONE"},{"date":"2999-01-08","free":2,"status":"FEW"}]}
    "#);
}

#[tokio::test]
async fn sites_near_a_position_are_found_where_something_is_free() {
    let vaccine = FakeVaccine::start();
    vaccine.answer(answer(&[0, 2, 9, 0, 0, 0], &[(None, 6)]));
    let app = start_open(&vaccine, json!({})).await;
    let near =
        "GET /sites/search/findNear?near=37.5665,126.978&vaccineId=1&from=2999-01-01&to=2999-01-31";
    let nowhere = app.request(near, "").await.json();
    assert_eq!(nowhere, json!({"incomplete": false, "sites": []}), "it is not on the map");
    let position = json!({"position": {"latitude": 37.4979, "longitude": 127.0276}});
    app.request("PUT /sites/1", with(site_json(), position.clone()).to_string()).await;
    app.request("POST /sites", with(site_json(), position).to_string()).await;
    let found = app.request(near, "").await;
    assert_eq!(found.header("cache-control"), Some("public, max-age=1"));
    assert_snapshot!(found.json().to_string(), @r#"
    {"asOf":"2026-12-01T00:00:00Z","incomplete":false,"sites":[{"distanceMetres":8793,"firstSlot":{"capacity":9,"free":2,"from":"09:20","heldBack":1,"minutes":20,"slotId":2,"startsAt":"2999-01-01T00:20:00Z"},"free":6,"name":{"ko":"강남구 보건소"},"position":{"latitude":37.4979,"longitude":127.0276},"siteId":1}]}
    "#);
    let other = near.replace("vaccineId=1", "vaccineId=2");
    assert_eq!(app.request(&other, "").await.json()["sites"], json!([]));
    app.request("POST /campaigns/1/status", PAUSED).await;
    assert_eq!(app.request(near, "").await.json(), json!({"incomplete": false, "sites": []}));
    let lines = ["", "1", "91,0", "0,180.1", "1e1,2", "+1,2", "1,2,3", "1.,2", "x,y"];
    for near in lines {
        let line = format!(
            "GET /sites/search/findNear?near={near}&vaccineId=1&from=2999-01-01&to=2999-01-01"
        );
        let refused = app.request(&line, "").await.in_short();
        let expected = "422 invalid-field; near: must be a latitude and a longitude in degrees, as 37.4979,127.0276";
        assert_eq!(refused, expected, "{near}");
    }
}

#[tokio::test]
async fn while_it_is_not_known_what_is_free_clients_retry_later() {
    let vaccine = FakeVaccine::start();
    let app = start_open(&vaccine, json!({})).await;
    let unknown = app.request(SLOTS, "").await;
    assert_eq!(unknown.in_short(), "503 retry-later; it is not known now what is free");
    assert!(unknown.header("retry-after").is_some());
    let requested = vaccine.requests().len();
    let planned = "GET /slots?campaignId=1&siteId=1&from=2999-01-01&to=2999-01-01";
    assert_eq!(app.request(planned, "").await.status, 200, "it needs no vaccine");
    assert_eq!(vaccine.requests().len(), requested);
}

#[tokio::test]
async fn what_is_wrong_about_a_request_is_named() {
    let app = start_with("http://127.0.0.1:1");
    let lines = [
        "GET /slots?siteId=1&from=2999-01-01&to=2999-01-01",
        "GET /slots?vaccineId=x&siteId=1&from=2999-01-01&to=2999-01-01",
        "GET /slots?vaccineId=1&campaignId=x&siteId=1&from=2999-01-01&to=2999-01-01",
        "GET /slots?vaccineId=1&from=2999-01-01&to=2999-01-01",
        "GET /slots?vaccineId=1&siteId=1&from=2999-01-01&to=2999-02-01",
        "GET /slots?vaccineId=1&siteId=1&from=2999-01-01&to=2999-01-01&free=1",
        "GET /slots?campaignId=1&siteId=1&from=2999-01-01&to=2999-01-01&free=true",
        "GET /days?siteId=1&from=2999-01-01&to=2999-01-01",
        "GET /days?vaccineId=1&siteId=1&from=2999-01-01",
    ];
    let transcript = app.transcript(&lines.map(|line| (line, ""))).await;
    assert_snapshot!(transcript, @r#"
    GET /slots?siteId=1&from=2999-01-01&to=2999-01-01: 422 invalid-field; campaignId: must be the number of a campaign
    GET /slots?vaccineId=x&siteId=1&from=2999-01-01&to=2999-01-01: 422 invalid-field; vaccineId: must be the number of a vaccine
    GET /slots?vaccineId=1&campaignId=x&siteId=1&from=2999-01-01&to=2999-01-01: 422 invalid-field; campaignId: must be the number of a campaign
    GET /slots?vaccineId=1&from=2999-01-01&to=2999-01-01: 422 invalid-field; siteId: must be the number of a site
    GET /slots?vaccineId=1&siteId=1&from=2999-01-01&to=2999-02-01: 422 invalid-field; to: must be a date from `from`, at most 31 days
    GET /slots?vaccineId=1&siteId=1&from=2999-01-01&to=2999-01-01&free=1: 422 invalid-field; free: provided string was not `true` or `false`
    GET /slots?campaignId=1&siteId=1&from=2999-01-01&to=2999-01-01&free=true: 422 invalid-field; vaccineId: must be given to know what is free
    GET /days?siteId=1&from=2999-01-01&to=2999-01-01: 422 invalid-field; vaccineId: must be the number of a vaccine
    GET /days?vaccineId=1&siteId=1&from=2999-01-01: 422 invalid-field; to: must be a date, as 2026-12-01
    "#);
}
