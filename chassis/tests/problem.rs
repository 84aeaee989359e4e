//! Problems: a stable type for programs, a sentence for people, and when to come back.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::time::Duration;

use axum::{
    body::to_bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::problem::Problem;
use insta::assert_snapshot;

async fn shown(problem: Problem) -> String {
    let response: Response = problem.into_response();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    format!("{status} {}", String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_problem_says_what_is_wrong_and_where() {
    assert_snapshot!(shown(Problem::malformed("not JSON")).await, @r#"400 {"type":"urn:anticorona:malformed","title":"The request cannot be read","status":400,"detail":"not JSON"}"#);
    assert_snapshot!(shown(Problem::invalid("stock", "must be given")).await, @r#"422 {"type":"urn:anticorona:invalid-field","title":"A field is wrong","status":422,"detail":"must be given","field":"stock"}"#);
    assert_snapshot!(shown(Problem::not_found("nothing at /x")).await, @r#"404 {"type":"urn:anticorona:not-found","title":"There is no such thing","status":404,"detail":"nothing at /x"}"#);
    assert_snapshot!(shown(Problem::come_back(Duration::ZERO, "too busy")).await, @r#"503 {"type":"urn:anticorona:come-back-later","title":"Please come back later","status":503,"detail":"too busy"}"#);
}

#[tokio::test]
async fn what_is_not_known_is_left_out() {
    let bare = Problem::new(StatusCode::CONFLICT, "urn:anticorona:sold-out", "Sold out");
    assert_snapshot!(shown(bare).await, @r#"409 {"type":"urn:anticorona:sold-out","title":"Sold out","status":409}"#);
}

#[test]
fn retry_after_is_in_whole_seconds_rounded_up_and_at_least_one() {
    let millis = [0, 1, 999, 1_000, 1_001, 2_000, 2_001, 60_000];
    let seconds = millis.map(|after| {
        let response = Problem::come_back(Duration::from_millis(after), "").into_response();
        response.headers()["retry-after"].to_str().unwrap().to_owned()
    });
    assert_eq!(seconds, ["1", "1", "1", "1", "2", "2", "3", "60"]);
}

#[test]
fn only_who_should_come_back_is_told_when() {
    let response = Problem::malformed("not JSON").into_response();
    assert!(!response.headers().contains_key("retry-after"));
}
