//! Who is expected at a site.

use insta::assert_snapshot;
use serde_json::{Value, json};
use testkit::{TestApp, event};

use super::{COMPLETED, NORTH, booked, data, start};

const DAY: &str = "siteId=7&from=2026-12-01T00:00:00%2B09:00&to=2026-12-02T00:00:00%2B09:00";

/// A booking of a slot of site 7.
pub(crate) fn booked_at(booking: u64, starts_at: &str) -> Value {
    let mut data = data(booking, "BOOKED");
    data["slotId"] = json!(9);
    data["siteId"] = json!(7);
    data["startsAt"] = json!(starts_at);
    event(NORTH, booking, "Booked", &data)
}

/// A desk with three appointments of a day, one of the next, and one without a slot.
pub(crate) async fn start_with_a_day() -> TestApp {
    let app = start();
    let times = ["01T02:00:00Z", "01T01:00:00Z", "01T02:00:00Z", "01T15:00:00Z"];
    let mut events: Vec<_> =
        (1..).zip(times).map(|(n, time)| booked_at(n, &format!("2026-12-{time}"))).collect();
    events.push(booked(5, 5));
    assert_eq!(app.publish(&events).await.json()["sequence"], 5);
    app
}

#[tokio::test]
async fn an_appointment_has_the_slot_of_its_booking() {
    let app = start_with_a_day().await;
    let shown = app.request("GET /injections/2", "").await.json();
    assert_eq!((&shown["slotId"], &shown["siteId"]), (&json!(9), &json!(7)));
    assert_eq!(shown["startsAt"], "2026-12-01T01:00:00Z");
    let without = app.request("GET /injections/5", "").await.json();
    assert_eq!(without.get("startsAt"), None);
}

#[tokio::test]
async fn the_day_of_a_site_is_listed_page_by_page() {
    let app = start_with_a_day().await;
    let path = format!("/injections/search/findBySite?{DAY}&size=2");
    let (mut path, mut pages) = (Some(path), Vec::new());
    while let Some(here) = path {
        let page = app.request(&format!("GET {here}"), "").await;
        pages.push(page.numbers("injections", "injectionId"));
        path = page.link("next");
    }
    assert_eq!(pages, [vec![2, 1], vec![3]]);
    app.request("PATCH /injections/1", COMPLETED).await;
    let find = async |more| {
        let line = format!("GET /injections/search/findBySite?{DAY}&{more}");
        app.request(&line, "").await.numbers("injections", "injectionId")
    };
    assert_eq!(find("status=INJECTION_COMPLETED").await, [1]);
    assert_eq!(find("status=INJECTION_READY").await, [2, 3]);
    assert_eq!(find("sort=id,desc").await, [3, 1, 2]);
}

#[tokio::test]
async fn the_search_is_linked_with_its_parameters() {
    let searches = start().request("GET /injections/search", "").await;
    let search = searches.link("findBySite").unwrap();
    let expected = "/injections/search/findBySite{?siteId,from,to,status,page,size,sort}";
    assert_eq!(search, expected);
}

#[tokio::test]
async fn a_day_has_a_site_and_at_most_36_hours() {
    let app = start();
    let mut refused = Vec::new();
    for query in [
        "",
        "siteId=7",
        "siteId=7&from=2026-12-01&to=2026-12-02T00:00:00Z",
        "siteId=7&from=2026-12-01T00:00:00Z&to=2026-12-01T00:00:00Z",
        "siteId=7&from=2026-12-01T00:00:00Z&to=2026-12-02T12:00:01Z",
        "siteId=7&from=2026-12-01T00:00:00Z&to=2026-12-02T12:00:00Z&status=READY",
    ] {
        let reply = app.request(&format!("GET /injections/search/findBySite?{query}"), "").await;
        refused.push(reply.in_short());
    }
    assert_snapshot!(refused.join("\n"), @"
    422 invalid-field; siteId: must be the number of a site
    422 invalid-field; from: must be a time, as 2026-12-01T00:00:00Z
    422 invalid-field; from: must be a time, as 2026-12-01T00:00:00Z
    422 invalid-field; to: must be at most 36 hours after from
    422 invalid-field; to: must be at most 36 hours after from
    422 invalid-field; status: unknown variant `READY`, expected one of `INJECTION_READY`, `CHECKED_IN`, `NO_SHOW`, `INJECTION_COMPLETED`, `INJECTION_CANCELLED`
    ");
}
