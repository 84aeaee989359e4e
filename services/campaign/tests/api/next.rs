//! Free slots for the dose after one.

use axum::http::StatusCode;
use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::TestApp;

use super::{
    alternatives::{free_only, slots_of},
    availability::PAUSED,
    near::start_with_sites,
};
use crate::vaccine::FakeVaccine;

/// The slots that are free so many days after this one.
async fn next(app: &TestApp, slot: i64, [min, max]: [i64; 2]) -> Vec<i64> {
    let found = app.request(&line(slot, [min, max]), "").await.json();
    let slots = found["slots"].as_array().unwrap_or_else(|| panic!("{found}")).iter();
    slots.map(|slot| slot["slotId"].as_i64().unwrap()).collect()
}

fn line(slot: i64, [min, max]: [i64; 2]) -> String {
    format!("GET /slots/{slot}/next?vaccineId=1&minDays={min}&maxDays={max}")
}

#[tokio::test]
async fn slots_of_the_days_on_which_it_is_due_are_given_by_time() {
    let vaccine = FakeVaccine::start();
    let app = start_with_sites(&vaccine, 2).await;
    // Three slots on the first day of the campaign, and three on its eighth.
    let own = slots_of(&app, 1).await;
    assert_eq!(next(&app, own[0], [7, 7]).await, own[3..]);
    assert_eq!(next(&app, own[0], [1, 30]).await, own[3..]);
    assert_eq!(next(&app, own[0], [1, 6]).await, [0; 0]);
    assert_eq!(next(&app, own[0], [8, 365]).await, [0; 0]);
    assert_eq!(next(&app, own[3], [1, 30]).await, [0; 0], "nothing after the last day");
    let app = start_with_sites(&vaccine, 1).await;
    vaccine.answer(free_only(&[own[1], own[4]]));
    let found = app.request(&line(own[0], [7, 7]), "").await;
    assert_eq!(found.header("cache-control"), Some("public, max-age=1"));
    let expected = json!([
        {"slotId": own[4], "siteId": 1, "startsAt": "2999-01-08T00:20:00Z", "free": 2}
    ]);
    assert_eq!(found.json()["slots"], expected);
    app.request("POST /campaigns/1/status", PAUSED).await;
    assert_eq!(next(&app, own[0], [7, 7]).await, [0; 0]);
}

#[tokio::test]
async fn wrong_requests_are_refused_with_the_field() {
    let vaccine = FakeVaccine::start();
    let app = start_with_sites(&vaccine, 1).await;
    let lines = [
        line(99, [1, 2]),
        line(1, [0, 2]),
        line(1, [3, 2]),
        line(1, [1, 366]),
        "GET /slots/1/next?vaccineId=1&minDays=1".to_owned(),
        "GET /slots/1/next?minDays=1&maxDays=1".to_owned(),
    ];
    let requests: Vec<_> = lines.iter().map(|line| (line.as_str(), "")).collect();
    assert_snapshot!(app.transcript(&requests).await, @r#"
    GET /slots/99/next?vaccineId=1&minDays=1&maxDays=2: 404 no-such-slot; there is no such slot
    GET /slots/1/next?vaccineId=1&minDays=0&maxDays=2: 422 invalid-field; minDays: must be a number from 1 to 365
    GET /slots/1/next?vaccineId=1&minDays=3&maxDays=2: 422 invalid-field; maxDays: must not be less than minDays
    GET /slots/1/next?vaccineId=1&minDays=1&maxDays=366: 422 invalid-field; maxDays: must be a number from 1 to 365
    GET /slots/1/next?vaccineId=1&minDays=1: 422 invalid-field; maxDays: must be a number from 1 to 365
    GET /slots/1/next?minDays=1&maxDays=1: 422 invalid-field; vaccineId: must be the number of a vaccine
    "#);
    vaccine.refuse(1, StatusCode::INTERNAL_SERVER_ERROR);
    let refused = app.request(&line(1, [1, 2]), "").await;
    assert_eq!((refused.status.as_u16(), refused.json()["slots"].clone()), (503, Value::Null));
}
