//! The OpenAPI document says what the router does.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::town::Town;

const ROUTES: &str = include_str!("../../src/api.rs");
const COMMITTED: &str = include_str!("../../../docs/openapi/booking.json");

fn document() -> Value {
    serde_json::to_value(booking::api::openapi()).unwrap()
}

/// The methods of each path.
fn operations() -> Vec<(String, BTreeSet<String>)> {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let methods =
        |path: &Value| path.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect();
    paths.iter().map(|(path, operations)| (path.clone(), methods(operations))).collect()
}

#[tokio::test]
async fn every_documented_operation_is_served_and_no_other() {
    let town = Town::open();
    for (path, documented) in operations() {
        let allow = town.ask(&format!("TRACE {}", path.replace("{id}", "1")), "").await;
        let allow = allow.header("allow").unwrap_or_default();
        // HEAD comes with every GET, unasked.
        let served: BTreeSet<_> =
            allow.split(',').filter(|method| *method != "HEAD").map(str::to_owned).collect();
        assert_eq!(served, documented, "{path}");
    }
}

#[test]
fn every_route_is_documented() {
    let routed: BTreeSet<_> = ROUTES
        .split(".route(\"")
        .skip(1)
        .map(|route| route.split('"').next().unwrap().to_owned())
        .collect();
    let documented = operations().into_iter().map(|(path, _)| path).collect();
    assert_eq!(routed, documented);
}

#[test]
fn every_answer_says_what_it_is() {
    let document = document();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let response = resolved(&document, response);
                let expected = match status.as_str() {
                    "204" => None,
                    "200" | "201" | "202" => Some("application/hal+json"),
                    _ => Some("application/problem+json"),
                };
                let named =
                    response["content"].as_object().and_then(|content| content.keys().next());
                assert_eq!(named.map(String::as_str), expected, "{method} {path} {status}");
                let come_back = response["headers"]["Retry-After"].is_object();
                let waits = status == "202" || (path.starts_with("/tickets") && status == "200");
                assert_eq!(come_back, waits || status == "503", "{method} {path} {status}");
            }
        }
    }
}

fn resolved<'a>(document: &'a Value, response: &'a Value) -> &'a Value {
    match response["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => response,
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let text = document.to_string();
    let references = text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

#[test]
fn the_committed_document_is_this_one() {
    let printed = format!("{}\n", booking::api::openapi().to_pretty_json().unwrap());
    assert!(COMMITTED == printed, "docs/openapi/booking.json is old: run `cargo xtask openapi`");
}
