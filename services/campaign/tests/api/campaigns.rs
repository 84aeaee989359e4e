//! Campaigns, their status and their slots.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::{SCHEDULED, far_campaign, start, start_with_draft, wait_for_slots};

#[tokio::test]
async fn a_draft_is_created_shown_replaced_and_deleted() {
    let app = start_with_draft().await;
    let larger = far_campaign(json!({"capacity": 20, "status": "OPEN"})).to_string();
    let transcript = app
        .transcript(&[
            ("GET /campaigns/1", ""),
            ("PUT /campaigns/1", &larger),
            ("GET /campaigns", ""),
            ("DELETE /campaigns/1", ""),
            ("GET /campaigns/1", ""),
            ("PUT /campaigns/1", &larger),
            ("DELETE /campaigns/1", ""),
            ("POST /campaigns/1/status", SCHEDULED),
            ("GET /campaigns/1/preview", ""),
        ])
        .await;
    assert_snapshot!(transcript, @r#"
    GET /campaigns/1: 200 {"campaignId":1,"name":{"ko":"독감","en":"Influenza"},"vaccineIds":[1],"from":"2999-01-01","to":"2999-01-08","slotMinutes":20,"capacity":10,"doses":"CENTRAL","sites":[{"siteId":1}],"heldBackPercent":10,"bookingsPerPerson":1,"status":"DRAFT","_links":{"self":{"href":"http://campaign.test/campaigns/1"},"campaign":{"href":"http://campaign.test/campaigns/1"}}}
    PUT /campaigns/1 {"capacity":20,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":20,"status":"OPEN","to":"2999-01-08","vaccineIds":[1]}: 200 {"campaignId":1,"name":{"ko":"독감","en":"Influenza"},"vaccineIds":[1],"from":"2999-01-01","to":"2999-01-08","slotMinutes":20,"capacity":20,"doses":"CENTRAL","sites":[{"siteId":1}],"heldBackPercent":10,"bookingsPerPerson":1,"status":"DRAFT","_links":{"self":{"href":"http://campaign.test/campaigns/1"},"campaign":{"href":"http://campaign.test/campaigns/1"}}}
    GET /campaigns: 200 {"_embedded":{"campaigns":[{"campaignId":1,"name":{"ko":"독감","en":"Influenza"},"vaccineIds":[1],"from":"2999-01-01","to":"2999-01-08","slotMinutes":20,"capacity":20,"doses":"CENTRAL","sites":[{"siteId":1}],"heldBackPercent":10,"bookingsPerPerson":1,"status":"DRAFT","_links":{"self":{"href":"http://campaign.test/campaigns/1"},"campaign":{"href":"http://campaign.test/campaigns/1"}}}]},"_links":{"first":{"href":"http://campaign.test/campaigns?size=20"},"self":{"href":"http://campaign.test/campaigns?page=0&size=20"},"last":{"href":"http://campaign.test/campaigns?cursor=before-9223372036854775807&size=20"},"profile":{"href":"http://campaign.test/profile/campaigns"}},"page":{"size":20,"number":0}}
    DELETE /campaigns/1: 204
    GET /campaigns/1: 404 no-such-campaign; there is no such campaign
    PUT /campaigns/1 {"capacity":20,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":20,"status":"OPEN","to":"2999-01-08","vaccineIds":[1]}: 404 no-such-campaign; there is no such campaign
    DELETE /campaigns/1: 404 no-such-campaign; there is no such campaign
    POST /campaigns/1/status {"status":"SCHEDULED","reason":"as decided","actor":"kim"}: 404 no-such-campaign; there is no such campaign
    GET /campaigns/1/preview: 404 no-such-campaign; there is no such campaign
    "#);
}

#[tokio::test]
async fn a_wrong_body_is_refused_with_its_field() {
    let app = start_with_draft().await;
    let body = |fields| far_campaign(fields).to_string();
    let transcript = app
        .transcript(&[
            ("POST /campaigns", "{}"),
            ("POST /campaigns", &body(json!({"slotMinutes": 3}))),
            ("POST /campaigns", &body(json!({"sites": [{"siteId": 2}]}))),
            ("POST /campaigns", &body(json!({"capacityy": 2}))),
            ("POST /campaigns", &body(json!({"vaccineIds": [1, 0]}))),
            ("POST /campaigns", &body(json!({"vaccineIds": ["1"]}))),
            ("POST /campaigns", &body(json!({"sites": [{"siteId": 1, "capacity": null}]}))),
            ("POST /campaigns", &body(json!({"bookingsPerPerson": 256}))),
            ("POST /campaigns", &body(json!({"bookUntil": null}))),
            ("POST /campaigns", &body(json!({"bookFrom": "1999-12-31T23:59:59Z"}))),
            ("POST /campaigns/1/status", r#"{"status":"DONE","reason":"x","actor":"y"}"#),
            ("POST /campaigns/1/status", r#"{"status":"SCHEDULED","reason":"","actor":"y"}"#),
            ("POST /campaigns/1/status", r#"{"status":"SCHEDULED","reason":"x","actor":" "}"#),
        ])
        .await;
    assert_snapshot!(transcript, @r#"
    POST /campaigns {}: 422 invalid-field; name: missing field `name` at line 1 column 2
    POST /campaigns {"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":3,"to":"2999-01-08","vaccineIds":[1]}: 422 invalid-field; slotMinutes: must be from 5 to 240
    POST /campaigns {"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":2}],"slotMinutes":20,"to":"2999-01-08","vaccineIds":[1]}: 422 invalid-field; sites: there is no site 2
    POST /campaigns {"capacity":10,"capacityy":2,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":20,"to":"2999-01-08","vaccineIds":[1]}: 422 invalid-field; capacityy: unknown field `capacityy`, expected one of `campaignId`, `status`, `changes`, `_links`, `name`, `vaccineIds`, `from`, `to`, `slotMinutes`, `capacity`, `doses`, `sites`, `heldBackPercent`, `bookFrom`, `bookUntil`, `bookingsPerPerson` at line 1 column 26
    POST /campaigns {"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":20,"to":"2999-01-08","vaccineIds":[1,0]}: 422 invalid-field; vaccineIds: must be numbers from 1
    POST /campaigns {"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":20,"to":"2999-01-08","vaccineIds":["1"]}: 422 invalid-field; vaccineIds[0]: invalid type: string "1", expected a whole number up to 9223372036854775807 at line 1 column 171
    POST /campaigns {"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"capacity":null,"siteId":1}],"slotMinutes":20,"to":"2999-01-08","vaccineIds":[1]}: 422 invalid-field; sites[0].capacity: invalid type: null, expected a whole number from 0 to 4294967295 at line 1 column 121
    POST /campaigns {"bookingsPerPerson":256,"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":20,"to":"2999-01-08","vaccineIds":[1]}: 422 invalid-field; bookingsPerPerson: invalid value: integer `256`, expected a smaller number at line 1 column 24
    POST /campaigns {"bookUntil":null,"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":20,"to":"2999-01-08","vaccineIds":[1]}: 422 invalid-field; bookUntil: invalid type: null, expected a timestamp string at line 1 column 17
    POST /campaigns {"bookFrom":"1999-12-31T23:59:59Z","capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":20,"to":"2999-01-08","vaccineIds":[1]}: 422 invalid-field; bookFrom: must be from 2000-01-01 to 2999-12-31
    POST /campaigns/1/status {"status":"DONE","reason":"x","actor":"y"}: 422 invalid-field; status: unknown variant `DONE`, expected one of `DRAFT`, `SCHEDULED`, `OPEN`, `PAUSED`, `CLOSED` at line 1 column 16
    POST /campaigns/1/status {"status":"SCHEDULED","reason":"","actor":"y"}: 422 invalid-field; reason: must be 1 to 500 characters, none of them control characters
    POST /campaigns/1/status {"status":"SCHEDULED","reason":"x","actor":" "}: 422 invalid-field; actor: must be 1 to 100 characters, none of them control characters
    "#);
}

#[tokio::test]
async fn a_whole_number_may_be_written_with_a_fraction_of_0() {
    let app = start_with_draft().await;
    let fields = json!({
        "vaccineIds": [2.0], "slotMinutes": 30.0, "heldBackPercent": 5.0,
        "sites": [{"siteId": 1.0, "capacity": 7.0}],
    });
    let created = app.request("POST /campaigns", far_campaign(fields).to_string()).await;
    assert_eq!(created.status, 201, "{}", created.body());
    let campaign = created.json();
    assert_eq!((&campaign["vaccineIds"], &campaign["slotMinutes"]), (&json!([2]), &json!(30)));
    assert_eq!(campaign["sites"], json!([{"siteId": 1, "capacity": 7}]));
}

#[tokio::test]
async fn each_change_of_the_status_is_in_the_history() {
    let app = start_with_draft().await;
    let to = |status: &str| {
        json!({"status": status, "reason": "as decided", "actor": "kim"}).to_string()
    };
    for (status, expected) in [
        ("OPEN", 409),
        ("SCHEDULED", 200),
        ("PAUSED", 409),
        ("OPEN", 200),
        ("PAUSED", 200),
        ("OPEN", 200),
        ("CLOSED", 200),
        ("OPEN", 409),
    ] {
        let reply = app.request("POST /campaigns/1/status", to(status)).await;
        assert_eq!(reply.status, expected, "{status}: {}", reply.body());
    }
    let shown = app.request("GET /campaigns/1", "").await.json();
    let changes = shown["changes"].as_array().unwrap().iter();
    let changes: Vec<_> = changes.map(|change| change["status"].clone()).collect();
    assert_eq!(changes, ["SCHEDULED", "OPEN", "PAUSED", "OPEN", "CLOSED"]);
    let refused = app
        .transcript(&[
            ("DELETE /campaigns/1", ""),
            ("PUT /campaigns/1", &far_campaign(json!({})).to_string()),
            ("POST /campaigns/1/status", &to("PAUSED")),
        ])
        .await;
    assert_snapshot!(refused, @r#"
    DELETE /campaigns/1: 409 campaign-no-draft; it is CLOSED, and only a draft can be deleted
    PUT /campaigns/1 {"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":20,"to":"2999-01-08","vaccineIds":[1]}: 409 campaign-closed; the campaign is closed
    POST /campaigns/1/status {"actor":"kim","reason":"as decided","status":"PAUSED"}: 409 status-cannot-follow; PAUSED cannot follow CLOSED
    "#);
}

#[tokio::test]
async fn what_bookings_rely_on_cannot_be_changed_once_there_are_slots() {
    let app = start_with_draft().await;
    app.request("POST /campaigns/1/status", SCHEDULED).await;
    let body = |fields| far_campaign(fields).to_string();
    let refused = app
        .transcript(&[
            ("PUT /campaigns/1", &body(json!({"vaccineIds": [2]}))),
            ("PUT /campaigns/1", &body(json!({"to": "2999-01-09"}))),
            ("PUT /campaigns/1", &body(json!({"slotMinutes": 30}))),
            ("PUT /campaigns/1", &body(json!({"sites": []}))),
        ])
        .await;
    assert_snapshot!(refused, @r#"
    PUT /campaigns/1 {"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":20,"to":"2999-01-08","vaccineIds":[2]}: 409 unchangeable-field; vaccineIds: it can be changed only in a draft
    PUT /campaigns/1 {"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":20,"to":"2999-01-09","vaccineIds":[1]}: 409 unchangeable-field; to: it can be changed only in a draft
    PUT /campaigns/1 {"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[{"siteId":1}],"slotMinutes":30,"to":"2999-01-08","vaccineIds":[1]}: 409 unchangeable-field; slotMinutes: it can be changed only in a draft
    PUT /campaigns/1 {"capacity":10,"from":"2999-01-01","heldBackPercent":10,"name":{"en":"Influenza","ko":"독감"},"sites":[],"slotMinutes":20,"to":"2999-01-08","vaccineIds":[1]}: 409 campaign-no-sites; it has no sites
    "#);
    let changed = app.request("PUT /campaigns/1", body(json!({"capacity": 1}))).await;
    assert_eq!(changed.status, 200, "{}", changed.body());
    let day = |date| [(date, "09:00", 0), (date, "09:20", 0), (date, "09:40", 0)];
    wait_for_slots(&app, &[day("2999-01-01"), day("2999-01-08")].concat()).await;
}

#[tokio::test]
async fn a_campaign_is_changed_under_the_condition_of_its_tag() {
    let app = start_with_draft().await;
    let tag = app.request("GET /campaigns/1", "").await.header("etag").unwrap().to_owned();
    app.request("POST /campaigns/1/status", SCHEDULED).await;
    let headers = [("content-type", "application/json"), ("if-match", &*tag)];
    for (line, body) in [
        ("PUT /campaigns/1", far_campaign(json!({})).to_string()),
        ("POST /campaigns/1/status", SCHEDULED.to_owned()),
        ("DELETE /campaigns/1", String::new()),
    ] {
        assert_eq!(app.request_with(&headers, line, body).await.status, 412, "{line}");
    }
}

#[tokio::test]
async fn a_preview_says_what_each_site_would_have() {
    let app = start();
    for opening_hours in [json!([{"day": "TUE", "from": "09:00", "to": "10:00"}]), json!([])] {
        let site = super::with(super::site_json(), json!({"openingHours": opening_hours}));
        app.request("POST /sites", site.to_string()).await;
    }
    let sites = json!({"sites": [{"siteId": 1}, {"siteId": 2, "capacity": 3}]});
    app.request("POST /campaigns", far_campaign(sites).to_string()).await;
    let preview = app.request("GET /campaigns/1/preview", "").await;
    assert_snapshot!(preview.json()["_embedded"].to_string(), @r#"
    {"sites":[{"_links":{"self":{"href":"http://campaign.test/sites/1"},"site":{"href":"http://campaign.test/sites/1"}},"days":2,"firstStart":"2999-01-01T00:00:00Z","heldBack":6,"lastStart":"2999-01-08T00:40:00Z","places":54,"siteId":1,"slots":6},{"_links":{"self":{"href":"http://campaign.test/sites/2"},"site":{"href":"http://campaign.test/sites/2"}},"days":0,"heldBack":0,"places":0,"siteId":2,"slots":0}]}
    "#);
    let first = app.request("GET /campaigns/1/preview?size=1", "").await;
    let next = app.request(&format!("GET {}", first.link("next").unwrap()), "").await;
    assert_eq!(next.numbers("sites", "siteId"), [2]);
    assert_eq!(super::slots(&app).await, [], "a preview plans nothing");
}

#[tokio::test]
async fn slots_are_planned_after_a_restart_too_and_shown_for_some_days() {
    let mut app = start_with_draft().await;
    app.request("POST /campaigns/1/status", SCHEDULED).await;
    app.restart().await;
    let day = |date| [(date, "09:00", 9), (date, "09:20", 9), (date, "09:40", 9)];
    wait_for_slots(&app, &[day("2999-01-01"), day("2999-01-08")].concat()).await;
    let path = "GET /slots?campaignId=1&siteId=1&from=2999-01-01&to=2999-01-01";
    let found = app.request(path, "").await.json();
    assert_snapshot!(found.to_string(), @r#"
    {"days":[{"campaignId":1,"date":"2999-01-01","siteId":1,"slots":[{"capacity":9,"from":"09:00","heldBack":1,"minutes":20,"slotId":1,"startsAt":"2999-01-01T00:00:00Z"},{"capacity":9,"from":"09:20","heldBack":1,"minutes":20,"slotId":2,"startsAt":"2999-01-01T00:20:00Z"},{"capacity":9,"from":"09:40","heldBack":1,"minutes":20,"slotId":3,"startsAt":"2999-01-01T00:40:00Z"}],"timeZone":"Asia/Seoul"}]}
    "#);
    let numbers = |day: &Value| -> Vec<_> {
        day["slots"].as_array().unwrap().iter().map(|slot| slot["slotId"].clone()).collect()
    };
    assert_eq!(numbers(&found["days"][0]), [1, 2, 3]);
    let refused = app
        .transcript(&[
            ("GET /slots", ""),
            ("GET /slots?campaignId=1&siteId=x&from=2999-01-01&to=2999-01-01", ""),
            ("GET /slots?campaignId=1&siteId=1&from=today&to=2999-01-01", ""),
            ("GET /slots?campaignId=1&siteId=1&from=2999-01-02&to=2999-01-01", ""),
            ("GET /slots?campaignId=1&siteId=1&from=2999-01-01&to=2999-02-01", ""),
            ("GET /slots?campaignId=9&siteId=1&from=2999-01-01&to=2999-01-31", ""),
        ])
        .await;
    assert_snapshot!(refused, @r#"
    GET /slots: 422 invalid-field; campaignId: must be the number of a campaign
    GET /slots?campaignId=1&siteId=x&from=2999-01-01&to=2999-01-01: 422 invalid-field; siteId: must be the number of a site
    GET /slots?campaignId=1&siteId=1&from=today&to=2999-01-01: 422 invalid-field; from: must be a date, as 2026-12-01
    GET /slots?campaignId=1&siteId=1&from=2999-01-02&to=2999-01-01: 422 invalid-field; to: must be a date from `from`, at most 31 days
    GET /slots?campaignId=1&siteId=1&from=2999-01-01&to=2999-02-01: 422 invalid-field; to: must be a date from `from`, at most 31 days
    GET /slots?campaignId=9&siteId=1&from=2999-01-01&to=2999-01-31: 200 {"days":[]}
    "#);
}
