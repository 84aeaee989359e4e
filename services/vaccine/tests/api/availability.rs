//! What is free at a site is answered exactly, and says since when it is true.

use serde_json::json;
use testkit::event;

use super::lots::{hold, lot, plan_slot};
use crate::app::{SOUTH, VaccineApp};

const FIRST: &str = "GET /availability?siteId=3&from=2096-12-01&to=2096-12-31";

#[tokio::test]
async fn a_dose_and_a_place_are_free_until_they_are_held_and_the_site_is_closed() {
    let app = VaccineApp::with_doses(0).await;
    plan_slot(&app).await;
    app.request("POST /lots", lot("OLD", "2096-11-30", 5)).await;
    app.request("POST /lots", lot("FA-1", "2096-12-31", 3)).await;
    let free = async || {
        let reply = app.request(FIRST, "").await.json();
        assert_eq!(reply["slots"].as_array().unwrap().len(), 1);
        (reply["slots"][0]["free"].as_i64().unwrap(), reply["doses"][0]["free"].as_i64().unwrap())
    };
    let mut reply = app.request(FIRST, "").await.json();
    let first: jiff::Timestamp = reply["asOf"].take().as_str().unwrap().parse().unwrap();
    let slot = json!({
        "slotId": 7, "campaignId": 1, "startsAt": "2096-12-01T00:00:00Z", "date": "2096-12-01",
        "free": 10,
    });
    let doses = json!({"vaccineId": 1, "date": "2096-12-01", "free": 3});
    assert_eq!(reply, json!({"asOf": null, "slots": [slot], "doses": [doses]}));
    app.request("POST /holds", hold("00000000-0000-0000-0000-0000000000a0", 2)).await;
    assert_eq!(free().await, (8, 1));
    let closed = json!({"days": [{
        "campaignId": 1, "siteId": 3, "date": "2096-12-01", "timeZone": "Asia/Seoul",
        "slots": [{
            "slotId": 7, "startsAt": "2096-12-01T00:00:00Z", "from": "09:00", "minutes": 15,
            "capacity": 0, "heldBack": 0,
        }],
    }]});
    app.publish(&[event(SOUTH, 3, "SlotsPlanned", &closed)]).await;
    assert_eq!(free().await, (0, 1));
    let last = app.request(FIRST, "").await.json();
    let last: jiff::Timestamp = last["asOf"].as_str().unwrap().parse().unwrap();
    assert!(first < last, "{first} {last}");
}

#[tokio::test]
async fn what_is_wrong_about_a_request_is_named() {
    let app = VaccineApp::start();
    let lines = [
        "GET /availability",
        "GET /availability?siteId=3&from=today&to=2096-12-01",
        "GET /availability?siteId=3&from=2096-12-02&to=2096-12-01",
        "GET /availability?siteId=3&from=2096-12-01&to=2097-01-01",
    ];
    let replies = app.replies(&lines.map(str::to_owned)).await;
    insta::assert_snapshot!(replies, @r#"
    GET /availability: 422 invalid-field; siteId: must be the number of a site
    GET /availability?siteId=3&from=today&to=2096-12-01: 422 invalid-field; from: must be a date, as 2026-12-01
    GET /availability?siteId=3&from=2096-12-02&to=2096-12-01: 422 invalid-field; to: must be a date from `from`, at most 31 days
    GET /availability?siteId=3&from=2096-12-01&to=2097-01-01: 422 invalid-field; to: must be a date from `from`, at most 31 days
    "#);
}
