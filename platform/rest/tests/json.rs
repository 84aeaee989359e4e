//! Bodies, paths and queries are parsed into types, or rejected with the field that is wrong.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{FromRequest, FromRequestParts, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use insta::assert_snapshot;
use platform_rest::{
    json::{BODY_MAX, Csv, Id, Json, JsonList, Query, parse},
    problem::Problem,
};
use serde::Deserialize;
use tower::ServiceExt;

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

async fn rejected(json: &str) -> String {
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
async fn a_wrong_field_is_named_with_its_path() {
    assert_snapshot!(rejected(r#"{"doses":[{"vaccine":1},{"vaccine":"two"}]}"#).await, @r#"422 "doses[1].vaccine": invalid type: string "two", expected u8 at line 1 column 40"#);
    assert_snapshot!(rejected(r#"{"doses":[{"vaccine":256}]}"#).await, @r#"422 "doses[0].vaccine": invalid value: integer `256`, expected u8 at line 1 column 24"#);
    assert_snapshot!(rejected(r#"{"doses":[{}]}"#).await, @r#"422 "doses[0].vaccine": missing field `vaccine` at line 1 column 12"#);
    assert_snapshot!(rejected(r#"{"doses":7}"#).await, @r#"422 "doses": invalid type: integer `7`, expected a sequence at line 1 column 10"#);
}

#[tokio::test]
async fn an_error_outside_of_a_field_names_none() {
    for json in ["{}", "7", "[]", r#"{"doses":[],"doses":[]}"#] {
        let rejected = rejected(json).await;
        assert!(!rejected.contains(r#" "":"#), "{json} is {rejected}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed() {
    assert_snapshot!(rejected("").await, @"400 not JSON: EOF while parsing a value at line 1 column 0");
    assert_snapshot!(rejected(r#"{"doses":[]"#).await, @"400 not JSON: EOF while parsing an object at line 1 column 11");
    assert_snapshot!(rejected("{'doses':[]}").await, @"400 not JSON: key must be a string at line 1 column 2");
    let deep = format!("{{\"other\":{}", "[".repeat(1_000));
    assert_snapshot!(rejected(&deep).await, @"400 not JSON: EOF while parsing a list at line 1 column 1009");
}

#[tokio::test]
async fn data_after_the_json_is_malformed() {
    assert!(parse::<Order>(format!("{ORDER} \r\n\t").as_bytes()).is_ok());
    assert_snapshot!(rejected(&format!("{ORDER}{ORDER}")).await, @"400 not JSON: trailing characters at line 1 column 26");
    assert_snapshot!(rejected(&format!("{ORDER},")).await, @"400 not JSON: trailing characters at line 1 column 26");
}

#[tokio::test]
async fn every_json_media_type_is_accepted() {
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
async fn any_other_media_type_is_rejected() {
    let names = [None, Some(""), Some("text/plain"), Some("json"), Some("application/jsonx")];
    for media_type in names {
        let rejected = read::<BODY_MAX>(post(media_type, ORDER)).await.unwrap_err();
        let response = rejected.into_response();
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media_type:?}");
    }
}

#[tokio::test]
async fn csv_has_its_own_media_type_and_the_same_limit() {
    let read = async |media_type, length| {
        let request = post(Some(media_type), "x".repeat(length));
        Csv::from_request(request, &()).await.map(|Csv(body)| body.len())
    };
    for media_type in ["text/csv", "Text/CSV", "text/csv; charset=utf-8; header=present"] {
        assert_eq!(read(media_type, BODY_MAX).await, Ok(BODY_MAX), "{media_type}");
    }
    let rejected = read("application/json", 1).await.unwrap_err();
    assert_snapshot!(shown(rejected.into_response()).await, @r#"415 "Content-Type": send Content-Type: text/csv"#);
    let rejected = read("text/csv", BODY_MAX + 1).await.unwrap_err();
    assert_snapshot!(shown(rejected.into_response()).await, @"413 at most 65536 bytes");
}

#[tokio::test]
async fn a_body_of_the_largest_size_is_accepted_and_one_more_byte_is_rejected() {
    const MAX: usize = ORDER.len();
    assert_eq!(read::<MAX>(post(Some("application/json"), ORDER)).await, Ok(1));
    let longer = post(Some("application/json"), format!("{ORDER} "));
    assert_snapshot!(shown(read::<MAX>(longer).await.unwrap_err().into_response()).await, @"413 at most 25 bytes");
}

#[tokio::test]
async fn a_path_whose_variable_cannot_be_parsed_is_not_found() {
    for path in ["/", "/one", "/1/2"] {
        let (mut parts, ()) = Request::get(path).body(()).unwrap().into_parts();
        let rejected = Id::<i64>::from_request_parts(&mut parts, &()).await.unwrap_err();
        assert_eq!(shown(rejected.into_response()).await, format!("404 nothing at {path}"));
    }
}

#[tokio::test]
async fn an_id_has_one_spelling() {
    let show = async |Id(id): Id<i64>| id.to_string();
    let router = Router::new().route("/bookings/{id}", get(show));
    let request = |id| Request::get(format!("/bookings/{id}")).body(Body::empty()).unwrap();
    for id in ["1", "0", "9223372036854775807"] {
        let response = router.clone().oneshot(request(id)).await.unwrap();
        assert_eq!(response.status(), 200, "{id}");
    }
    for id in
        ["-1", "+1", "01", "1.0", "%31", "-0", "00", "1e0", "0x1", "%201", "9223372036854775808"]
    {
        let response = router.clone().oneshot(request(id)).await.unwrap();
        assert_eq!(shown(response).await, format!("404 nothing at /bookings/{id}"));
    }
}

#[derive(Debug, Deserialize)]
struct Since {
    since: u8,
}

#[tokio::test]
async fn a_query_that_cannot_be_parsed_names_its_field() {
    let query = async |uri| {
        let (mut parts, ()) = Request::get(uri).body(()).unwrap().into_parts();
        Query::<Since>::from_request_parts(&mut parts, &()).await.map(|Query(query)| query.since)
    };
    assert_eq!(query("/?since=7&other=8").await, Ok(7));
    let mut rejected = String::new();
    for uri in ["/", "/?since=", "/?since=256", "/?since=1&since=2"] {
        rejected += &shown(query(uri).await.unwrap_err().into_response()).await;
        rejected += "\n";
    }
    assert_snapshot!(rejected, @r#"
    422 "since": missing field `since`
    422 "since": cannot parse integer from empty string
    422 "since": number too large to fit in target type
    422 "since": duplicate field `since`
    "#);
}

#[tokio::test]
async fn an_object_and_a_list_are_not_accepted_for_each_other() {
    let list = post(Some("application/json"), "[1]");
    let rejected = read::<BODY_MAX>(list).await.unwrap_err();
    assert_snapshot!(shown(rejected.into_response()).await, @"400 the body must be a JSON object");
    let doses = async |json: &'static str| {
        let request = post(Some("application/json"), json);
        let doses = JsonList::<u8>::from_request(request, &()).await;
        doses.map(|JsonList(doses)| doses)
    };
    assert_eq!(doses("[1,2]").await, Ok(vec![1, 2]));
    assert_eq!(doses("{}").await.unwrap_err().into_response().status(), 422);
}
