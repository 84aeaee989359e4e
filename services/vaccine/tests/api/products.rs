//! What is known of a vaccine as a product.

use insta::assert_snapshot;
use serde_json::json;

use crate::app::VaccineApp;

#[tokio::test]
async fn product_rules_are_set_shown_and_removed() {
    let app = VaccineApp::with_doses(5).await;
    let product = r#"{"cvx":208,"localCode":"PF-1","minAgeMonths":144,"nextDose":{"minDays":21,"maxDays":42}}"#;
    assert_snapshot!(app.transcript(&[
        ("GET /vaccines/1/product", ""),
        ("PUT /vaccines/1/product", product),
        ("GET /vaccines/1/product", ""),
        ("PUT /vaccines/1/product", "{}"),
        ("GET /vaccines/1/product", ""),
        ("DELETE /vaccines/1/product", ""),
        ("GET /vaccines/1/product", ""),
        ("PUT /vaccines/9/product", "{}"),
        ("DELETE /vaccines/9/product", ""),
    ]).await, @r#"
    GET /vaccines/1/product: 404 no-such-product; there is no such vaccine, or nothing is known of it as a product
    PUT /vaccines/1/product {"cvx":208,"localCode":"PF-1","minAgeMonths":144,"nextDose":{"minDays":21,"maxDays":42}}: 200 {"cvx":208,"localCode":"PF-1","minAgeMonths":144,"nextDose":{"minDays":21,"maxDays":42}}
    GET /vaccines/1/product: 200 {"cvx":208,"localCode":"PF-1","minAgeMonths":144,"nextDose":{"minDays":21,"maxDays":42}}
    PUT /vaccines/1/product {}: 200 {}
    GET /vaccines/1/product: 200 {}
    DELETE /vaccines/1/product: 204
    GET /vaccines/1/product: 404 no-such-product; there is no such vaccine, or nothing is known of it as a product
    PUT /vaccines/9/product {}: 404 no-such-vaccine; there is no such vaccine
    DELETE /vaccines/9/product: 404 no-such-vaccine; there is no such vaccine
    "#);
}

#[tokio::test]
async fn a_rule_that_is_out_of_range_is_named() {
    let app = VaccineApp::with_doses(5).await;
    let bodies = [
        json!({"cvx": 0}),
        json!({"cvx": 10_000}),
        json!({"localCode": "a b"}),
        json!({"minAgeMonths": 1_801}),
        json!({"minAgeMonths": 12, "maxAgeMonths": 11}),
        json!({"nextDose": {"minDays": 0, "maxDays": 5}}),
        json!({"nextDose": {"minDays": 22, "maxDays": 21}}),
        json!({"nextDose": {"minDays": 22, "maxDays": 366}}),
        json!({"nextDose": {"minDays": 22}}),
        json!({"nextDose": null}),
        json!({"doses": 2}),
    ];
    let bodies: Vec<_> = bodies.iter().map(ToString::to_string).collect();
    let requests: Vec<_> =
        bodies.iter().map(|body| ("PUT /vaccines/1/product", body.as_str())).collect();
    let transcript = app.transcript(&requests).await.replace("PUT /vaccines/1/product ", "");
    assert_snapshot!(transcript, @r#"
    {"cvx":0}: 422 invalid-field; cvx: must be from 1 to 9999
    {"cvx":10000}: 422 invalid-field; cvx: must be from 1 to 9999
    {"localCode":"a b"}: 422 invalid-field; localCode: must be 1 to 32 letters, digits and `._-`
    {"minAgeMonths":1801}: 422 invalid-field; minAgeMonths: must be up to 1800
    {"maxAgeMonths":11,"minAgeMonths":12}: 422 invalid-field; maxAgeMonths: must not be less than minAgeMonths
    {"nextDose":{"maxDays":5,"minDays":0}}: 422 invalid-field; nextDose.minDays: must be from 1 to 365
    {"nextDose":{"maxDays":21,"minDays":22}}: 422 invalid-field; nextDose.maxDays: must be from minDays to 365
    {"nextDose":{"maxDays":366,"minDays":22}}: 422 invalid-field; nextDose.maxDays: must be from minDays to 365
    {"nextDose":{"minDays":22}}: 422 invalid-field; nextDose.maxDays: missing field `maxDays` at line 1 column 26
    {"nextDose":null}: 422 invalid-field; nextDose: invalid type: null, expected struct DoseInterval at line 1 column 16
    {"doses":2}: 422 invalid-field; doses: unknown field `doses`, expected one of `cvx`, `localCode`, `minAgeMonths`, `maxAgeMonths`, `nextDose` at line 1 column 8
    "#);
}
