//! The OpenAPI document says what the router does.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::town::{ANA, Town};

const ROUTERS: [&str; 2] =
    [include_str!("../../src/api.rs"), include_str!("../../../eventing/src/api.rs")];
const COMMITTED: &str = include_str!("../../../docs/openapi/vaccine.json");

const ROUTES: [(&str, &str); 8] = [
    ("/events", "POST"),
    ("/events/heard", "GET"),
    ("/events/parked", "GET"),
    ("/holds", "GET POST"),
    ("/vaccines", "GET POST"),
    ("/vaccines/checkAndBookStock", "GET"),
    ("/vaccines/{id}", "DELETE GET PATCH PUT"),
    ("/vaccines/{id}/reservations/{reservation}", "DELETE GET PUT"),
];

fn document() -> Value {
    serde_json::to_value(vaccine::api::openapi()).unwrap()
}

/// Every path, method and description of an operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, methods)| {
        methods_of(methods).map(move |(method, operation)| (path, method, operation))
    };
    paths.iter().map(|(path, methods)| (path.as_str(), methods)).flat_map(of_path).collect()
}

fn methods_of(path: &Value) -> impl Iterator<Item = (&str, &Value)> {
    path.as_object().unwrap().iter().map(|(method, operation)| (method.as_str(), operation))
}

fn methods(names: impl Iterator<Item = String>) -> String {
    // HEAD comes with every GET, unasked.
    let names: BTreeSet<_> = names.filter(|name| name != "HEAD").collect();
    names.into_iter().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_route_is_documented_with_its_methods() {
    let document = document();
    let documented: Vec<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(path, of_path)| {
            let names = methods_of(of_path).map(|(method, _)| method.to_uppercase());
            (path.clone(), methods(names))
        })
        .collect();
    assert_eq!(documented, ROUTES.map(|(path, methods)| (path.to_owned(), methods.to_owned())));
}

#[test]
fn there_are_no_other_routes() {
    let calls = ROUTERS.iter().flat_map(|router| router.split(".route(").skip(1));
    let paths = calls.map(|call| call.split('"').nth(1).unwrap());
    // What is for operators is the same at every part, and stands in no part's document.
    let mut routed: Vec<_> = paths.filter(|path| !path.starts_with("/actuator/")).collect();
    routed.sort_unstable();
    assert_eq!(routed, ROUTES.map(|(path, _)| path));
}

#[tokio::test]
async fn every_route_is_served_with_its_methods_and_no_other() {
    let town = Town::with_doses(1).await;
    for (path, documented) in ROUTES {
        let path = path.replace("{id}", "1").replace("{reservation}", ANA);
        let refused = town.ask(&format!("TRACE {path}"), "").await;
        let allowed = refused.header("allow").unwrap_or_default().split(',').map(str::to_owned);
        assert_eq!(methods(allowed), documented, "{path}");
        for method in documented.split(' ') {
            let answer = town.ask(&format!("{method} {path}"), "").await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(!answer.body.contains("nothing at"), "{method} {path}");
        }
    }
}

#[test]
fn every_answer_says_what_it_is() {
    let document = document();
    for (path, method, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolved(&document, response);
            let media_type =
                response["content"].as_object().and_then(|content| content.keys().next());
            let hal = operation["tags"][0] == "vaccines" && !path.ends_with("checkAndBookStock");
            let expected = match status.as_str() {
                "204" => None,
                "200" | "201" if hal => Some("application/hal+json"),
                "200" => Some("application/json"),
                _ => Some("application/problem+json"),
            };
            assert_eq!(media_type.map(String::as_str), expected, "{method} {path} {status}");
            let come_back = response["headers"]["Retry-After"].is_object();
            assert_eq!(come_back, status == "503", "{method} {path} {status}");
        }
    }
}

fn resolved<'a>(document: &'a Value, described: &'a Value) -> &'a Value {
    match described["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => described,
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn follow(document: &Value, part: &Value) {
        resolved(document, part);
        match part {
            Value::Object(parts) => parts.values().for_each(|part| follow(document, part)),
            Value::Array(parts) => parts.iter().for_each(|part| follow(document, part)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    follow(&document, &document);
}

#[test]
fn what_is_deprecated_or_internal_says_so() {
    for (path, _, operation) in operations(&document()) {
        let deprecated = path == "/vaccines/checkAndBookStock";
        assert_eq!(operation["deprecated"].as_bool().unwrap_or_default(), deprecated, "{path}");
        let between_parts = !path.starts_with("/vaccines") || path.contains("reservations");
        let tag = if between_parts { "internal" } else { "vaccines" };
        assert_eq!(operation["tags"], serde_json::json!([tag]), "{path}");
    }
}

#[test]
fn the_committed_document_is_this_one() {
    let printed = format!("{}\n", vaccine::api::openapi().to_pretty_json().unwrap());
    assert!(COMMITTED == printed, "docs/openapi/vaccine.json is old: run `cargo xtask openapi`");
}
