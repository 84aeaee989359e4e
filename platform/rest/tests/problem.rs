//! Problems: a stable type for programs, text for people, and when to retry.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::time::Duration;

use axum::{
    body::to_bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use insta::assert_snapshot;
use platform_rest::problem::Problem;
use platform_store::{ReadError, WriteError};

async fn shown(problem: Problem) -> String {
    let response: Response = problem.into_response();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    format!("{status} {}", String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_problem_names_its_kind_and_its_detail() {
    assert_snapshot!(shown(Problem::malformed("not JSON")).await, @r#"400 {"type":"urn:anticorona:malformed","title":"The request cannot be read","status":400,"detail":"not JSON"}"#);
    assert_snapshot!(shown(Problem::invalid("stock", "must be given")).await, @r#"422 {"type":"urn:anticorona:invalid-field","title":"A field is wrong","status":422,"detail":"must be given","field":"stock"}"#);
    assert_snapshot!(shown(Problem::not_found("nothing at /x")).await, @r#"404 {"type":"urn:anticorona:not-found","title":"There is no such thing","status":404,"detail":"nothing at /x"}"#);
    assert_snapshot!(shown(Problem::retry_later(Duration::ZERO, "too busy")).await, @r#"503 {"type":"urn:anticorona:retry-later","title":"Please retry later","status":503,"detail":"too busy"}"#);
}

#[tokio::test]
async fn a_field_without_a_value_is_omitted() {
    let bare = Problem::new(StatusCode::CONFLICT, "urn:anticorona:sold-out", "Sold out");
    assert_snapshot!(shown(bare).await, @r#"409 {"type":"urn:anticorona:sold-out","title":"Sold out","status":409}"#);
}

#[test]
fn retry_after_is_in_whole_seconds_rounded_up_and_at_least_one() {
    let millis = [0, 1, 999, 1_000, 1_001, 2_000, 2_001, 60_000];
    let seconds = millis.map(|after| {
        let response = Problem::retry_later(Duration::from_millis(after), "").into_response();
        response.headers()["retry-after"].to_str().unwrap().to_owned()
    });
    assert_eq!(seconds, ["1", "1", "1", "1", "2", "2", "3", "60"]);
}

#[test]
fn a_problem_that_is_not_temporary_has_no_retry_after() {
    let response = Problem::malformed("not JSON").into_response();
    assert!(!response.headers().contains_key("retry-after"));
}

#[test]
fn an_error_of_the_store_is_a_503_with_a_retry_after() {
    for problem in [Problem::from(ReadError), Problem::from(WriteError::Busy)] {
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "2");
    }
}
