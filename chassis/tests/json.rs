//! Bodies, paths and queries are read into types, or refused with the field that is wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use axum::{
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{
    json::{BODY_MAX, Id, Json, Query, parse},
    problem::Problem,
};
use insta::assert_snapshot;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Order {
    doses: Vec<Dose>,
}

#[derive(Debug, Deserialize)]
struct Dose {
    vaccine: u8,
}

const ORDER: &str = r#"{"doses":[{"vaccine":1}]}"#;

/// The status, and the body without what every problem of that status has.
async fn shown(response: Response) -> String {
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), BODY_MAX).await.unwrap();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let field = problem.get("field").map(|field| format!(" {field}:")).unwrap_or_default();
    format!("{status}{field} {}", problem["detail"].as_str().unwrap())
}

async fn refused(json: &str) -> String {
    shown(parse::<Order>(json.as_bytes()).unwrap_err().into_response()).await
}

fn post(media_type: Option<&str>, body: impl Into<Body>) -> Request {
    let mut request = Request::post("/");
    if let Some(media_type) = media_type {
        request = request.header("content-type", media_type);
    }
    request.body(body.into()).unwrap()
}

/// The first vaccine of the order.
async fn read<const MAX: usize>(request: Request) -> Result<u8, Problem> {
    let Json(order) = Json::<Order, MAX>::from_request(request, &()).await?;
    Ok(order.doses[0].vaccine)
}

#[tokio::test]
async fn the_wrong_field_is_named_with_the_way_to_it() {
    assert_snapshot!(refused(r#"{"doses":[{"vaccine":1},{"vaccine":"two"}]}"#).await, @r#"422 "doses[1].vaccine": invalid type: string "two", expected u8 at line 1 column 40"#);
    assert_snapshot!(refused(r#"{"doses":[{"vaccine":256}]}"#).await, @r#"422 "doses[0].vaccine": invalid value: integer `256`, expected u8 at line 1 column 24"#);
    assert_snapshot!(refused(r#"{"doses":[{}]}"#).await, @r#"422 "doses[0].vaccine": missing field `vaccine` at line 1 column 12"#);
    assert_snapshot!(refused(r#"{"doses":7}"#).await, @r#"422 "doses": invalid type: integer `7`, expected a sequence at line 1 column 10"#);
}

#[tokio::test]
async fn where_no_field_is_wrong_none_is_named() {
    for json in ["{}", "7", "[]", r#"{"doses":[],"doses":[]}"#] {
        let refused = refused(json).await;
        assert!(!refused.contains(r#" "":"#), "{json} is {refused}");
    }
}

#[tokio::test]
async fn what_is_not_json_is_malformed() {
    assert_snapshot!(refused("").await, @"400 not JSON: EOF while parsing a value at line 1 column 0");
    assert_snapshot!(refused(r#"{"doses":[]"#).await, @"400 not JSON: EOF while parsing an object at line 1 column 11");
    assert_snapshot!(refused("{'doses':[]}").await, @"400 not JSON: key must be a string at line 1 column 2");
    let deep = format!("{{\"other\":{}", "[".repeat(1_000));
    assert_snapshot!(refused(&deep).await, @"400 not JSON: EOF while parsing a list at line 1 column 1009");
}

#[tokio::test]
async fn whatever_follows_the_json_is_malformed() {
    assert!(parse::<Order>(format!("{ORDER} \r\n\t").as_bytes()).is_ok());
    assert_snapshot!(refused(&format!("{ORDER}{ORDER}")).await, @"400 not JSON: trailing characters at line 1 column 26");
    assert_snapshot!(refused(&format!("{ORDER},")).await, @"400 not JSON: trailing characters at line 1 column 26");
}

#[tokio::test]
async fn json_comes_under_many_names() {
    for media_type in [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=utf-8",
        "application/hal+json",
        "application/problem+JSON",
    ] {
        assert_eq!(read::<BODY_MAX>(post(Some(media_type), ORDER)).await, Ok(1), "{media_type}");
    }
}

#[tokio::test]
async fn under_any_other_name_it_is_not_read() {
    let names = [None, Some(""), Some("text/plain"), Some("json"), Some("application/jsonx")];
    for media_type in names {
        let refused = read::<BODY_MAX>(post(media_type, ORDER)).await.unwrap_err();
        let response = refused.into_response();
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media_type:?}");
    }
}

#[tokio::test]
async fn a_body_of_the_largest_size_is_read_and_one_byte_more_is_refused() {
    const MAX: usize = ORDER.len();
    assert_eq!(read::<MAX>(post(Some("application/json"), ORDER)).await, Ok(1));
    let longer = post(Some("application/json"), format!("{ORDER} "));
    assert_snapshot!(shown(read::<MAX>(longer).await.unwrap_err().into_response()).await, @"413 at most 25 bytes");
}

#[tokio::test]
async fn a_path_that_holds_no_such_thing_is_not_found() {
    for path in ["/", "/one", "/1/2"] {
        let (mut parts, ()) = Request::get(path).body(()).unwrap().into_parts();
        let refused = Id::<i64>::from_request_parts(&mut parts, &()).await.unwrap_err();
        assert_eq!(shown(refused.into_response()).await, format!("404 nothing at {path}"));
    }
}

#[derive(Debug, Deserialize)]
struct Since {
    since: u8,
}

#[tokio::test]
async fn a_query_that_cannot_be_read_names_its_field() {
    let query = async |uri| {
        let (mut parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
        Query::<Since>::from_request_parts(&mut parts, &()).await.map(|Query(query)| query.since)
    };
    assert_eq!(query("/?since=7&other=8").await, Ok(7));
    let mut refused = String::new();
    for uri in ["/", "/?since=", "/?since=256", "/?since=1&since=2"] {
        refused += &shown(query(uri).await.unwrap_err().into_response()).await;
        refused += "\n";
    }
    assert_snapshot!(refused, @r#"
    422 "since": missing field `since`
    422 "since": cannot parse integer from empty string
    422 "since": number too large to fit in target type
    422 "since": duplicate field `since`
    "#);
}
