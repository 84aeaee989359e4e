//! Swagger UI: everything that it shows is here, can be tried, and comes from no other host.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use insta::assert_snapshot;
use serde_json::Value;

use super::{CLOSE, Edge, OK, Then::Answers};

const ASSETS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/swagger-ui");
const DOCUMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi");

/// Head and body of an answer.
fn halves(answer: &str) -> (&str, &str) {
    answer.split_once("\n\n").unwrap()
}

/// What stands between every `mark`, which ends with a quote, and the next quote.
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
        Some(extension) => panic!("who knows {extension}?"),
    }
}

async fn json(edge: &Edge, path: &str) -> Value {
    let answer = edge.get(path).await;
    let (head, body) = halves(&answer);
    assert!(head.starts_with("HTTP/1.1 200 OK\ncontent-type: application/json\n"), "{head}");
    serde_json::from_str(body).unwrap()
}

/// Every document that the page offers, by its name.
async fn documents(edge: &Edge) -> BTreeMap<String, Value> {
    let mut documents = BTreeMap::new();
    for offered in json(edge, "/swagger-ui/config.json").await["urls"].as_array().unwrap() {
        let document = json(edge, offered["url"].as_str().unwrap()).await;
        documents.insert(offered["name"].as_str().unwrap().to_owned(), document);
    }
    documents
}

#[tokio::test]
async fn the_page_and_every_file_that_it_names_are_here() {
    let edge = Edge::with(Answers(OK));
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
        let answer = edge.get(&format!("/swagger-ui/{name}")).await;
        let (head, _) = halves(&answer);
        let length = fs::metadata(format!("{ASSETS}/{name}")).unwrap().len();
        for line in [
            "HTTP/1.1 200 OK".to_owned(),
            format!("content-type: {}", media_type(name)),
            format!("content-length: {length}"),
        ] {
            assert!(head.lines().any(|said| said == line), "{name}: no {line} in {head}");
        }
    }
    edge.nobody_was_asked();
}

#[tokio::test]
async fn the_address_without_its_slash_leads_to_the_page() {
    let answer = Edge::with(Answers(OK)).get("/swagger-ui").await;
    assert!(answer.starts_with("HTTP/1.1 308"), "{answer}");
    assert!(answer.contains("\nlocation: /swagger-ui/\n"), "{answer}");
}

#[tokio::test]
async fn the_page_takes_nothing_from_another_host() {
    let edge = Edge::with(Answers(OK));
    for path in ["/swagger-ui/", "/swagger-ui/initializer.js", "/swagger-ui/config.json"] {
        let answer = edge.get(path).await;
        assert!(!halves(&answer).1.replace("// ", "").contains("//"), "{answer}");
    }
    let css = edge.get("/swagger-ui/swagger-ui.css").await;
    let loaded = css.split("url(").skip(1).map(|rest| rest.trim_start_matches(['"', '\'']));
    for loaded in loaded {
        assert!(loaded.starts_with("data:"), "{loaded:.80}");
    }
    assert!(!css.contains("@import"));
    // What the bundle would load is not seen by reading it; the browser is told to refuse it.
    for path in ["/swagger-ui/", "/openapi/booking.json"] {
        let answer = edge.get(path).await;
        let policy = answer.split("content-security-policy: ").nth(1).unwrap();
        for rule in policy.lines().next().unwrap().split("; ") {
            let mut sources = rule.split(' ').skip(1);
            let is_here =
                |source| ["'self'", "'none'", "'unsafe-inline'", "data:"].contains(&source);
            assert!(sources.all(is_here), "{rule}");
        }
        assert!(policy.starts_with("default-src 'self';"), "{policy}");
    }
}

#[tokio::test]
async fn every_part_that_describes_itself_is_on_the_page() {
    let documents = documents(&Edge::with(Answers(OK))).await;
    let committed: BTreeSet<_> = fs::read_dir(DOCUMENTS)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(documents.keys().cloned().collect::<BTreeSet<_>>(), committed);
    for (part, document) in documents {
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{part}");
    }
}

#[tokio::test]
async fn what_the_page_shows_can_be_tried_here() {
    let edge = Edge::with(Answers(OK));
    let mut tried = 0;
    for (part, document) in documents(&edge).await {
        assert!(document.get("servers").is_none(), "{part} is asked elsewhere");
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                if operation["tags"][0] == "internal" || operation["deprecated"] == true {
                    continue;
                }
                let line = format!("{} {}", method.to_uppercase(), path.replace("{id}", "1"));
                let answer = edge.ask(&line, CLOSE, "").await;
                assert!(answer.ends_with("\n\nfine"), "{line} is {answer}");
                tried += 1;
            }
        }
    }
    assert_eq!(edge.asked(), tried);
    assert!(tried > 0);
}

#[tokio::test]
async fn nothing_else_is_below_the_page() {
    let edge = Edge::with(Answers(OK));
    for path in [
        "/swagger-ui/x",
        "/swagger-ui/../x",
        "/swagger-ui/../README.md",
        "/swagger-ui/..%2F..%2FCargo.toml",
        "/swagger-ui/%2e%2e/x",
        "/swagger-ui//etc/passwd",
        "/swagger-ui/README.md",
        "/openapi",
        "/openapi/",
        "/openapi/gateway.json",
        "/openapi/../swagger-ui/",
    ] {
        let answer = edge.get(path).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path} is {answer}");
    }
    edge.nobody_was_asked();
}

#[tokio::test]
async fn the_page_is_only_read() {
    let edge = Edge::with(Answers(OK));
    for path in ["/swagger-ui", "/swagger-ui/", "/swagger-ui/LICENSE", "/openapi/vaccine.json"] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let answer = edge.ask(&format!("{method} {path}"), CLOSE, "").await;
            assert!(answer.starts_with("HTTP/1.1 405"), "{method} {path} is {answer}");
        }
    }
}
