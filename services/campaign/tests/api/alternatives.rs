//! Free slots that can be booked instead of one that is wanted.

use axum::http::StatusCode;
use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::TestApp;

use super::{
    availability::{PAUSED, answer},
    near::start_with_sites,
};
use crate::vaccine::FakeVaccine;

/// The numbers of the six slots of a site, by time.
pub(crate) async fn slots_of(app: &TestApp, site: i64) -> Vec<i64> {
    let line = format!("GET /slots?campaignId=1&siteId={site}&from=2999-01-01&to=2999-01-31");
    let listed = app.request(&line, "").await.json();
    let days = listed["days"].as_array().unwrap().iter();
    let slots = days.flat_map(|day| day["slots"].as_array().unwrap());
    slots.map(|slot| slot["slotId"].as_i64().unwrap()).collect()
}

/// Slots of the ledger by number, all of them full but these.
pub(crate) fn free_only(slots: &[i64]) -> Value {
    let last = slots.iter().max().copied().unwrap_or_default();
    let places: Vec<_> = (1..=last).map(|id| i64::from(slots.contains(&id)) * 2).collect();
    answer(&places, &[(None, 99)])
}

fn line(slot: i64) -> String {
    format!("GET /slots/{slot}/alternatives?vaccineId=1")
}

fn numbers(slots: &Value) -> Vec<i64> {
    let slots = slots.as_array().unwrap().iter();
    slots.map(|slot| slot["slotId"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn slots_nearest_in_time_at_the_site_and_at_the_nearest_sites_are_offered() {
    let vaccine = FakeVaccine::start();
    let app = start_with_sites(&vaccine, 2).await;
    let (own, other) = (slots_of(&app, 1).await, slots_of(&app, 2).await);
    vaccine.answer(free_only(&[own[0], own[1], own[4], own[5], other[3], other[4]]));
    let found = app.request(&line(own[2]), "").await;
    assert_eq!(found.header("cache-control"), Some("public, max-age=1"));
    let tag = found.header("etag").unwrap().to_owned();
    let found = found.json();
    assert_eq!(numbers(&found["sameSite"]), [own[1], own[0], own[4]], "before or after");
    let [same, elsewhere] = [&found["sameSite"][0], &found["otherSites"]];
    assert_eq!(
        *same,
        json!({"slotId": own[1], "siteId": 1, "startsAt": "2999-01-01T00:20:00Z", "free": 2})
    );
    let expected = json!([{
        "slotId": other[3], "siteId": 2, "startsAt": "2999-01-08T00:00:00Z", "free": 2,
        "distanceMetres": 1112,
    }]);
    assert_eq!(*elsewhere, expected);
    assert_eq!(
        (&found["asOf"], &found["incomplete"]),
        (&json!("2026-12-01T00:00:00Z"), &json!(false))
    );
    let same = app.request_with(&[("if-none-match", &*tag)], &line(own[2]), "").await;
    assert_eq!(same.status, 304);
    let of_other_vaccine = line(own[2]).replace("vaccineId=1", "vaccineId=2");
    let nothing = app.request(&of_other_vaccine, "").await.json();
    assert_eq!((&nothing["sameSite"], &nothing["otherSites"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn the_wanted_slot_is_no_alternative_and_nothing_is_of_a_paused_campaign() {
    let vaccine = FakeVaccine::start();
    let app = start_with_sites(&vaccine, 1).await;
    let own = slots_of(&app, 1).await;
    let found = app.request(&line(own[1]), "").await.json();
    assert_eq!(numbers(&found["sameSite"]), [own[0], own[2], own[3]], "the earlier one of two");
    assert_eq!(found["otherSites"], json!([]));
    app.request("POST /campaigns/1/status", PAUSED).await;
    let found = app.request(&line(own[1]), "").await.json();
    assert_eq!((&found["sameSite"], &found["incomplete"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn other_sites_are_the_nearest_three_within_twenty_kilometres() {
    let vaccine = FakeVaccine::start();
    let app = start_with_sites(&vaccine, 24).await;
    let sites = |found: &Value| -> Vec<i64> {
        let slots = found["otherSites"].as_array().unwrap().iter();
        slots.map(|slot| slot["siteId"].as_i64().unwrap()).collect()
    };
    let own = slots_of(&app, 1).await;
    assert_eq!(sites(&app.request(&line(own[0]), "").await.json()), [2, 3, 4]);
    let asked = vaccine.requests().len();
    assert!((4..8).contains(&asked), "{asked} requests: four at a time");
    // Sites 2 to 18 are at most 18.9 km away, and site 19 is 20.02 km away.
    let (near, far) = (slots_of(&app, 18).await, slots_of(&app, 19).await);
    vaccine.answer(free_only(&[near[0], far[0]]));
    let wanted = own[3];
    let found = app.request(&line(wanted), "").await.json();
    assert_eq!(sites(&found), [18]);
    assert_eq!(found["otherSites"][0]["distanceMetres"], 18_903);
}

#[tokio::test]
async fn a_site_without_an_answer_is_left_out_but_that_of_the_slot_is_needed() {
    let vaccine = FakeVaccine::start();
    let app = start_with_sites(&vaccine, 3).await;
    let own = slots_of(&app, 1).await;
    vaccine.refuse(2, StatusCode::INTERNAL_SERVER_ERROR);
    let found = app.request(&line(own[0]), "").await.json();
    assert_eq!(
        (&found["incomplete"], found["sameSite"].as_array().unwrap().len()),
        (&json!(true), 3)
    );
    assert_eq!(found["otherSites"][0]["siteId"], 3);
    vaccine.refuse(1, StatusCode::UNPROCESSABLE_ENTITY);
    let found = app.request(&line(own[3]), "").await.json();
    assert_eq!((&found["incomplete"], &found["sameSite"]), (&json!(true), &json!([])));
    assert_eq!(found["otherSites"][0]["siteId"], 3);
    let other = slots_of(&app, 2).await;
    let unknown = app.request(&line(other[0]), "").await;
    assert_eq!(unknown.in_short(), "503 retry-later; it is not known now what is free");
    assert!(unknown.header("retry-after").is_some());
}

#[tokio::test]
async fn an_unknown_slot_has_no_alternatives() {
    let vaccine = FakeVaccine::start();
    let app = start_with_sites(&vaccine, 1).await;
    let lines = [
        "GET /slots/0/alternatives?vaccineId=1",
        "GET /slots/7/alternatives?vaccineId=1",
        "GET /slots/9223372036854775807/alternatives?vaccineId=1",
        "GET /slots/x/alternatives?vaccineId=1",
        "GET /slots/1/alternatives",
        "GET /slots/1/alternatives?vaccineId=x",
    ];
    let transcript = app.transcript(&lines.map(|line| (line, ""))).await;
    assert_snapshot!(transcript, @r"
    GET /slots/0/alternatives?vaccineId=1: 404 no-such-slot; there is no such slot
    GET /slots/7/alternatives?vaccineId=1: 404 no-such-slot; there is no such slot
    GET /slots/9223372036854775807/alternatives?vaccineId=1: 404 no-such-slot; there is no such slot
    GET /slots/x/alternatives?vaccineId=1: 404 not-found; nothing at /slots/x/alternatives
    GET /slots/1/alternatives: 422 invalid-field; vaccineId: must be the number of a vaccine
    GET /slots/1/alternatives?vaccineId=x: 422 invalid-field; vaccineId: must be the number of a vaccine
    ");
    assert_eq!(vaccine.requests().len(), 0);
}
