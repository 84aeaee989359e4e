//! Wrong requests are refused with the reason and change nothing.

use std::fmt::Write;

use insta::assert_snapshot;
use vaccine::domain::NAME_MAX;

use crate::app::{ANA, NORTH, VaccineApp};

const BODY: &str = r#"{"vcName":"FIZER","stock":5}"#;

/// Sends each body as a new vaccine and as a change of the only one; the replies, which are the same.
async fn refused_bodies(bodies: &[&str]) -> String {
    let app = VaccineApp::with_doses(7).await;
    let before = app.request("GET /vaccines", "").await.body().to_owned();
    let mut replies = String::new();
    for body in bodies {
        let refused = app.request("POST /vaccines", *body).await;
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{body}");
        writeln!(replies, "{body}\n  {}", refused.in_short()).unwrap();
        let replaced = app.request("PUT /vaccines/1", *body).await;
        assert_eq!(replaced.in_short(), refused.in_short(), "PUT {body}");
    }
    assert_eq!(app.request("GET /vaccines", "").await.body(), before, "something was stored");
    replies
}

/// Sends each request without a body; the replies.
async fn refused_requests(lines: &[&str]) -> String {
    let app = VaccineApp::with_doses(7).await;
    let before = app.request("GET /vaccines", "").await.body().to_owned();
    let mut replies = String::new();
    for line in lines {
        let refused = app.request(line, "").await;
        assert_eq!(refused.header("content-type"), Some("application/problem+json"), "{line}");
        writeln!(replies, "{line}\n  {}", refused.in_short()).unwrap();
    }
    assert_eq!(app.request("GET /vaccines", "").await.body(), before, "something was stored");
    replies
}

#[tokio::test]
async fn a_body_that_is_not_json_is_malformed() {
    let replies =
        refused_bodies(&["", "nonsense", r#"{"vcName":"FIZER""#, r#"{"stock":5} 6"#]).await;
    assert_snapshot!(replies, @r#"
      400 malformed; the body must be a JSON object
    nonsense
      400 malformed; the body must be a JSON object
    {"vcName":"FIZER"
      400 malformed; not JSON: EOF while parsing an object at line 1 column 17
    {"stock":5} 6
      400 malformed; not JSON: trailing characters at line 1 column 13
    "#);
}

#[tokio::test]
async fn a_missing_field_is_named() {
    let replies = refused_bodies(&[
        "{}",
        r#"{"vcName":"FIZER"}"#,
        r#"{"stock":5}"#,
        r#"{"vcName":"FIZER","stock":null}"#,
    ])
    .await;
    assert_snapshot!(replies, @r#"
    {}
      422 invalid-field; vcName: must be given
    {"vcName":"FIZER"}
      422 invalid-field; stock: must be given
    {"stock":5}
      422 invalid-field; vcName: must be given
    {"vcName":"FIZER","stock":null}
      422 invalid-field; stock: invalid type: null, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 30
    "#);
}

#[tokio::test]
async fn a_stock_is_a_whole_number_in_range() {
    let replies = refused_bodies(&[
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
    assert_snapshot!(replies, @r#"
    {"vcName":"FIZER","stock":-1}
      422 invalid-field; stock: must be from 0 to 1000000000
    {"vcName":"FIZER","stock":"-1"}
      422 invalid-field; stock: must be from 0 to 1000000000
    {"vcName":"FIZER","stock":1000000001}
      422 invalid-field; stock: must be from 0 to 1000000000
    {"vcName":"FIZER","stock":9007199254740992}
      422 invalid-field; stock: invalid value: integer `9007199254740992`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 42
    {"vcName":"FIZER","stock":99999999999999999999}
      422 invalid-field; stock: invalid value: floating point `1e+20`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 46
    {"vcName":"FIZER","stock":5.5}
      422 invalid-field; stock: invalid value: floating point `5.5`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 29
    {"vcName":"FIZER","stock":"5.5"}
      422 invalid-field; stock: invalid value: string "5.5", expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 31
    {"vcName":"FIZER","stock":""}
      422 invalid-field; stock: invalid value: string "", expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 28
    {"vcName":"FIZER","stock":true}
      422 invalid-field; stock: invalid type: boolean `true`, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 30
    {"vcName":"FIZER","stock":[5]}
      422 invalid-field; stock: invalid type: sequence, expected a whole number between -9007199254740991 and 9007199254740991 at line 1 column 27
    "#);
}

#[tokio::test]
async fn a_name_is_short_and_printable() {
    let long = format!(r#"{{"vcName":"{}","stock":5}}"#, "x".repeat(NAME_MAX + 1));
    let replies = refused_bodies(&[
        r#"{"vcName":"","stock":5}"#,
        r#"{"vcName":" ","stock":5}"#,
        r#"{"vcName":"FI\u0000ZER","stock":5}"#,
        r#"{"vcName":"FI\nZER","stock":5}"#,
        r#"{"vcName":7,"stock":5}"#,
        &long,
    ])
    .await;
    assert_snapshot!(replies.replace(&"x".repeat(NAME_MAX), "x…"), @r#"
    {"vcName":"","stock":5}
      422 invalid-field; vcName: must be 1 to 100 characters, none of them control characters
    {"vcName":" ","stock":5}
      422 invalid-field; vcName: must be 1 to 100 characters, none of them control characters
    {"vcName":"FI\u0000ZER","stock":5}
      422 invalid-field; vcName: must be 1 to 100 characters, none of them control characters
    {"vcName":"FI\nZER","stock":5}
      422 invalid-field; vcName: must be 1 to 100 characters, none of them control characters
    {"vcName":7,"stock":5}
      422 invalid-field; vcName: invalid type: integer `7`, expected a string at line 1 column 11
    {"vcName":"x…x","stock":5}
      422 invalid-field; vcName: must be 1 to 100 characters, none of them control characters
    "#);
}

#[tokio::test]
async fn an_unknown_or_repeated_field_is_refused() {
    let replies = refused_bodies(&[
        r#"{"vcName":"FIZER","stok":5}"#,
        r#"{"vcName":"FIZER","stock":5,"stok":5}"#,
        r#"{"vcName":"FIZER","stock":5,"stock":6}"#,
    ])
    .await;
    assert_snapshot!(replies, @r#"
    {"vcName":"FIZER","stok":5}
      422 invalid-field; stok: unknown field `stok`, expected one of `vcName`, `stock`, `vaccineId`, `bookQty`, `overcommitted`, `_links` at line 1 column 24
    {"vcName":"FIZER","stock":5,"stok":5}
      422 invalid-field; stok: unknown field `stok`, expected one of `vcName`, `stock`, `vaccineId`, `bookQty`, `overcommitted`, `_links` at line 1 column 34
    {"vcName":"FIZER","stock":5,"stock":6}
      422 invalid-field; stock: duplicate field `stock` at line 1 column 35
    "#);
}

#[tokio::test]
async fn a_body_that_is_not_an_object_is_refused() {
    let app = VaccineApp::start();
    for body in ["5", "null", r#""FIZER""#, "[]", r#"["FIZER",5,null,null,null]"#] {
        let reply = app.request("POST /vaccines", body).await;
        assert!(reply.status.is_client_error(), "{body} is {reply}");
        assert_ne!(reply.json()["field"], "", "{body} has no field");
        assert!(!reply.in_short().contains("struct"), "{reply} names a type of the code");
    }
    assert_eq!(app.vaccines().await, 0);
}

#[tokio::test]
async fn a_body_has_at_most_64_kib() {
    let app = VaccineApp::start();
    let padded = |length| [BODY, &" ".repeat(length - BODY.len())].concat();
    assert_snapshot!(app.request("POST /vaccines", padded(64 * 1024 + 1)).await, @r#"
    413 Payload Too Large
    content-type: application/problem+json

    {"type":"urn:anticorona:body-too-large","title":"The body is too large","status":413,"detail":"at most 65536 bytes"}
    "#);
    assert_eq!(app.request("POST /vaccines", padded(64 * 1024)).await.status, 201);
    assert_eq!(app.vaccines().await, 1);
}

#[tokio::test]
async fn a_body_of_another_content_type_is_refused() {
    let app = VaccineApp::start();
    let text = app.request_with(&[("content-type", "text/plain")], "POST /vaccines", BODY).await;
    let unnamed = app.request_with(&[], "POST /vaccines", BODY).await;
    assert_snapshot!(text, @r#"
    415 Unsupported Media Type
    content-type: application/problem+json

    {"type":"urn:anticorona:unsupported-media-type","title":"The body must be JSON","status":415,"detail":"send Content-Type: application/json","field":"Content-Type"}
    "#);
    assert_eq!(text.to_string(), unnamed.to_string());
    assert_eq!(app.vaccines().await, 0);
}

#[tokio::test]
async fn a_wrong_method_is_refused_with_those_that_are_allowed() {
    let app = VaccineApp::with_doses(1).await;
    assert_snapshot!(app.request("DELETE /vaccines", "").await, @r#"
    405 Method Not Allowed
    allow: GET,HEAD,POST
    content-type: application/problem+json

    {"type":"urn:anticorona:method-not-allowed","title":"This address does not take this method","status":405,"detail":"DELETE is not possible here; see the Allow header"}
    "#);
    assert_snapshot!(app.request("POST /vaccines/1", BODY).await, @r#"
    405 Method Not Allowed
    allow: GET,HEAD,PUT,PATCH,DELETE
    content-type: application/problem+json

    {"type":"urn:anticorona:method-not-allowed","title":"This address does not take this method","status":405,"detail":"POST is not possible here; see the Allow header"}
    "#);
    assert_eq!(app.request("GET /vaccines/1", "").await.status, 200);
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let replies = refused_requests(&[
        "GET /vaccine",
        "GET /vaccines/search",
        "GET /vaccines/2",
        "GET /vaccines/0",
        "GET /vaccines/one",
        "GET /vaccines/1.0",
        "GET /vaccines/99999999999999999999",
        "DELETE /vaccines/one",
        "GET /vaccines/1/reservations",
    ])
    .await;
    assert_snapshot!(replies, @"
    GET /vaccine
      404 not-found; nothing at /vaccine
    GET /vaccines/search
      404 not-found; nothing at /vaccines/search
    GET /vaccines/2
      404 no-such-vaccine; there is no such vaccine
    GET /vaccines/0
      404 no-such-vaccine; there is no such vaccine
    GET /vaccines/one
      404 not-found; nothing at /vaccines/one
    GET /vaccines/1.0
      404 not-found; nothing at /vaccines/1.0
    GET /vaccines/99999999999999999999
      404 not-found; nothing at /vaccines/99999999999999999999
    DELETE /vaccines/one
      404 not-found; nothing at /vaccines/one
    GET /vaccines/1/reservations
      404 not-found; nothing at /vaccines/1/reservations
    ");
}

#[tokio::test]
async fn a_reservation_path_has_the_number_of_a_vaccine_and_a_uuid() {
    let replies = refused_requests(&[
        "PUT /vaccines/1/reservations/7",
        "GET /vaccines/1/reservations/ana",
        "DELETE /vaccines/1/reservations/ana",
        &format!("PUT /vaccines/one/reservations/{ANA}"),
        &format!("PUT /vaccines/2/reservations/{ANA}"),
        &format!("GET /vaccines/1/reservations/{ANA}"),
    ])
    .await;
    assert_snapshot!(replies, @"
    PUT /vaccines/1/reservations/7
      404 not-found; nothing at /vaccines/1/reservations/7
    GET /vaccines/1/reservations/ana
      404 not-found; nothing at /vaccines/1/reservations/ana
    DELETE /vaccines/1/reservations/ana
      404 not-found; nothing at /vaccines/1/reservations/ana
    PUT /vaccines/one/reservations/00000000-0000-0000-0000-00000000000a
      404 not-found; nothing at /vaccines/one/reservations/00000000-0000-0000-0000-00000000000a
    PUT /vaccines/2/reservations/00000000-0000-0000-0000-00000000000a
      404 no-such-vaccine; there is no such vaccine
    GET /vaccines/1/reservations/00000000-0000-0000-0000-00000000000a
      404 no-such-reservation; there is no such reservation
    ");
}

#[tokio::test]
async fn an_invalid_page_is_refused() {
    let replies = refused_requests(&[
        "GET /vaccines?page=-1",
        "GET /vaccines?page=one",
        "GET /vaccines?page=",
        "GET /vaccines?page=4294967296",
        "GET /vaccines?size=0",
        "GET /vaccines?size=-1",
        "GET /vaccines?size=many",
        "GET /vaccines?page=1&page=2",
        "GET /vaccines?page=501",
        "GET /vaccines?cursor=7",
        "GET /vaccines?cursor=after-1&page=1",
    ])
    .await;
    assert_snapshot!(replies, @"
    GET /vaccines?page=-1
      422 invalid-field; page: must be a whole number, counted from 0
    GET /vaccines?page=one
      422 invalid-field; page: must be a whole number, counted from 0
    GET /vaccines?page=
      422 invalid-field; page: must be a whole number, counted from 0
    GET /vaccines?page=4294967296
      422 invalid-field; page: must be a whole number, counted from 0
    GET /vaccines?size=0
      422 invalid-field; size: must be a whole number from 1
    GET /vaccines?size=-1
      422 invalid-field; size: must be a whole number from 1
    GET /vaccines?size=many
      422 invalid-field; size: must be a whole number from 1
    GET /vaccines?page=1&page=2
      422 invalid-field; page: duplicate field `page`
    GET /vaccines?page=501
      400 page-too-deep; page: at most 10000 items may come before a page that is requested by number; follow the `next` links, which carry a cursor
    GET /vaccines?cursor=7
      422 invalid-field; cursor: must be the cursor of a `next` or `prev` link
    GET /vaccines?cursor=after-1&page=1
      400 malformed; page: a page cannot be given with a cursor
    ");
}

#[tokio::test]
async fn requests_of_other_services_are_checked_as_strictly() {
    let replies = refused_requests(&[
        &format!("GET /holds?owner={NORTH}"),
        "GET /holds?owner=north&heldForMs=1",
        &format!("GET /holds?owner={NORTH}&heldForMs=-1"),
        "GET /events/offset",
        "GET /events/offset?source=north",
        "PUT /events",
    ])
    .await;
    assert_snapshot!(replies, @"
    GET /holds?owner=00000000-0000-0000-0000-000000000001
      422 invalid-field; heldForMs: missing field `heldForMs`
    GET /holds?owner=north&heldForMs=1
      422 invalid-field; owner: UUID parsing failed: invalid character: found `n` at 0
    GET /holds?owner=00000000-0000-0000-0000-000000000001&heldForMs=-1
      422 invalid-field; heldForMs: invalid digit found in string
    GET /events/offset
      422 invalid-field; source: missing field `source`
    GET /events/offset?source=north
      422 invalid-field; source: UUID parsing failed: invalid character: found `n` at 0
    PUT /events
      405 method-not-allowed; PUT is not possible here; see the Allow header
    ");
    let app = VaccineApp::start();
    let mut replies = String::new();
    for body in [
        r#"{"blocks":[]}"#,
        r#"{"owner":"north","blocks":[]}"#,
        &format!(r#"{{"owner":"{NORTH}","blocks":[{{"first":"{ANA}"}}]}}"#),
    ] {
        let reply = app.request("POST /holds", body).await;
        writeln!(replies, "{}", reply.in_short()).unwrap();
    }
    assert_snapshot!(replies, @"
    422 invalid-field; owner: missing field `owner` at line 1 column 13
    422 invalid-field; owner: UUID parsing failed: invalid character: found `n` at 0 at line 1 column 16
    422 invalid-field; blocks[0].vaccineId: missing field `vaccineId` at line 1 column 106
    ");
}
