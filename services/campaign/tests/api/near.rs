//! Sites near a position where something is free.

use axum::http::StatusCode;
use serde_json::{Value, json};
use testkit::TestApp;

use super::{
    SCHEDULED,
    availability::{OPEN, answer},
    far_campaign,
    fixture::{site_json, with},
    start_with, wait_for_days,
};
use crate::vaccine::FakeVaccine;

/// With so many sites, each a hundredth of a degree (1,112 m) north of the one before, in an open campaign with three
/// slots on each of two days. All of them are free.
pub(super) async fn start_with_sites(vaccine: &FakeVaccine, count: i64) -> TestApp {
    let app = start_with(vaccine.url());
    let latitude = |site: i64| f64::from(i32::try_from(site).unwrap()) / 100.0;
    for site in 1..=count {
        let position = json!({"position": {"latitude": latitude(site), "longitude": 127}});
        app.request("POST /sites", with(site_json(), position).to_string()).await;
    }
    let sites: Vec<_> = (1..=count).map(|site| json!({"siteId": site})).collect();
    app.request("POST /campaigns", far_campaign(json!({"sites": sites})).to_string()).await;
    app.request("POST /campaigns/1/status", SCHEDULED).await;
    for site in 1..=count {
        wait_for_days(&app, site, 2).await;
    }
    assert_eq!(app.request("POST /campaigns/1/status", OPEN).await.status, 200);
    let slots = usize::try_from(count * 6).unwrap();
    vaccine.answer(answer(&vec![1; slots], &[(None, 99)]));
    app
}

/// The search from the place of the first site, on one date.
const NEAR: &str =
    "GET /sites/search/findNear?near=0.01,127&vaccineId=1&from=2999-01-01&to=2999-01-01";

/// The sites that were found, and whether some were left out.
fn found(reply: &Value) -> (Vec<i64>, bool) {
    let sites = reply["sites"].as_array().unwrap().iter();
    let sites = sites.map(|site| site["siteId"].as_i64().unwrap()).collect();
    (sites, reply["incomplete"].as_bool().unwrap())
}

#[tokio::test]
async fn a_site_without_an_answer_is_left_out() {
    let vaccine = FakeVaccine::start();
    let app = start_with_sites(&vaccine, 4).await;
    vaccine.refuse(1, StatusCode::INTERNAL_SERVER_ERROR);
    vaccine.refuse(3, StatusCode::UNPROCESSABLE_ENTITY);
    let partial = app.request(NEAR, "").await;
    assert_eq!(found(&partial.json()), (vec![2, 4], true));
    vaccine.refuse(2, StatusCode::UNPROCESSABLE_ENTITY);
    vaccine.refuse(4, StatusCode::UNPROCESSABLE_ENTITY);
    let later = NEAR.replace("to=2999-01-01", "to=2999-01-08");
    let none = app.request(&later, "").await;
    assert_eq!(none.in_short(), "503 retry-later; it is not known now what is free");
    vaccine.refuse(1, StatusCode::UNPROCESSABLE_ENTITY);
    let later = NEAR.replace("to=2999-01-01", "to=2999-01-09");
    let too_many = app.request(&later, "").await.in_short();
    assert_eq!(too_many, "422 invalid-field; to: fewer days: there are more than 5000 slots");
}

#[tokio::test]
async fn no_more_sites_are_asked_about_than_are_needed() {
    let vaccine = FakeVaccine::start();
    let app = start_with_sites(&vaccine, 30).await;
    let nearest = app.request(NEAR, "").await;
    assert_eq!(found(&nearest.json()), ((1..=20).collect(), false));
    let asked = vaccine.requests().len();
    assert!((20..24).contains(&asked), "{asked} requests: four at a time");
}
