//! Vaccines are registered, changed, removed and listed.

use std::{fmt::Write, time::Instant};

use contracts::vaccine::SOLD_OUT_FOR;
use insta::assert_snapshot;
use testkit::EventRecorder;

use crate::app::{ANA, VaccineApp};

#[tokio::test]
async fn a_vaccine_is_registered_and_shown_at_its_location() {
    let app = VaccineApp::start();
    let body = r#"{"vcName":" FIZER ","stock":1000}"#;
    assert_snapshot!(app.request("POST /vaccines", body).await, @r#"
    201 Created
    location: http://vaccine.test/vaccines/1
    content-type: application/hal+json

    {"vaccineId":1,"vcName":"FIZER","stock":1000,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    "#);
    assert_snapshot!(app.request("GET /vaccines/1", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"vaccineId":1,"vcName":"FIZER","stock":1000,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    "#);
}

#[tokio::test]
async fn a_number_may_be_a_string_and_a_body_that_was_read_may_be_sent_back() {
    let app = VaccineApp::start();
    let text = r#"{"vcName":"FIZER","stock":"5"}"#;
    assert_eq!(app.request("POST /vaccines", text).await.json()["stock"], 5);
    let read = app.request("GET /vaccines/1", "").await;
    let written = app.request("PUT /vaccines/1", read.body()).await;
    assert_eq!((written.status.as_u16(), written.body()), (200, read.body()));
}

/// Stores repeat that a vaccine is sold out for a moment.
#[tokio::test]
async fn a_changed_stock_is_answered_when_no_store_refuses_it_any_more() {
    let app = VaccineApp::start();
    app.request("POST /vaccines", r#"{"vcName":"FIZER","stock":1}"#).await;
    let since = Instant::now();
    assert_eq!(app.request("PATCH /vaccines/1", r#"{"stock":2}"#).await.status, 200);
    assert!(since.elapsed() >= SOLD_OUT_FOR, "{:?}", since.elapsed());
}

#[tokio::test]
async fn put_replaces_a_vaccine_and_patch_changes_the_given_fields() {
    let app = VaccineApp::with_doses(1000).await;
    let replies = app
        .transcript(&[
            ("PUT /vaccines/1", r#"{"vcName":"MODERNA","stock":5}"#),
            ("PATCH /vaccines/1", r#"{"stock":"7"}"#),
            ("PATCH /vaccines/1", r#"{"vcName":"FIZER"}"#),
            ("PUT /vaccines/1", r#"{"vcName":"FIZER"}"#),
            ("PATCH /vaccines/1", "{}"),
            ("PUT /vaccines/2", r#"{"vcName":"FIZER","stock":1}"#),
            ("PATCH /vaccines/2", r#"{"stock":1}"#),
        ])
        .await;
    assert_snapshot!(replies, @r#"
    PUT /vaccines/1 {"vcName":"MODERNA","stock":5}: 200 {"vaccineId":1,"vcName":"MODERNA","stock":5,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    PATCH /vaccines/1 {"stock":"7"}: 200 {"vaccineId":1,"vcName":"MODERNA","stock":7,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    PATCH /vaccines/1 {"vcName":"FIZER"}: 200 {"vaccineId":1,"vcName":"FIZER","stock":7,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    PUT /vaccines/1 {"vcName":"FIZER"}: 422 invalid-field; stock: must be given
    PATCH /vaccines/1 {}: 422 invalid-field; stock: nothing to change: give vcName, stock or both
    PUT /vaccines/2 {"vcName":"FIZER","stock":1}: 404 no-such-vaccine; there is no such vaccine
    PATCH /vaccines/2 {"stock":1}: 404 no-such-vaccine; there is no such vaccine
    "#);
}

#[tokio::test]
async fn changes_of_vaccines_are_published() {
    let consumer = EventRecorder::start();
    let app = VaccineApp::start_publishing_to(&consumer).register(5).await;
    app.request(&format!("PUT /vaccines/1/reservations/{ANA}"), "").await;
    app.request("PATCH /vaccines/1", r#"{"stock":7}"#).await;
    app.request("PATCH /vaccines/1", r#"{"vcName":"MODERNA"}"#).await;
    let mut events = String::new();
    for event in consumer.events(3).await {
        writeln!(events, "{} {} {}", event.sequence, event.r#type, event.data).unwrap();
    }
    assert_snapshot!(events, @r#"
    1 anticorona.Registered.v1 {"vaccineId":1,"vcName":"FIZER","stock":5,"bookQty":0}
    2 anticorona.StockAdded.v1 {"stockBefore":5,"vaccineId":1,"vcName":"FIZER","stock":7,"bookQty":1}
    3 anticorona.StockModified.v1 {"stockBefore":7,"vaccineId":1,"vcName":"MODERNA","stock":7,"bookQty":1}
    "#);
}

#[tokio::test]
async fn a_vaccine_in_use_is_neither_removed_nor_reduced_below_its_bookings() {
    let app = VaccineApp::with_doses(2).await;
    app.request(&format!("PUT /vaccines/1/reservations/{ANA}"), "").await;
    assert_snapshot!(app.request("DELETE /vaccines/1", "").await, @r#"
    409 Conflict
    content-type: application/problem+json

    {"type":"urn:anticorona:vaccine-in-use","title":"The vaccine is booked","status":409,"detail":"1 doses are held or booked"}
    "#);
    assert_snapshot!(app.request("PATCH /vaccines/1", r#"{"stock":0}"#).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {"type":"urn:anticorona:stock-below-bookings","title":"The stock would be less than what is booked","status":409,"detail":"1 doses are held or booked"}
    "#);
    assert_eq!(app.request("PATCH /vaccines/1", r#"{"stock":1}"#).await.json()["stock"], 1);
}

#[tokio::test]
async fn a_removed_vaccine_is_not_found_and_its_number_is_not_given_again() {
    let app = VaccineApp::with_doses(2).await;
    assert_snapshot!(app.request("DELETE /vaccines/1", "").await, @"204 No Content");
    assert_snapshot!(app.request("GET /vaccines/1", "").await, @r#"
    404 Not Found
    content-type: application/problem+json

    {"type":"urn:anticorona:no-such-vaccine","title":"There is no such vaccine","status":404,"detail":"there is no such vaccine"}
    "#);
    assert_eq!(app.request("DELETE /vaccines/1", "").await.status, 404);
    let next = app.request("POST /vaccines", r#"{"vcName":"FIZER","stock":1}"#).await;
    assert_eq!(next.header("location"), Some("http://vaccine.test/vaccines/2"));
}

#[tokio::test]
async fn an_empty_list_is_a_page() {
    assert_snapshot!(VaccineApp::start().request("GET /vaccines", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"vaccines":[]},"_links":{"first":{"href":"http://vaccine.test/vaccines?size=20"},"self":{"href":"http://vaccine.test/vaccines?page=0&size=20"},"last":{"href":"http://vaccine.test/vaccines?cursor=before-9223372036854775807&size=20"},"profile":{"href":"http://vaccine.test/profile/vaccines"}},"page":{"size":20,"number":0}}
    "#);
}

async fn with_three_vaccines() -> VaccineApp {
    let app = VaccineApp::start();
    for name in ["ONE", "TWO", "THREE"] {
        app.request("POST /vaccines", format!(r#"{{"vcName":"{name}","stock":9}}"#)).await;
    }
    app
}

#[tokio::test]
async fn a_page_has_links_to_its_neighbours_and_no_total() {
    let app = with_three_vaccines().await;
    assert_snapshot!(app.request("GET /vaccines?page=1&size=1", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"vaccines":[{"vaccineId":2,"vcName":"TWO","stock":9,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/2"},"vaccine":{"href":"http://vaccine.test/vaccines/2"}}}]},"_links":{"first":{"href":"http://vaccine.test/vaccines?size=1"},"prev":{"href":"http://vaccine.test/vaccines?cursor=before-2&size=1"},"self":{"href":"http://vaccine.test/vaccines?page=1&size=1"},"next":{"href":"http://vaccine.test/vaccines?cursor=after-2&size=1"},"last":{"href":"http://vaccine.test/vaccines?cursor=before-9223372036854775807&size=1"},"profile":{"href":"http://vaccine.test/profile/vaccines"}},"page":{"size":1,"number":1}}
    "#);

    let mut links = String::new();
    for query in [
        "",
        "?page=0&size=2",
        "?cursor=after-2&size=2",
        "?cursor=before-3&size=1",
        "?page=7&size=2",
        "?size=1001",
    ] {
        let page = app.request(&format!("GET /vaccines{query}"), "").await;
        writeln!(links, "{query} has {:?}", page.numbers("vaccines", "vaccineId")).unwrap();
        for name in ["first", "prev", "self", "next", "last"] {
            if let Some(link) = page.link(name) {
                writeln!(links, "  {name}: {link}").unwrap();
            }
        }
    }
    assert_snapshot!(links, @"
     has [1, 2, 3]
      first: /vaccines?size=20
      self: /vaccines?page=0&size=20
      last: /vaccines?cursor=before-9223372036854775807&size=20
    ?page=0&size=2 has [1, 2]
      first: /vaccines?size=2
      self: /vaccines?page=0&size=2
      next: /vaccines?cursor=after-2&size=2
      last: /vaccines?cursor=before-9223372036854775807&size=2
    ?cursor=after-2&size=2 has [3]
      first: /vaccines?size=2
      prev: /vaccines?cursor=before-3&size=2
      self: /vaccines?cursor=after-2&size=2
      last: /vaccines?cursor=before-9223372036854775807&size=2
    ?cursor=before-3&size=1 has [2]
      first: /vaccines?size=1
      prev: /vaccines?cursor=before-2&size=1
      self: /vaccines?cursor=before-3&size=1
      next: /vaccines?cursor=after-2&size=1
      last: /vaccines?cursor=before-9223372036854775807&size=1
    ?page=7&size=2 has []
      first: /vaccines?size=2
      self: /vaccines?page=7&size=2
      last: /vaccines?cursor=before-9223372036854775807&size=2
    ?size=1001 has [1, 2, 3]
      first: /vaccines?size=1000
      self: /vaccines?page=0&size=1000
      last: /vaccines?cursor=before-9223372036854775807&size=1000
    ");
}

#[tokio::test]
async fn the_links_of_pages_lead_through_the_list_and_back() {
    let app = with_three_vaccines().await;
    for (name, from, expected) in [
        ("next", "/vaccines?size=2", vec![vec![1, 2], vec![3]]),
        ("prev", "/vaccines?cursor=after-2&size=2", vec![vec![3], vec![1, 2]]),
    ] {
        let (mut pages, mut path) = (Vec::new(), Some(from.to_owned()));
        while let Some(at) = path {
            let page = app.request(&format!("GET {at}"), "").await;
            pages.push(page.numbers("vaccines", "vaccineId"));
            path = page.link(name);
        }
        assert_eq!(pages, expected, "{name}");
    }
}

#[tokio::test]
async fn links_have_the_scheme_and_host_of_the_request() {
    let app = VaccineApp::with_doses(1).await;
    let link = async |headers: &[(&str, &str)]| {
        let reply = app.request_with(headers, "GET /vaccines/1", "").await.json();
        reply["_links"]["self"]["href"].as_str().unwrap().to_owned()
    };
    assert_eq!(link(&[]).await, "http://vaccine.test/vaccines/1");
    assert_eq!(link(&[("x-forwarded-proto", "https")]).await, "https://vaccine.test/vaccines/1");

    let body = r#"{"vcName":"FIZER","stock":1}"#;
    let headers = [("content-type", "application/json"), ("x-forwarded-proto", "https")];
    let created = app.request_with(&headers, "POST /vaccines", body).await;
    assert_eq!(created.header("location"), Some("https://vaccine.test/vaccines/2"));
}

#[tokio::test]
async fn a_body_has_the_media_type_that_its_client_accepts() {
    let app = VaccineApp::with_doses(1).await;
    let accepting = async |accept: &str, line: &str, body: &str| {
        let headers = [("content-type", "application/json"), ("accept", accept)];
        let reply = app.request_with(&headers, line, body).await;
        (reply.status.as_u16(), reply.header("content-type").unwrap().to_owned())
    };
    for (accept, expected) in [
        ("*/*", (200, "application/hal+json")),
        ("application/hal+json", (200, "application/hal+json")),
        ("application/json", (200, "application/json")),
        ("application/xml", (406, "application/problem+json")),
    ] {
        for line in ["GET /vaccines", "GET /vaccines/1"] {
            let (status, media_type) = accepting(accept, line, "").await;
            assert_eq!((status, media_type.as_str()), expected, "{line} {accept}");
        }
    }
    let body = r#"{"vcName":"FIZER","stock":1}"#;
    assert_eq!(accepting("application/json", "POST /vaccines", body).await.0, 201);
    assert_eq!(accepting("application/xml", "POST /vaccines", body).await.0, 406);
    assert_eq!(app.vaccines().await, 2, "a refused request registers nothing");
}

#[tokio::test]
async fn options_is_answered_with_what_is_allowed() {
    let app = VaccineApp::start();
    let allow = async |path: &str| {
        let reply = app.request(&format!("OPTIONS {path}"), "").await;
        let mut allow: Vec<_> = reply.header("allow").unwrap_or_default().split(',').collect();
        allow.sort_unstable();
        format!("{} {}", reply.status.as_u16(), allow.join(","))
    };
    assert_eq!(allow("/vaccines").await, "204 GET,HEAD,POST");
    assert_eq!(allow("/vaccines/1").await, "204 DELETE,GET,HEAD,PATCH,PUT");
    assert_eq!(allow("/nothing").await, "404 ");
}

#[tokio::test]
async fn a_path_with_a_slash_at_its_end_is_the_path_without_it() {
    let app = VaccineApp::start();
    let body = r#"{"vcName":"FIZER","stock":1}"#;
    assert_eq!(app.request("POST /vaccines/", body).await.status, 201);
    for path in ["/vaccines", "/vaccines/1"] {
        let exact = app.request(&format!("GET {path}"), "").await;
        let slash = app.request(&format!("GET {path}/"), "").await;
        assert_eq!((slash.status, slash.body()), (exact.status, exact.body()), "{path}");
    }
    assert_eq!(app.request("GET /vaccines/?size=0", "").await.status, 422);
    assert_eq!(app.request("DELETE /vaccines/", "").await.status, 405);
    assert_eq!(app.request("GET /nothing/", "").await.status, 404);
    assert_eq!(app.request("GET //", "").await.status, 404);
}
