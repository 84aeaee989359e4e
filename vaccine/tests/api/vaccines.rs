//! Vaccines come, change, and go.

use std::fmt::Write;

use insta::assert_snapshot;

use crate::town::{ANA, Town};

#[tokio::test]
async fn a_vaccine_is_registered_and_read_at_its_address() {
    let town = Town::open();
    let body = r#"{"vcName":" FIZER ","stock":1000}"#;
    assert_snapshot!(town.ask("POST /vaccines", body).await, @r#"
    201 Created
    location: http://vaccine.test/vaccines/1
    content-type: application/hal+json

    {"vaccineId":1,"vcName":"FIZER","stock":1000,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    "#);
    assert_snapshot!(town.ask("GET /vaccines/1", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"vaccineId":1,"vcName":"FIZER","stock":1000,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    "#);
}

#[tokio::test]
async fn a_number_may_come_as_text_and_what_was_read_may_be_sent_back() {
    let town = Town::open();
    let text = r#"{"vcName":"FIZER","stock":"5"}"#;
    assert_eq!(town.ask("POST /vaccines", text).await.json()["stock"], 5);
    let read = town.ask("GET /vaccines/1", "").await;
    let written = town.ask("PUT /vaccines/1", read.body.clone()).await;
    assert_eq!((written.status.as_u16(), written.body), (200, read.body));
}

#[tokio::test]
async fn put_replaces_and_patch_changes_what_it_names() {
    let town = Town::with_doses(1000).await;
    let asked = [
        ("PUT /vaccines/1", r#"{"vcName":"MODERNA","stock":5}"#),
        ("PATCH /vaccines/1", r#"{"stock":"7"}"#),
        ("PATCH /vaccines/1", r#"{"vcName":"FIZER"}"#),
        ("PUT /vaccines/1", r#"{"vcName":"FIZER"}"#),
        ("PATCH /vaccines/1", "{}"),
        ("PUT /vaccines/2", r#"{"vcName":"FIZER","stock":1}"#),
        ("PATCH /vaccines/2", r#"{"stock":1}"#),
    ];
    let mut story = String::new();
    for (line, body) in asked {
        writeln!(story, "{line} {body}\n  {}", town.ask(line, body).await.in_short()).unwrap();
    }
    assert_snapshot!(story, @r#"
    PUT /vaccines/1 {"vcName":"MODERNA","stock":5}
      200 {"vaccineId":1,"vcName":"MODERNA","stock":5,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    PATCH /vaccines/1 {"stock":"7"}
      200 {"vaccineId":1,"vcName":"MODERNA","stock":7,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    PATCH /vaccines/1 {"vcName":"FIZER"}
      200 {"vaccineId":1,"vcName":"FIZER","stock":7,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/1"},"vaccine":{"href":"http://vaccine.test/vaccines/1"}}}
    PUT /vaccines/1 {"vcName":"FIZER"}
      422 stock: must be given
    PATCH /vaccines/1 {}
      422 stock: nothing to change: give vcName, stock or both
    PUT /vaccines/2 {"vcName":"FIZER","stock":1}
      404 there is no such vaccine
    PATCH /vaccines/2 {"stock":1}
      404 there is no such vaccine
    "#);
}

#[tokio::test]
async fn a_vaccine_in_use_neither_goes_nor_shrinks_below_its_bookings() {
    let town = Town::with_doses(2).await;
    town.ask(&format!("PUT /vaccines/1/reservations/{ANA}"), "").await;
    assert_snapshot!(town.ask("DELETE /vaccines/1", "").await, @r#"
    409 Conflict
    content-type: application/problem+json

    {"type":"urn:anticorona:vaccine-in-use","title":"The vaccine is booked","status":409,"detail":"1 doses are held or booked"}
    "#);
    assert_snapshot!(town.ask("PATCH /vaccines/1", r#"{"stock":0}"#).await, @r#"
    409 Conflict
    content-type: application/problem+json

    {"type":"urn:anticorona:stock-below-bookings","title":"The stock would be less than what is booked","status":409,"detail":"1 doses are held or booked"}
    "#);
    assert_eq!(town.ask("PATCH /vaccines/1", r#"{"stock":1}"#).await.json()["stock"], 1);
}

#[tokio::test]
async fn a_vaccine_that_is_gone_is_not_found_and_its_number_stays_spent() {
    let town = Town::with_doses(2).await;
    assert_snapshot!(town.ask("DELETE /vaccines/1", "").await, @"204 No Content");
    assert_snapshot!(town.ask("GET /vaccines/1", "").await, @r#"
    404 Not Found
    content-type: application/problem+json

    {"type":"urn:anticorona:no-such-vaccine","title":"There is no such vaccine","status":404,"detail":"there is no such vaccine"}
    "#);
    assert_eq!(town.ask("DELETE /vaccines/1", "").await.status, 404);
    let next = town.ask("POST /vaccines", r#"{"vcName":"FIZER","stock":1}"#).await;
    assert_eq!(next.header("location"), Some("http://vaccine.test/vaccines/2"));
}

#[tokio::test]
async fn a_list_without_vaccines_is_a_page() {
    assert_snapshot!(Town::open().ask("GET /vaccines", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"vaccines":[]},"_links":{"first":{"href":"http://vaccine.test/vaccines?page=0&size=20"},"self":{"href":"http://vaccine.test/vaccines?page=0&size=20"},"last":{"href":"http://vaccine.test/vaccines?page=0&size=20"}},"page":{"size":20,"totalElements":0,"totalPages":0,"number":0}}
    "#);
}

#[tokio::test]
async fn a_list_comes_in_pages_that_lead_to_each_other() {
    let town = Town::open();
    for name in ["ONE", "TWO", "THREE"] {
        town.ask("POST /vaccines", format!(r#"{{"vcName":"{name}","stock":9}}"#)).await;
    }
    assert_snapshot!(town.ask("GET /vaccines?page=1&size=1", "").await, @r#"
    200 OK
    content-type: application/hal+json

    {"_embedded":{"vaccines":[{"vaccineId":2,"vcName":"TWO","stock":9,"bookQty":0,"_links":{"self":{"href":"http://vaccine.test/vaccines/2"},"vaccine":{"href":"http://vaccine.test/vaccines/2"}}}]},"_links":{"first":{"href":"http://vaccine.test/vaccines?page=0&size=1"},"prev":{"href":"http://vaccine.test/vaccines?page=0&size=1"},"self":{"href":"http://vaccine.test/vaccines?page=1&size=1"},"next":{"href":"http://vaccine.test/vaccines?page=2&size=1"},"last":{"href":"http://vaccine.test/vaccines?page=2&size=1"}},"page":{"size":1,"totalElements":3,"totalPages":3,"number":1}}
    "#);

    let mut links = String::new();
    for query in ["", "?page=0&size=2", "?page=1&size=2", "?page=7&size=2", "?size=1001"] {
        let page = town.ask(&format!("GET /vaccines{query}"), "").await.json();
        let vaccines = page["_embedded"]["vaccines"].as_array().unwrap();
        writeln!(links, "{query} has {}", vaccines.len()).unwrap();
        for (name, link) in page["_links"].as_object().unwrap() {
            writeln!(links, "  {name}: {}", link["href"].as_str().unwrap()).unwrap();
        }
    }
    assert_snapshot!(links, @"
     has 3
      first: http://vaccine.test/vaccines?page=0&size=20
      last: http://vaccine.test/vaccines?page=0&size=20
      self: http://vaccine.test/vaccines?page=0&size=20
    ?page=0&size=2 has 2
      first: http://vaccine.test/vaccines?page=0&size=2
      last: http://vaccine.test/vaccines?page=1&size=2
      next: http://vaccine.test/vaccines?page=1&size=2
      self: http://vaccine.test/vaccines?page=0&size=2
    ?page=1&size=2 has 1
      first: http://vaccine.test/vaccines?page=0&size=2
      last: http://vaccine.test/vaccines?page=1&size=2
      prev: http://vaccine.test/vaccines?page=0&size=2
      self: http://vaccine.test/vaccines?page=1&size=2
    ?page=7&size=2 has 0
      first: http://vaccine.test/vaccines?page=0&size=2
      last: http://vaccine.test/vaccines?page=1&size=2
      prev: http://vaccine.test/vaccines?page=1&size=2
      self: http://vaccine.test/vaccines?page=7&size=2
    ?size=1001 has 3
      first: http://vaccine.test/vaccines?page=0&size=1000
      last: http://vaccine.test/vaccines?page=0&size=1000
      self: http://vaccine.test/vaccines?page=0&size=1000
    ");
}

#[tokio::test]
async fn links_lead_back_the_way_the_caller_came() {
    let town = Town::with_doses(1).await;
    let link = async |headers: &[(&str, &str)]| {
        let answer = town.ask_with(headers, "GET /vaccines/1", "").await.json();
        answer["_links"]["self"]["href"].as_str().unwrap().to_owned()
    };
    assert_eq!(link(&[]).await, "http://vaccine.test/vaccines/1");
    assert_eq!(link(&[("x-forwarded-proto", "https")]).await, "https://vaccine.test/vaccines/1");

    let body = r#"{"vcName":"FIZER","stock":1}"#;
    let headers = [("content-type", "application/json"), ("x-forwarded-proto", "https")];
    let created = town.ask_with(&headers, "POST /vaccines", body).await;
    assert_eq!(created.header("location"), Some("https://vaccine.test/vaccines/2"));
}
