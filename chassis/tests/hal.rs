//! HAL: items with their links, and pages that lead to each other.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use axum::{
    body::to_bytes,
    extract::{FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use chassis::hal::{Collection, Origin, PAGE_SIZE_MAX, Page};
use insta::assert_snapshot;
use serde::Serialize;
use serde_json::Value;

const SEEDS: Collection = Collection { plural: "seeds", singular: "seed" };

#[derive(Serialize)]
struct Seed {
    name: &'static str,
}

async fn origin(headers: &[(&str, &str)]) -> Origin {
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    Origin::from_request_parts(&mut parts, &()).await.unwrap()
}

async fn here() -> Origin {
    origin(&[("host", "h")]).await
}

async fn body(response: Response) -> String {
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// The links of a page of a list with so many items, one a line.
async fn links(number: u64, size: u32, total: u64) -> String {
    let page = SEEDS.page::<Seed>(&here().await, Page { number, size }, total, vec![]);
    let body: Value = serde_json::from_str(&body(page).await).unwrap();
    let links = body["_links"].as_object().unwrap();
    let shown = ["first", "prev", "self", "next", "last"].iter().filter_map(|name| {
        let href = links.get(*name)?["href"].as_str().unwrap();
        Some(format!("{name} {}", href.strip_prefix("http://h/seeds?").unwrap()))
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn an_item_shows_itself_and_where_it_is() {
    let found = SEEDS.found(&here().await, 7, Seed { name: "bean" });
    assert_eq!(found.headers()["content-type"], "application/hal+json");
    assert_snapshot!(body(found).await, @r#"{"name":"bean","_links":{"self":{"href":"http://h/seeds/7"},"seed":{"href":"http://h/seeds/7"}}}"#);
}

#[tokio::test]
async fn a_new_item_says_where_it_is_in_its_head_too() {
    let created = SEEDS.created(&here().await, 7, Seed { name: "bean" });
    assert_eq!(created.status(), 201);
    assert_eq!(created.headers()["location"], "http://h/seeds/7");
    assert_eq!(created.headers()["content-type"], "application/hal+json");
}

#[tokio::test]
async fn links_lead_back_the_way_the_caller_came() {
    let ways = [
        (vec![("host", "a:1")], "http://a:1/seeds/7"),
        (vec![("host", "a"), ("x-forwarded-proto", "https")], "https://a/seeds/7"),
        (vec![("host", "a"), ("x-forwarded-proto", "gopher")], "http://a/seeds/7"),
        (vec![], "/seeds/7"),
    ];
    for (headers, link) in ways {
        assert_eq!(origin(&headers).await.item("seeds", 7), link);
    }
}

#[tokio::test]
async fn the_first_page_leads_on() {
    assert_snapshot!(links(0, 2, 5).await, @r"
    first page=0&size=2
    self page=0&size=2
    next page=1&size=2
    last page=2&size=2
    ");
}

#[tokio::test]
async fn a_page_in_the_middle_leads_both_ways() {
    assert_snapshot!(links(1, 2, 5).await, @r"
    first page=0&size=2
    prev page=0&size=2
    self page=1&size=2
    next page=2&size=2
    last page=2&size=2
    ");
}

#[tokio::test]
async fn the_last_page_leads_back() {
    assert_snapshot!(links(2, 2, 5).await, @r"
    first page=0&size=2
    prev page=1&size=2
    self page=2&size=2
    last page=2&size=2
    ");
}

#[tokio::test]
async fn a_full_last_page_is_the_last() {
    assert_snapshot!(links(1, 2, 4).await, @r"
    first page=0&size=2
    prev page=0&size=2
    self page=1&size=2
    last page=1&size=2
    ");
}

#[tokio::test]
async fn behind_the_last_page_the_way_leads_back_to_it() {
    assert_snapshot!(links(9, 2, 5).await, @r"
    first page=0&size=2
    prev page=2&size=2
    self page=9&size=2
    last page=2&size=2
    ");
}

#[tokio::test]
async fn an_empty_list_is_its_own_first_and_last_page() {
    assert_snapshot!(links(0, 20, 0).await, @r"
    first page=0&size=20
    self page=0&size=20
    last page=0&size=20
    ");
    assert_snapshot!(links(3, 20, 0).await, @r"
    first page=0&size=20
    prev page=0&size=20
    self page=3&size=20
    last page=0&size=20
    ");
}

#[tokio::test]
async fn a_page_shows_its_items_and_counts_them() {
    let origin = here().await;
    let items = vec![SEEDS.item(&origin, 7, Seed { name: "bean" })];
    let page = SEEDS.page(&origin, Page { number: 2, size: 3 }, 7, items);
    let body: Value = serde_json::from_str(&body(page).await).unwrap();
    assert_snapshot!(body["_embedded"], @r#"{"seeds":[{"_links":{"seed":{"href":"http://h/seeds/7"},"self":{"href":"http://h/seeds/7"}},"name":"bean"}]}"#);
    assert_snapshot!(body["page"], @r#"{"number":2,"size":3,"totalElements":7,"totalPages":3}"#);
}

async fn asked_for(query: &str) -> Result<Page, String> {
    let (mut parts, ()) = Request::get(format!("/{query}")).body(()).unwrap().into_parts();
    match Page::from_request_parts(&mut parts, &()).await {
        Ok(page) => Ok(page),
        Err(problem) => Err(body(problem.into_response()).await),
    }
}

#[tokio::test]
async fn a_page_is_the_first_of_20_unless_asked_otherwise() {
    assert_eq!(asked_for("").await, Ok(Page { number: 0, size: 20 }));
    assert_eq!(asked_for("?page=3").await, Ok(Page { number: 3, size: 20 }));
    assert_eq!(asked_for("?size=7&sort=id").await, Ok(Page { number: 0, size: 7 }));
}

#[tokio::test]
async fn a_page_has_as_many_items_as_allowed_at_the_most() {
    let largest = Ok(Page { number: 0, size: PAGE_SIZE_MAX });
    assert_eq!(asked_for("?size=1000").await, largest);
    assert_eq!(asked_for("?size=1001").await, largest);
    assert_eq!(asked_for("?size=4294967295").await, largest);
}

#[tokio::test]
async fn a_page_far_behind_the_last_is_still_a_page() {
    let page = asked_for("?page=4294967295&size=1000").await.unwrap();
    assert_eq!(page.offset(), 4_294_967_295_000);
    assert_eq!(Page { number: u64::MAX, size: 2 }.offset(), u64::MAX);
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused_by_name() {
    assert_snapshot!(asked_for("?page=-1").await.unwrap_err(), @r#"{"type":"urn:anticorona:invalid-field","title":"A field is wrong","status":422,"detail":"must be a whole number, counted from 0","field":"page"}"#);
    assert_snapshot!(asked_for("?size=0").await.unwrap_err(), @r#"{"type":"urn:anticorona:invalid-field","title":"A field is wrong","status":422,"detail":"must be a whole number from 1","field":"size"}"#);
}
