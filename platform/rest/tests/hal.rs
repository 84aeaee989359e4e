//! HAL: items with their links, and lists whose pages link to each other.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::iter;

use axum::{
    body::to_bytes,
    extract::{FromRequestParts, Request},
    response::{IntoResponse, Response},
};
use insta::assert_snapshot;
use platform_rest::{
    hal::{Collection, List, Origin, Search},
    pagination::PageRequest,
};
use platform_store::PageRows;
use serde::Serialize;
use serde_json::{Value, json};

const BEANS: Collection = Collection {
    plural: "beans",
    singular: "bean",
    is_personal: false,
    searches: &[Search { name: "findByHue", parameter: "hue" }],
};

#[derive(Serialize)]
struct Bean {
    name: &'static str,
}

const BEAN: Bean = Bean { name: "runner" };

async fn origin(headers: &[(&str, &str)]) -> Origin {
    let mut request = Request::get("/");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    Origin::from_request_parts(&mut parts, &()).await.unwrap()
}

async fn host() -> Origin {
    origin(&[("host", "h")]).await
}

async fn body(response: Response) -> String {
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// The page of a list with these keys around it that a query asks for.
async fn page(query: &str, keys: &[i64], [has_previous, has_next]: [bool; 2]) -> Value {
    let (mut parts, ()) = Request::get(format!("/beans{query}")).body(()).unwrap().into_parts();
    let request = PageRequest::from_request_parts(&mut parts, &()).await.unwrap();
    let items = keys.iter().copied().zip(iter::repeat_with(|| BEAN)).collect();
    let rows = PageRows { items, has_previous, has_next };
    let list = List { rows, total: request.number.map(|_| 7) };
    let page = BEANS.page(&host().await, &request, list, |_, bean| bean.name);
    assert_eq!(page.headers()["content-type"], "application/hal+json");
    serde_json::from_str(&body(page).await).unwrap()
}

/// The links of a page, one a line.
async fn links(query: &str, keys: &[i64], around: [bool; 2]) -> String {
    let page = page(query, keys, around).await;
    let links = page["_links"].as_object().unwrap();
    let shown = ["first", "prev", "self", "next", "last"].iter().filter_map(|name| {
        let href = links.get(*name)?["href"].as_str().unwrap();
        Some(format!("{name} {}", href.strip_prefix("http://h/beans?").unwrap()))
    });
    shown.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn an_item_has_its_fields_and_its_links() {
    let item = BEANS.ok(&host().await, 7, BEAN);
    assert_eq!(item.headers()["content-type"], "application/hal+json");
    assert_snapshot!(body(item).await, @r#"{"name":"runner","_links":{"self":{"href":"http://h/beans/7"},"bean":{"href":"http://h/beans/7"}}}"#);
}

#[tokio::test]
async fn a_created_item_has_a_location() {
    let created = BEANS.created(&host().await, 7, BEAN);
    assert_eq!(created.status(), 201);
    assert_eq!(created.headers()["location"], "http://h/beans/7");
    assert_eq!(created.headers()["content-type"], "application/hal+json");
}

#[tokio::test]
async fn links_have_the_host_and_scheme_that_the_client_used() {
    let too_long = "a".repeat(262);
    let cases = [
        (vec![("host", "a:1")], "http://a:1/beans/7"),
        (vec![("host", "a"), ("x-forwarded-proto", "https")], "https://a/beans/7"),
        (vec![("host", "a"), ("x-forwarded-proto", "gopher")], "http://a/beans/7"),
        (vec![("host", "a"), ("x-forwarded-prefix", "/b/c")], "http://a/b/c/beans/7"),
        (vec![("host", "a"), ("x-forwarded-prefix", "//b")], "http://a/beans/7"),
        (vec![("host", "a"), ("x-forwarded-prefix", "/..")], "http://a/beans/7"),
        (vec![("host", "a"), ("x-forwarded-prefix", "b/")], "http://a/beans/7"),
        (vec![], "/beans/7"),
        (vec![("host", "user@a")], "/beans/7"),
        (vec![("host", "a/b")], "/beans/7"),
        (vec![("host", &too_long)], "/beans/7"),
    ];
    for (headers, link) in cases {
        assert_eq!(origin(&headers).await.item("beans", 7), link);
    }
}

#[tokio::test]
async fn the_first_page_links_to_the_next_and_the_last() {
    assert_snapshot!(links("?size=2", &[1, 4], [false, true]).await, @r"
    first size=2
    self page=0&size=2
    next cursor=after-4&size=2
    last cursor=before-9223372036854775807&size=2
    ");
}

#[tokio::test]
async fn a_page_in_the_middle_links_to_both_neighbours() {
    assert_snapshot!(links("?cursor=after-4&size=2", &[5, 9], [true, true]).await, @r"
    first size=2
    prev cursor=before-5&size=2
    self cursor=after-4&size=2
    next cursor=after-9&size=2
    last cursor=before-9223372036854775807&size=2
    ");
}

#[tokio::test]
async fn the_last_page_links_to_the_previous_one_only() {
    let last = "?cursor=before-9223372036854775807&size=2";
    assert_snapshot!(links(last, &[10, 11], [true, false]).await, @r"
    first size=2
    prev cursor=before-10&size=2
    self cursor=before-9223372036854775807&size=2
    last cursor=before-9223372036854775807&size=2
    ");
}

#[tokio::test]
async fn an_empty_page_has_no_neighbours() {
    let alone = links("", &[], [false, false]).await;
    assert_snapshot!(alone, @r"
    first size=20
    self page=0&size=20
    last cursor=before-9223372036854775807&size=20
    ");
    assert_eq!(links("", &[], [true, true]).await, alone, "without a key there is no cursor");
}

#[tokio::test]
async fn a_descending_page_has_its_items_reversed_and_links_that_keep_the_order() {
    assert_snapshot!(links("?sort=id,desc&size=2", &[8, 9], [true, false]).await, @r"
    first sort=id%2Cdesc&size=2
    self sort=id%2Cdesc&page=0&size=2
    next sort=id%2Cdesc&cursor=before-8&size=2
    last sort=id%2Cdesc&cursor=after-0&size=2
    ");
    assert_snapshot!(links("?sort=id,DESC&cursor=before-8", &[5, 7], [true, true]).await, @r"
    first sort=id%2CDESC&size=20
    prev sort=id%2CDESC&cursor=after-7&size=20
    self sort=id%2CDESC&cursor=before-8&size=20
    next sort=id%2CDESC&cursor=before-5&size=20
    last sort=id%2CDESC&cursor=after-0&size=20
    ");
    let (mut parts, ()) = Request::get("/beans?sort=id,desc").body(()).unwrap().into_parts();
    let request = PageRequest::from_request_parts(&mut parts, &()).await.unwrap();
    let items = [4, 6].map(|key| (key, BEAN)).into();
    let rows = PageRows { items, has_previous: false, has_next: false };
    let page = BEANS.page(&host().await, &request, List { rows, total: None }, |key, _| key);
    let page: Value = serde_json::from_str(&body(page).await).unwrap();
    let urls = [0, 1].map(|at| page["_embedded"]["beans"][at]["_links"]["self"]["href"].clone());
    assert_eq!(urls, ["http://h/beans/6", "http://h/beans/4"]);
}

#[tokio::test]
async fn a_page_links_to_the_profile_and_the_searches_of_its_collection() {
    let page = page("", &[7], [false, false]).await;
    assert_eq!(page["_links"]["profile"], json!({"href": "http://h/profile/beans"}));
    assert_eq!(page["_links"]["search"], json!({"href": "http://h/beans/search"}));
    let searches = body(BEANS.searches(&host().await)).await;
    assert_snapshot!(searches, @r#"{"_links":{"findByHue":{"href":"http://h/beans/search/findByHue{?hue,page,size,sort}","templated":true},"self":{"href":"http://h/beans/search"}}}"#);
}

#[tokio::test]
async fn a_collection_without_a_search_has_no_link_to_one() {
    let (mut parts, ()) = Request::get("/beans").body(()).unwrap().into_parts();
    let request = PageRequest::from_request_parts(&mut parts, &()).await.unwrap();
    let rows = PageRows { items: vec![(1, BEAN)], has_previous: false, has_next: false };
    let beans = Collection { searches: &[], ..BEANS };
    let page = beans.page(&host().await, &request, List { rows, total: None }, |key, _| key);
    let page: Value = serde_json::from_str(&body(page).await).unwrap();
    assert_eq!(page["_links"].get("search"), None);
}

#[tokio::test]
async fn a_page_by_number_has_its_items_and_totals() {
    let page = page("?page=2&size=3", &[7], [true, false]).await;
    assert_snapshot!(page["_embedded"], @r#"{"beans":[{"_links":{"bean":{"href":"http://h/beans/runner"},"self":{"href":"http://h/beans/runner"}},"name":"runner"}]}"#);
    assert_snapshot!(page["page"], @r#"{"number":2,"size":3,"totalElements":7,"totalPages":3}"#);
}

#[tokio::test]
async fn a_page_whose_total_is_not_known_omits_it() {
    let page = page("?cursor=after-6&size=3", &[7], [true, false]).await;
    assert_snapshot!(page["page"], @r#"{"size":3}"#);
}

/// A page of 1,000 items of 2 KiB; its keys and its length.
async fn large_page(query: &str) -> (Vec<i64>, usize) {
    let (mut parts, ()) = Request::get(format!("/beans{query}")).body(()).unwrap().into_parts();
    let request = PageRequest::from_request_parts(&mut parts, &()).await.unwrap();
    let name = &*"a".repeat(2 * 1024).leak();
    let items = (1..=1_000).map(|key| (key, Bean { name })).collect();
    let rows = PageRows { items, has_previous: false, has_next: false };
    let page = BEANS.page(&host().await, &request, List { rows, total: None }, |key, _| key);
    let text = body(page).await;
    let page: Value = serde_json::from_str(&text).unwrap();
    let url = |item: &Value| item["_links"]["self"]["href"].as_str().unwrap().to_owned();
    let key = |item| url(item).rsplit('/').next().unwrap().parse().unwrap();
    let keys: Vec<_> = page["_embedded"]["beans"].as_array().unwrap().iter().map(key).collect();
    let href = |name: &str| page["_links"][name]["href"].as_str().map(str::to_owned);
    let (first, last) = (keys[0], keys[keys.len() - 1]);
    let prev = (first > 1).then(|| format!("http://h/beans?cursor=before-{first}&size=1000"));
    let next = (last < 1_000).then(|| format!("http://h/beans?cursor=after-{last}&size=1000"));
    assert_eq!((href("prev"), href("next")), (prev, next));
    (keys, text.len())
}

#[tokio::test]
async fn a_page_that_would_be_too_large_ends_earlier_with_a_link_to_the_rest() {
    let (keys, length) = large_page("?size=1000").await;
    assert!(length <= 1024 * 1024, "{length} bytes");
    assert!(keys.len() >= 200 && keys[0] == 1, "{} from {}", keys.len(), keys[0]);
}

#[tokio::test]
async fn a_page_before_a_cursor_that_would_be_too_large_begins_later() {
    let (keys, length) = large_page("?cursor=before-1001&size=1000").await;
    assert!(length <= 1024 * 1024, "{length} bytes");
    assert!(keys.len() >= 200 && keys[keys.len() - 1] == 1_000);
}

async fn requested(query: &str) -> Result<PageRequest, String> {
    let (mut parts, ()) = Request::get(format!("/{query}")).body(()).unwrap().into_parts();
    match PageRequest::from_request_parts(&mut parts, &()).await {
        Ok(page) => Ok(page),
        Err(problem) => Err(body(problem.into_response()).await),
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_of_a_page_is_ignored() {
    assert!(requested("?size=7&projection=short").await.is_ok());
}

#[tokio::test]
async fn a_wrong_page_is_rejected_with_the_name_of_the_field() {
    assert_snapshot!(requested("?page=-1").await.unwrap_err(), @r#"{"type":"urn:anticorona:invalid-field","title":"A field is wrong","status":422,"detail":"must be a whole number, counted from 0","field":"page"}"#);
    assert_snapshot!(requested("?size=0").await.unwrap_err(), @r#"{"type":"urn:anticorona:invalid-field","title":"A field is wrong","status":422,"detail":"must be a whole number from 1","field":"size"}"#);
    assert_snapshot!(requested("?cursor=7").await.unwrap_err(), @r#"{"type":"urn:anticorona:invalid-field","title":"A field is wrong","status":422,"detail":"must be the cursor of a `next` or `prev` link","field":"cursor"}"#);
    assert_snapshot!(requested("?cursor=after-1&page=1").await.unwrap_err(), @r#"{"type":"urn:anticorona:malformed","title":"The request cannot be read","status":400,"detail":"a page cannot be given with a cursor","field":"page"}"#);
}

#[tokio::test]
async fn a_list_is_sorted_once_by_what_its_index_has_or_the_request_is_rejected() {
    for accepted in ["sort=id", "sort=id,asc", "sort=id,desc", "sort=id%2cDesc"] {
        assert!(requested(&format!("?{accepted}")).await.is_ok(), "{accepted}");
    }
    assert_snapshot!(requested("?sort=name,desc").await.unwrap_err(), @r#"{"type":"urn:anticorona:not-sortable","title":"The list cannot be sorted like this","status":400,"detail":"there is no index by `name`; sortable fields: id","field":"sort"}"#);
    assert_snapshot!(requested("?sort=id,up").await.unwrap_err(), @r#"{"type":"urn:anticorona:not-sortable","title":"The list cannot be sorted like this","status":400,"detail":"the direction is asc or desc, not `up`; sortable fields: id","field":"sort"}"#);
    assert_snapshot!(requested("?sort=id&sort=id").await.unwrap_err(), @r#"{"type":"urn:anticorona:not-sortable","title":"The list cannot be sorted like this","status":400,"detail":"it may be given once; sortable fields: id","field":"sort"}"#);
    for refused in ["sort=", "sort=id,", "sort=ID", "sort=id,desc,asc", "sort=desc"] {
        let problem = requested(&format!("?{refused}")).await.unwrap_err();
        assert!(problem.contains("urn:anticorona:not-sortable"), "{refused}: {problem}");
    }
}

#[tokio::test]
async fn a_page_number_beyond_the_depth_limit_is_rejected_with_a_pointer_to_the_cursors() {
    assert_snapshot!(requested("?page=501&size=20").await.unwrap_err(), @r#"{"type":"urn:anticorona:page-too-deep","title":"The page is too far from the beginning of the list","status":400,"detail":"at most 10000 items may come before a page that is requested by number; follow the `next` links, which carry a cursor","field":"page"}"#);
}
