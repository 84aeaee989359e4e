//! The OpenAPI document describes what the service does.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::app::{ANA, VaccineApp};

fn document() -> Value {
    serde_json::to_value(vaccine::api::openapi()).unwrap()
}

/// Every path, method and description of an operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push((path.as_str(), method.as_str(), operation));
        }
    }
    operations
}

#[tokio::test]
async fn every_documented_operation_is_served_and_no_other() {
    let app = VaccineApp::start();
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(
        paths.keys().collect::<Vec<_>>(),
        [
            "/",
            "/aborts",
            "/availability",
            "/holds",
            "/lots",
            "/lots/search",
            "/lots/search/findBySiteId",
            "/lots/{id}",
            "/lots/{id}/changes",
            "/profile",
            "/profile/{collection}",
            "/slots/{id}",
            "/stocks/{siteId}/{vaccineId}",
            "/vaccines",
            "/vaccines/checkAndBookStock",
            "/vaccines/{id}",
            "/vaccines/{id}/product",
            "/vaccines/{id}/reservations/{reservation}",
        ]
    );
    for (path, operations) in paths {
        let url = path.replace("{id}", "1").replace("{reservation}", ANA);
        let url = url.replace("{collection}", "vaccines");
        let url = url.replace("{siteId}", "1").replace("{vaccineId}", "1");
        let allow = app.request(&format!("TRACE {url}"), "").await;
        let allow = allow.header("allow").unwrap_or_default();
        // Every GET serves HEAD too.
        let served: BTreeSet<_> = allow.split(',').filter(|method| *method != "HEAD").collect();
        let documented = operations.as_object().unwrap().keys().map(|name| name.to_uppercase());
        let documented: Vec<_> = documented.collect();
        assert_eq!(served, documented.iter().map(String::as_str).collect(), "{path}");
    }
}

#[test]
fn every_response_has_its_media_type_and_retry_after() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let is_plain = path.ends_with("checkAndBookStock")
                || path.ends_with("product")
                || path.starts_with("/stocks");
            let is_hal = operation["tags"][0] != "internal" && !is_plain;
            let expected = match status.as_str() {
                "204" => None,
                "200" | "201" if is_hal => Some("application/hal+json"),
                "200" => Some("application/json"),
                _ => Some("application/problem+json"),
            };
            let named = response["content"].as_object().and_then(|content| content.keys().next());
            assert_eq!(named.map(String::as_str), expected, "{method} {path} {status}");
            let retry_after = response["headers"]["Retry-After"].is_object();
            assert_eq!(retry_after, status == "503", "{method} {path} {status}");
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

#[test]
fn deprecated_and_internal_operations_are_marked() {
    for (path, _, operation) in operations(&document()) {
        let is_deprecated = path == "/vaccines/checkAndBookStock";
        assert_eq!(operation["deprecated"].as_bool().unwrap_or_default(), is_deprecated, "{path}");
        let tag = match path {
            "/" | "/profile" | "/profile/{collection}" => "index",
            _ if path.starts_with("/lots") || path.starts_with("/stocks") => "lots",
            _ if path.starts_with("/vaccines") && !path.contains("reservations") => "vaccines",
            _ => "internal",
        };
        assert_eq!(operation["tags"], json!([tag]), "{path}");
    }
}
