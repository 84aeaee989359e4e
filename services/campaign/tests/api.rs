//! Sites and campaigns over HTTP.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::time::{Duration, Instant};

use campaign::SERVICE;
use serde_json::{Value, json};
use testkit::TestApp;
use tokio::time::sleep; // tidy: paced, because slots are planned in the background

#[path = "api/alternatives.rs"]
mod alternatives;
#[path = "api/availability.rs"]
mod availability;
#[path = "api/campaigns.rs"]
mod campaigns;
#[path = "api/csv.rs"]
mod csv;
#[path = "fixture/json.rs"]
mod fixture;
#[path = "api/near.rs"]
mod near;
#[path = "api/next.rs"]
mod next;
#[path = "api/sites.rs"]
mod sites;
#[path = "fixture/vaccine.rs"]
mod vaccine;

use fixture::{campaign_json, site_json, with};

const SCHEDULED: &str = r#"{"status":"SCHEDULED","reason":"as decided","actor":"kim"}"#;

/// Without a `vaccine`: nothing listens there.
fn start() -> TestApp {
    start_with("http://127.0.0.1:1")
}

fn start_with(vaccine: &str) -> TestApp {
    TestApp::start(&SERVICE, &[("VACCINE_URL", vaccine)])
}

/// With one site and a draft that has it.
async fn start_with_draft() -> TestApp {
    let app = start();
    for (line, body) in [("POST /sites", site_json()), ("POST /campaigns", far_campaign(json!({})))]
    {
        let created = app.request(line, body.to_string()).await;
        assert_eq!(created.status, 201, "{}", created.body());
    }
    app
}

/// Days that are not over, whenever the test runs: Tuesday, 2999-01-01, and the week after.
fn far_campaign(fields: Value) -> Value {
    let far = with(campaign_json(), json!({"from": "2999-01-01", "to": "2999-01-08"}));
    with(far, fields)
}

/// The slots of the campaign at its site, as soon as they are these: start and capacity.
async fn wait_for_slots(app: &TestApp, expected: &[(&str, &str, u64)]) {
    let began = Instant::now();
    loop {
        let found = slots(app).await;
        let is_found = found.iter().map(|(date, from, places)| (&**date, &**from, *places));
        if is_found.eq(expected.iter().copied()) {
            return;
        }
        assert!(began.elapsed() < testkit::TEST_TIMEOUT, "{found:?}");
        sleep(Duration::from_millis(20)).await; // tidy: paced, because slots are planned in the background
    }
}

/// Waits until the first campaign has slots at a site on so many days.
async fn wait_for_days(app: &TestApp, site: i64, count: usize) {
    let began = Instant::now();
    let path = format!("GET /slots?campaignId=1&siteId={site}&from=2999-01-01&to=2999-01-31");
    while app.request(&path, "").await.json()["days"].as_array().map(Vec::len) != Some(count) {
        assert!(
            began.elapsed() < testkit::TEST_TIMEOUT,
            "the slots of site {site} are not planned"
        );
        sleep(Duration::from_millis(20)).await; // tidy: paced, because slots are planned in the background
    }
}

async fn slots(app: &TestApp) -> Vec<(String, String, u64)> {
    let path = "GET /slots?campaignId=1&siteId=1&from=2999-01-01&to=2999-01-31";
    let reply = app.request(path, "").await;
    assert_eq!(reply.status, 200, "{}", reply.body());
    let mut slots = Vec::new();
    for day in reply.json()["days"].as_array().unwrap() {
        for slot in day["slots"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            slots.push((
                text(&day["date"]),
                text(&slot["from"]),
                slot["capacity"].as_u64().unwrap(),
            ));
        }
    }
    slots
}
