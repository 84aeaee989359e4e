//! What cannot be right is refused with the reason, and leaves no trace.

use std::fmt::Write;

use insta::assert_snapshot;
use vaccine::domain::NAME_MAX;

use crate::town::{ANA, NORTH, Town};

const BODY: &str = r#"{"vcName":"FIZER","stock":5}"#;

/// Asks each as a new vaccine and as a change of the only one; tells the answer to the first.
async fn bodies(bodies: &[&str]) -> String {
    let town = Town::with_doses(7).await;
    let before = town.ask("GET /vaccines", "").await.body;
    let mut story = String::new();
    for body in bodies {
        let refused = town.ask("POST /vaccines", *body).await;
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{body}");
        writeln!(story, "{body}\n  {}", refused.in_short()).unwrap();
        let replaced = town.ask("PUT /vaccines/1", *body).await;
        assert_eq!(replaced.in_short(), refused.in_short(), "PUT {body}");
    }
    assert_eq!(town.ask("GET /vaccines", "").await.body, before, "something was stored");
    story
}

/// Asks each line; tells the answers.
async fn lines(lines: &[&str]) -> String {
    let town = Town::with_doses(7).await;
    let before = town.ask("GET /vaccines", "").await.body;
    let mut story = String::new();
    for line in lines {
        let refused = town.ask(line, "").await;
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{line}");
        writeln!(story, "{line}\n  {}", refused.in_short()).unwrap();
    }
    assert_eq!(town.ask("GET /vaccines", "").await.body, before, "something was stored");
    story
}

#[tokio::test]
async fn what_is_not_json_is_malformed() {
    let story = bodies(&["", "nonsense", r#"{"vcName":"FIZER""#, r#"{"stock":5} 6"#]).await;
    assert_snapshot!(story, @r#"

      400 the body must be a JSON object
    nonsense
      400 the body must be a JSON object
    {"vcName":"FIZER"
      400 not JSON: EOF while parsing an object at line 1 column 17
    {"stock":5} 6
      400 not JSON: trailing characters at line 1 column 13
    "#);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let story = bodies(&[
        "{}",
        r#"{"vcName":"FIZER"}"#,
        r#"{"stock":5}"#,
        r#"{"vcName":"FIZER","stock":null}"#,
    ])
    .await;
    assert_snapshot!(story, @r#"
    {}
      422 vcName: must be given
    {"vcName":"FIZER"}
      422 stock: must be given
    {"stock":5}
      422 vcName: must be given
    {"vcName":"FIZER","stock":null}
      422 stock: must be given
    "#);
}

#[tokio::test]
async fn a_stock_is_a_whole_number_in_range() {
    let story = bodies(&[
        r#"{"vcName":"FIZER","stock":-1}"#,
        r#"{"vcName":"FIZER","stock":"-1"}"#,
        r#"{"vcName":"FIZER","stock":1000000001}"#,
        r#"{"vcName":"FIZER","stock":9007199254740992}"#,
        r#"{"vcName":"FIZER","stock":99999999999999999999}"#,
        r#"{"vcName":"FIZER","stock":5.5}"#,
        r#"{"vcName":"FIZER","stock":"5.5"}"#,
        r#"{"vcName":"FIZER","stock":""}"#,
        r#"{"vcName":"FIZER","stock":true}"#,
        r#"{"vcName":"FIZER","stock":[5]}"#,
    ])
    .await;
    assert_snapshot!(story, @r#"
    {"vcName":"FIZER","stock":-1}
      422 stock: must be from 0 to 1000000000
    {"vcName":"FIZER","stock":"-1"}
      422 stock: must be from 0 to 1000000000
    {"vcName":"FIZER","stock":1000000001}
      422 stock: must be from 0 to 1000000000
    {"vcName":"FIZER","stock":9007199254740992}
      422 stock: invalid value: integer `9007199254740992`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 42
    {"vcName":"FIZER","stock":99999999999999999999}
      422 stock: invalid type: floating point `1e+20`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 46
    {"vcName":"FIZER","stock":5.5}
      422 stock: invalid type: floating point `5.5`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 29
    {"vcName":"FIZER","stock":"5.5"}
      422 stock: invalid value: string "5.5", expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 31
    {"vcName":"FIZER","stock":""}
      422 stock: invalid value: string "", expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 28
    {"vcName":"FIZER","stock":true}
      422 stock: invalid type: boolean `true`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 30
    {"vcName":"FIZER","stock":[5]}
      422 stock: invalid type: sequence, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 27
    "#);
}

#[tokio::test]
async fn a_name_is_short_and_printable() {
    let long = format!(r#"{{"vcName":"{}","stock":5}}"#, "x".repeat(NAME_MAX + 1));
    let story = bodies(&[
        r#"{"vcName":"","stock":5}"#,
        r#"{"vcName":" ","stock":5}"#,
        r#"{"vcName":"FI\u0000ZER","stock":5}"#,
        r#"{"vcName":"FI\nZER","stock":5}"#,
        r#"{"vcName":7,"stock":5}"#,
        &long,
    ])
    .await;
    assert_snapshot!(story.replace(&"x".repeat(NAME_MAX), "x…"), @r#"
    {"vcName":"","stock":5}
      422 vcName: must be 1 to 100 characters, none of them control characters
    {"vcName":" ","stock":5}
      422 vcName: must be 1 to 100 characters, none of them control characters
    {"vcName":"FI\u0000ZER","stock":5}
      422 vcName: must be 1 to 100 characters, none of them control characters
    {"vcName":"FI\nZER","stock":5}
      422 vcName: must be 1 to 100 characters, none of them control characters
    {"vcName":7,"stock":5}
      422 vcName: invalid type: integer `7`, expected a string at line 1 column 11
    {"vcName":"x…x","stock":5}
      422 vcName: must be 1 to 100 characters, none of them control characters
    "#);
}

#[tokio::test]
async fn a_misspelt_field_cannot_pass_for_a_change() {
    let story = bodies(&[
        r#"{"vcName":"FIZER","stok":5}"#,
        r#"{"vcName":"FIZER","stock":5,"stok":5}"#,
        r#"{"vcName":"FIZER","stock":5,"stock":6}"#,
    ])
    .await;
    assert_snapshot!(story, @r#"
    {"vcName":"FIZER","stok":5}
      422 stok: unknown field `stok`, expected one of `vcName`, `stock`, `vaccineId`, `bookQty`, `_links` at line 1 column 24
    {"vcName":"FIZER","stock":5,"stok":5}
      422 stok: unknown field `stok`, expected one of `vcName`, `stock`, `vaccineId`, `bookQty`, `_links` at line 1 column 34
    {"vcName":"FIZER","stock":5,"stock":6}
      422 stock: duplicate field `stock` at line 1 column 35
    "#);
}

#[tokio::test]
async fn what_is_no_object_is_no_vaccine() {
    let town = Town::open();
    for body in ["5", "null", r#""FIZER""#, "[]", r#"["FIZER",5,null,null,null]"#] {
        let answer = town.ask("POST /vaccines", body).await;
        assert!(answer.status.is_client_error(), "{body} is {answer}");
        assert_ne!(answer.json()["field"], "", "{body} has no field that could be wrong");
        assert!(!answer.in_short().contains("struct"), "{answer} speaks of our own code");
    }
    assert_eq!(town.ask("GET /vaccines", "").await.json()["page"]["totalElements"], 0);
}

#[tokio::test]
async fn a_body_may_have_64_kib_and_not_a_byte_more() {
    let town = Town::open();
    let padded = |length| [BODY, &" ".repeat(length - BODY.len())].concat();
    assert_snapshot!(town.ask("POST /vaccines", padded(64 * 1024 + 1)).await, @r#"
    413 Payload Too Large
    content-type: application/problem+json

    {"type":"urn:anticorona:body-too-large","title":"The body is too large","status":413,"detail":"at most 65536 bytes"}
    "#);
    assert_eq!(town.ask("POST /vaccines", padded(64 * 1024)).await.status, 201);
    assert_eq!(town.ask("GET /vaccines", "").await.json()["page"]["totalElements"], 1);
}

#[tokio::test]
async fn a_body_that_does_not_call_itself_json_is_not_read() {
    let town = Town::open();
    let text = town.ask_with(&[("content-type", "text/plain")], "POST /vaccines", BODY).await;
    let unnamed = town.ask_with(&[], "POST /vaccines", BODY).await;
    assert_snapshot!(text, @r#"
    415 Unsupported Media Type
    content-type: application/problem+json

    {"type":"urn:anticorona:unsupported-media-type","title":"The body must be JSON","status":415,"detail":"send Content-Type: application/json","field":"Content-Type"}
    "#);
    assert_eq!(text.to_string(), unnamed.to_string());
    assert_eq!(town.ask("GET /vaccines", "").await.json()["page"]["totalElements"], 0);
}

#[tokio::test]
async fn a_method_that_an_address_does_not_take_is_answered_with_those_it_takes() {
    let town = Town::with_doses(1).await;
    assert_snapshot!(town.ask("DELETE /vaccines", "").await, @r#"
    405 Method Not Allowed
    allow: GET,HEAD,POST
    content-type: application/problem+json

    {"type":"urn:anticorona:method-not-allowed","title":"This address does not take this method","status":405,"detail":"DELETE is not possible here; see the Allow header"}
    "#);
    assert_snapshot!(town.ask("POST /vaccines/1", BODY).await, @r#"
    405 Method Not Allowed
    allow: GET,HEAD,PUT,PATCH,DELETE
    content-type: application/problem+json

    {"type":"urn:anticorona:method-not-allowed","title":"This address does not take this method","status":405,"detail":"POST is not possible here; see the Allow header"}
    "#);
    assert_eq!(town.ask("GET /vaccines/1", "").await.status, 200);
}

#[tokio::test]
async fn nobody_is_at_other_addresses() {
    let story = lines(&[
        "GET /",
        "GET /vaccine",
        "GET /vaccines/",
        "GET /vaccines/2",
        "GET /vaccines/0",
        "GET /vaccines/one",
        "GET /vaccines/1.0",
        "GET /vaccines/99999999999999999999",
        "DELETE /vaccines/one",
        "GET /vaccines/1/reservations",
    ])
    .await;
    assert_snapshot!(story, @"
    GET /
      404 nothing at /
    GET /vaccine
      404 nothing at /vaccine
    GET /vaccines/
      404 nothing at /vaccines/
    GET /vaccines/2
      404 there is no such vaccine
    GET /vaccines/0
      404 there is no such vaccine
    GET /vaccines/one
      404 nothing at /vaccines/one
    GET /vaccines/1.0
      404 nothing at /vaccines/1.0
    GET /vaccines/99999999999999999999
      404 nothing at /vaccines/99999999999999999999
    DELETE /vaccines/one
      404 nothing at /vaccines/one
    GET /vaccines/1/reservations
      404 nothing at /vaccines/1/reservations
    ");
}

#[tokio::test]
async fn a_reservation_has_a_uuid_and_a_vaccine() {
    let story = lines(&[
        "PUT /vaccines/1/reservations/7",
        "GET /vaccines/1/reservations/ana",
        "DELETE /vaccines/1/reservations/ana",
        &format!("PUT /vaccines/one/reservations/{ANA}"),
        &format!("PUT /vaccines/2/reservations/{ANA}"),
        &format!("GET /vaccines/1/reservations/{ANA}"),
    ])
    .await;
    assert_snapshot!(story, @"
    PUT /vaccines/1/reservations/7
      404 nothing at /vaccines/1/reservations/7
    GET /vaccines/1/reservations/ana
      404 nothing at /vaccines/1/reservations/ana
    DELETE /vaccines/1/reservations/ana
      404 nothing at /vaccines/1/reservations/ana
    PUT /vaccines/one/reservations/00000000-0000-0000-0000-00000000000a
      404 nothing at /vaccines/one/reservations/00000000-0000-0000-0000-00000000000a
    PUT /vaccines/2/reservations/00000000-0000-0000-0000-00000000000a
      404 there is no such vaccine
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a
      404 there is no such reservation
    ");
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused() {
    let story = lines(&[
        "GET /vaccines?page=-1",
        "GET /vaccines?page=one",
        "GET /vaccines?page=",
        "GET /vaccines?page=4294967296",
        "GET /vaccines?size=0",
        "GET /vaccines?size=-1",
        "GET /vaccines?size=many",
        "GET /vaccines?page=1&page=2",
    ])
    .await;
    assert_snapshot!(story, @"
    GET /vaccines?page=-1
      422 page: must be a whole number, counted from 0
    GET /vaccines?page=one
      422 page: must be a whole number, counted from 0
    GET /vaccines?page=
      422 page: must be a whole number, counted from 0
    GET /vaccines?page=4294967296
      422 page: must be a whole number, counted from 0
    GET /vaccines?size=0
      422 size: must be a whole number from 1
    GET /vaccines?size=-1
      422 size: must be a whole number from 1
    GET /vaccines?size=many
      422 size: must be a whole number from 1
    GET /vaccines?page=1&page=2
      422 page: duplicate field `page`
    ");
}

#[tokio::test]
async fn questions_between_parts_are_read_as_strictly() {
    let story = lines(&[
        &format!("GET /holds?holder={NORTH}"),
        "GET /holds?holder=north&heldForMs=1",
        &format!("GET /holds?holder={NORTH}&heldForMs=-1"),
        "GET /events/heard",
        "GET /events/heard?source=north",
        "PUT /events",
    ])
    .await;
    assert_snapshot!(story, @"
    GET /holds?holder=00000000-0000-0000-0000-000000000001
      422 heldForMs: missing field `heldForMs`
    GET /holds?holder=north&heldForMs=1
      422 holder: UUID parsing failed: invalid character: found `n` at 0
    GET /holds?holder=00000000-0000-0000-0000-000000000001&heldForMs=-1
      422 heldForMs: invalid digit found in string
    GET /events/heard
      422 source: missing field `source`
    GET /events/heard?source=north
      422 source: UUID parsing failed: invalid character: found `n` at 0
    PUT /events
      405 PUT is not possible here; see the Allow header
    ");
    let town = Town::open();
    let mut story = String::new();
    for body in [
        r#"{"holds":[]}"#,
        r#"{"holder":"north","holds":[]}"#,
        &format!(r#"{{"holder":"{NORTH}","holds":[{{"reservationId":"{ANA}"}}]}}"#),
    ] {
        let answer = town.ask("POST /holds", body).await;
        writeln!(story, "{}", answer.in_short()).unwrap();
    }
    assert_snapshot!(story, @"
    422 holder: missing field `holder` at line 1 column 12
    422 holder: UUID parsing failed: invalid character: found `n` at 0 at line 1 column 17
    422 holds[0].vaccineId: missing field `vaccineId` at line 1 column 114
    ");
}
