//! Lots are received, changed and listed; what bookings need stays.

use serde_json::json;

use testkit::event;

use crate::app::{NORTH, SOUTH, VaccineApp};

/// The campaign and the slot of a site whose doses come from its lots.
pub(crate) async fn plan_slot(app: &VaccineApp) {
    let campaign = json!({
        "campaignId": 1, "name": {"ko": "독감"}, "vaccineIds": [1], "from": "2096-12-01",
        "to": "2096-12-02", "slotMinutes": 15, "capacity": 10, "doses": "SITE_LOTS",
        "sites": [{"siteId": 3}], "status": "OPEN",
    });
    let slot = json!({
        "slotId": 7, "startsAt": "2096-12-01T00:00:00Z", "from": "09:00", "minutes": 15,
        "capacity": 10, "heldBack": 0,
    });
    let days = json!({"days": [{
        "campaignId": 1, "siteId": 3, "date": "2096-12-01", "timeZone": "Asia/Seoul",
        "slots": [slot],
    }]});
    let published = app
        .publish(&[
            event(SOUTH, 1, "CampaignChanged", &campaign),
            event(SOUTH, 2, "SlotsPlanned", &days),
        ])
        .await;
    assert_eq!(published.status, 200, "{}", published.body());
}

pub(crate) fn lot(number: &str, expires_on: &str, doses: i64) -> String {
    let body = json!({
        "siteId": 3, "vaccineId": 1, "number": number, "expiresOn": expires_on, "doses": doses,
        "reason": "delivery", "actor": "pharmacy",
    });
    body.to_string()
}

pub(crate) fn hold(first: &str, count: u32) -> String {
    let block = json!({"first": first, "vaccineId": 1, "slotId": 7, "count": count});
    json!({"owner": NORTH, "blocks": [block]}).to_string()
}

async fn outcome(app: &VaccineApp, first: &str, count: u32) -> String {
    let reply = app.request("POST /holds", hold(first, count)).await.json();
    let outcome = &reply["outcomes"][0];
    format!("{} {}", outcome["outcome"].as_str().unwrap(), outcome["count"])
}

#[tokio::test]
async fn doses_of_a_lot_are_held_until_none_is_left_and_are_not_taken_away_silently() {
    let app = VaccineApp::with_doses(0).await;
    plan_slot(&app).await;
    let [ana, bo] =
        ["00000000-0000-0000-0000-0000000000a0", "00000000-0000-0000-0000-0000000000b0"];
    assert_eq!(outcome(&app, ana, 1).await, "sold-out null");
    let expired = app.request("POST /lots", lot("OLD", "2096-11-30", 5)).await;
    assert_eq!(expired.status, 201);
    assert_eq!(outcome(&app, ana, 1).await, "sold-out null");
    let received = app.request("POST /lots", lot("FA-1", "2096-12-31", 3)).await;
    assert_eq!((received.status.as_u16(), received.header("location").is_some()), (201, true));
    assert_eq!(outcome(&app, ana, 2).await, "held 2");
    assert_eq!(outcome(&app, bo, 2).await, "held 1");
    let waste = |overcommit: bool| {
        let body = json!({
            "kind": "WASTED", "doses": 1, "overcommit": overcommit, "reason": "fridge",
            "actor": "nurse",
        });
        app.request("POST /lots/2/changes", body.to_string())
    };
    assert_eq!(
        waste(false).await.in_short(),
        "409 doses-claimed; 1 bookings after 2096-11-30 would have no dose"
    );
    assert_eq!(waste(true).await.status, 200);
    let stock = app.request("GET /stocks/3/1", "").await.json();
    assert_eq!(
        stock,
        json!({
            "siteId": 3, "vaccineId": 1, "overcommitted": 1,
            "pools": [
                {"doses": 7, "taken": 3},
                {"after": "2096-11-30", "doses": 2, "taken": 3},
                {"after": "2096-12-31", "doses": 0, "taken": 0},
            ],
            "dates": [{"date": "2096-12-01", "taken": 3}],
        })
    );
    let metrics = app.request("GET /actuator/prometheus", "").await;
    assert!(metrics.body().contains("anticorona_overcommitted_doses 1"), "{}", metrics.body());
}

#[tokio::test]
async fn a_change_of_a_lot_that_is_repeated_with_its_tag_happens_once() {
    let app = VaccineApp::with_doses(0).await;
    app.request("POST /lots", lot("FA-1", "2096-12-31", 9)).await;
    let tag = app.request("GET /lots/1", "").await.header("etag").unwrap().to_owned();
    let body = json!({"kind": "WASTED", "doses": 2, "reason": "fridge", "actor": "nurse"});
    let headers = [("content-type", "application/json"), ("if-match", tag.as_str())];
    let waste = || app.request_with(&headers, "POST /lots/1/changes", body.to_string());
    let first = waste().await;
    assert_eq!((first.status.as_u16(), first.json()["doses"].as_i64()), (200, Some(7)));
    let repeated = waste().await;
    assert_eq!(repeated.status, 412);
    let shown = app.request("GET /lots/1", "").await.json();
    assert_eq!((&shown["doses"], &shown["wasted"]), (&json!(7), &json!(2)));
    assert_eq!(shown["changes"][1]["reason"], "fridge");
}

#[tokio::test]
async fn what_is_wrong_about_a_lot_is_named() {
    let app = VaccineApp::with_doses(0).await;
    let with = |field: &str, value: serde_json::Value| {
        let mut body: serde_json::Value =
            serde_json::from_str(&lot("FA-1", "2096-12-31", 9)).unwrap();
        body[field] = value;
        app.request("POST /lots", body.to_string())
    };
    let long = "x".repeat(501);
    for (field, value, expected) in [
        (
            "number",
            json!("FA#1"),
            "422 invalid-field; number: must be 1 to 32 letters, digits and `.-_/ `",
        ),
        (
            "siteId",
            json!(0),
            "422 invalid-field; siteId: invalid value: integer `0`, expected a whole number from 1 at line 1 column 101",
        ),
        ("doses", json!(-1), "422 invalid-field; doses: must be from 0 to 1000000"),
        ("vaccineId", json!(9), "404 no-such-vaccine; there is no such vaccine"),
        (
            "actor",
            json!(" "),
            "422 invalid-field; actor: must be 1 to 100 characters, none of them control characters",
        ),
        (
            "reason",
            json!(long),
            "422 invalid-field; reason: must be 1 to 500 characters, none of them control characters",
        ),
    ] {
        assert_eq!(with(field, value).await.in_short(), expected);
    }
    app.request("POST /lots", lot("FA-1", "2096-12-31", 9)).await;
    assert_eq!(
        app.request("POST /lots", lot("fa-1", "2096-12-31", 9)).await.in_short(),
        "409 lot-exists; the site has this lot already: it is lot 1"
    );
    let change = |body: serde_json::Value| {
        let mut body = body;
        (body["reason"], body["actor"]) = (json!("x"), json!("y"));
        app.request("POST /lots/1/changes", body.to_string())
    };
    for (body, expected) in [
        (json!({"kind": "WASTED", "doses": 10}), "409 not-enough-doses; the lot has 9 doses"),
        (
            json!({"kind": "TRANSFERRED", "doses": 1}),
            "422 invalid-field; toSiteId: must be given for a transfer",
        ),
        (
            json!({"kind": "COUNTED", "doses": 1, "toSiteId": 4}),
            "422 invalid-field; toSiteId: only a transfer has another site",
        ),
    ] {
        assert_eq!(change(body).await.in_short(), expected);
    }
    let unknown = app.request("GET /stocks/9/1", "").await;
    assert_eq!(unknown.status, 404);
}
