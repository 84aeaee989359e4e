//! The OpenAPI document describes what the service does.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::app::BookingApp;

fn document() -> Value {
    serde_json::to_value(booking::api::openapi()).unwrap()
}

#[tokio::test]
async fn every_documented_operation_is_served_and_no_other() {
    let app = BookingApp::start();
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let collections = paths.keys().map(|path| path.split('/').nth(1).unwrap());
    assert_eq!(
        collections.collect::<BTreeSet<_>>(),
        BTreeSet::from(["", "bookings", "profile", "tickets"])
    );
    for (path, operations) in paths {
        let url = path.replace("{id}", "1").replace("{collection}", "bookings");
        let allow = app.request(&format!("TRACE {url}"), "").await;
        let allow = allow.header("allow").unwrap_or_default();
        // Every GET serves HEAD too.
        let served: BTreeSet<_> = allow.split(',').filter(|method| *method != "HEAD").collect();
        let documented = operations.as_object().unwrap().keys().map(|name| name.to_uppercase());
        assert_eq!(served, documented.collect::<Vec<_>>().iter().map(String::as_str).collect());
    }
}

#[test]
fn every_response_has_its_media_type_and_retry_after() {
    let document = document();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let expected = match status.as_str() {
                    "204" => None,
                    "200" | "201" | "202" => Some("application/hal+json"),
                    _ => Some("application/problem+json"),
                };
                let named =
                    response["content"].as_object().and_then(|content| content.keys().next());
                assert_eq!(named.map(String::as_str), expected, "{method} {path} {status}");
                let retry_after = response["headers"]["Retry-After"].is_object();
                let waits = status == "202" || (path.starts_with("/tickets") && status == "200");
                assert_eq!(retry_after, waits || status == "503", "{method} {path} {status}");
            }
        }
    }
}

#[test]
fn every_reference_is_resolved() {
    let document = document();
    let text = document.to_string();
    let references = text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}
