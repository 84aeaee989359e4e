//! Swagger UI: all its files are served, every operation that it shows is forwarded, nothing is loaded from another host.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use insta::assert_snapshot;
use serde_json::Value;

use super::{Behaviour::Responds, CLOSE, Edge, OK};

const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/swagger-ui");
const DOCUMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi");

/// Head and body of a response.
fn halves(response: &str) -> (&str, &str) {
    response.split_once("\n\n").unwrap()
}

/// The texts between every `mark`, which ends with a quote, and the next quote.
fn quoted<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let begins = text.split(mark).skip(1);
    begins.map(|rest| rest.split('"').next().unwrap()).collect()
}

fn media_type(name: &str) -> &'static str {
    match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("png") => "image/png",
        Some("txt") | None => "text/plain; charset=utf-8",
        Some(extension) => panic!("unknown extension {extension}"),
    }
}

async fn json(edge: &Edge, path: &str) -> Value {
    let response = edge.get(path).await;
    let (head, body) = halves(&response);
    assert!(head.starts_with("HTTP/1.1 200 OK\ncontent-type: application/json\n"), "{head}");
    serde_json::from_str(body).unwrap()
}

/// Every document that the page offers, by its service.
async fn documents(edge: &Edge) -> BTreeMap<String, Value> {
    let mut documents = BTreeMap::new();
    for entry in json(edge, "/swagger-ui/config.json").await["urls"].as_array().unwrap() {
        let document = json(edge, entry["url"].as_str().unwrap()).await;
        documents.insert(entry["name"].as_str().unwrap().to_owned(), document);
    }
    documents
}

#[tokio::test]
async fn the_page_and_every_file_that_it_names_are_served() {
    let edge = Edge::with(Responds(OK));
    let page = edge.get("/swagger-ui/").await;
    let (head, page) = halves(&page);
    assert_snapshot!(head, @r"
    HTTP/1.1 200 OK
    content-type: text/html; charset=utf-8
    cache-control: public, max-age=3600
    content-security-policy: default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'
    x-content-type-options: nosniff
    content-length: 473
    connection: close
    ");
    let named = [quoted(page, "src=\""), quoted(page, "href=\"")].concat();
    let beside = ["swagger-ui-bundle.js.LICENSE.txt", "LICENSE", "NOTICE"];
    assert_eq!(named.len(), 5, "{page}");
    for name in named.iter().chain(&beside) {
        let response = edge.get(&format!("/swagger-ui/{name}")).await;
        let (head, _) = halves(&response);
        let length = fs::metadata(format!("{ASSETS}/{name}")).unwrap().len();
        for line in [
            "HTTP/1.1 200 OK".to_owned(),
            format!("content-type: {}", media_type(name)),
            format!("content-length: {length}"),
        ] {
            assert!(head.lines().any(|header| header == line), "{name}: no {line} in {head}");
        }
    }
    edge.assert_nothing_was_forwarded();
}

#[tokio::test]
async fn the_path_without_a_slash_redirects_to_the_page() {
    let response = Edge::with(Responds(OK)).get("/swagger-ui").await;
    assert!(response.starts_with("HTTP/1.1 308"), "{response}");
    assert!(response.contains("\nlocation: /swagger-ui/\n"), "{response}");
}

#[tokio::test]
async fn the_page_loads_nothing_from_another_host() {
    let edge = Edge::with(Responds(OK));
    for path in ["/swagger-ui/", "/swagger-ui/initializer.js", "/swagger-ui/config.json"] {
        let response = edge.get(path).await;
        assert!(!halves(&response).1.replace("// ", "").contains("//"), "{response}");
    }
    let css = edge.get("/swagger-ui/swagger-ui.css").await;
    let loaded = css.split("url(").skip(1).map(|rest| rest.trim_start_matches(['"', '\'']));
    for loaded in loaded {
        assert!(loaded.starts_with("data:"), "{loaded:.80}");
    }
    assert!(!css.contains("@import"));
    // What the bundle would load is not seen in its text; the policy makes the browser refuse it.
    for path in ["/swagger-ui/", "/openapi/booking.json"] {
        let response = edge.get(path).await;
        let policy = response.split("content-security-policy: ").nth(1).unwrap();
        for rule in policy.lines().next().unwrap().split("; ") {
            let mut sources = rule.split(' ').skip(1);
            let is_local =
                |source| ["'self'", "'none'", "'unsafe-inline'", "data:"].contains(&source);
            assert!(sources.all(is_local), "{rule}");
        }
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
    }
}

#[tokio::test]
async fn every_service_with_a_document_is_on_the_page() {
    let documents = documents(&Edge::with(Responds(OK))).await;
    let committed: BTreeSet<_> = fs::read_dir(DOCUMENTS)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(documents.keys().cloned().collect::<BTreeSet<_>>(), committed);
    for (service, document) in documents {
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{service}");
    }
}

#[tokio::test]
async fn every_public_operation_on_the_page_is_forwarded_or_served_here() {
    let edge = Edge::with(Responds(OK));
    let mut tried = 0;
    for (service, document) in documents(&edge).await {
        assert!(document.get("servers").is_none(), "{service} names another server");
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                if operation["tags"][0] == "internal" || operation["deprecated"] == true {
                    continue;
                }
                let path = path.replace("{id}", "1").replace("{collection}", "bookings");
                let line = format!("{} {path}", method.to_uppercase());
                let response = edge.request(&line, CLOSE, "").await;
                if operation["tags"][0] == "index" {
                    assert!(response.starts_with("HTTP/1.1 200"), "{line} is {response}");
                    continue;
                }
                assert!(response.ends_with("\n\nfine"), "{line} is {response}");
                tried += 1;
            }
        }
    }
    assert_eq!(edge.forwarded(), tried);
    assert!(tried > 0);
}

#[tokio::test]
async fn other_paths_below_the_page_are_not_found() {
    let edge = Edge::with(Responds(OK));
    for path in [
        "/swagger-ui/x",
        "/swagger-ui//etc/passwd",
        "/swagger-ui/README.md",
        "/openapi",
        "/openapi/",
        "/openapi/gateway.json",
    ] {
        let response = edge.get(path).await;
        assert!(response.starts_with("HTTP/1.1 404"), "{path} is {response}");
    }
    for path in [
        "/swagger-ui/../x",
        "/swagger-ui/../README.md",
        "/swagger-ui/..%2F..%2FCargo.toml",
        "/swagger-ui/%2e%2e/x",
        "/openapi/../swagger-ui/",
    ] {
        let response = edge.get(path).await;
        assert!(response.starts_with("HTTP/1.1 400"), "{path} is {response}");
    }
    edge.assert_nothing_was_forwarded();
}

#[tokio::test]
async fn the_page_allows_only_get() {
    let edge = Edge::with(Responds(OK));
    for path in ["/swagger-ui", "/swagger-ui/", "/swagger-ui/LICENSE", "/openapi/vaccine.json"] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let response = edge.request(&format!("{method} {path}"), CLOSE, "").await;
            assert!(response.starts_with("HTTP/1.1 405"), "{method} {path} is {response}");
        }
    }
}
