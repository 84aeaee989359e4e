//! Domain code decides from values: it does no I/O, does not wait, reads no clock and uses no random
//! numbers.

use super::{
    rule::{Part, Rule},
    source::{Line, has_word, is_of_name},
    tree::File,
};

/// Crates and modules that do I/O, wait, or read a clock.
const OUTSIDE: &[&str] = &[
    "axum",
    "http",
    "fastrand",
    "rand",
    "rusqlite",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "std::time",
    "tokio",
    "tokio_postgres",
    "tracing",
];

/// Functions of pure types that read a clock or random numbers.
const IMPURE_CALLS: &[&str] = &["Timestamp::now", "Zoned::now", "Uuid::new_v4", "Uuid::now_v7"];

pub(super) const RULE: Rule = Rule {
    applies_to: is_domain,
    part: Part::Production,
    refused: impurities,
    do_this: "take the value as an argument (a duration as core::time::Duration); what waits, reads \
              or sends belongs to api.rs, store.rs or lib.rs",
};

fn is_domain(file: &File) -> bool {
    let below_src = file.path.rsplit_once("src/").map_or("", |(_, below)| below);
    below_src == "domain.rs" || below_src.starts_with("domain/")
}

fn impurities(_: &File, line: &Line) -> Vec<String> {
    let mut found = Vec::new();
    for path in &line.paths {
        let verb = if path.is_import { "imports" } else { "calls into" };
        let outside = OUTSIDE.iter().filter(|outside| leads_to(&path.name, outside));
        found.extend(outside.map(|outside| format!("domain code {verb} {outside}")));
    }
    let calls = IMPURE_CALLS.iter().filter(|call| has_word(&line.code, call));
    found.extend(calls.map(|call| format!("domain code calls {call}")));
    if has_word(&line.code, "async") || has_word(&line.code, "await") {
        found.push("domain code waits".to_owned());
    }
    found
}

/// `path` is `outside` itself, or below it.
fn leads_to(path: &str, outside: &str) -> bool {
    path.strip_prefix(outside).is_some_and(|rest| !rest.starts_with(is_of_name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Tree;

    fn found(domain: &str) -> Vec<String> {
        let findings = RULE.findings(&Tree::of(&[("booking/src/domain.rs", domain)]));
        findings.into_iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
    }

    #[test]
    fn deciding_from_values_passes() {
        let domain = "//! Decides without async, tokio or std::time.\n\
            use std::{collections::BTreeMap, num::NonZeroU8};\n\
            use core::time::Duration;\n\
            use contracts::http_names;\n\
            fn decide(at: jiff::Timestamp) -> &'static str { \"no tokio::spawn here\" }\n\
            fn name(header: contracts::http::Header) {}\n\
            #[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert!(found(domain).is_empty(), "{:?}", found(domain));
    }

    #[test]
    fn imports_from_outside_are_found_however_nested() {
        assert_eq!(found("use tokio::sync::mpsc;"), ["1: domain code imports tokio"]);
        assert_eq!(found("use tracing as log;"), ["1: domain code imports tracing"]);
        assert_eq!(
            found("use std::{\n    fmt,\n    time::Instant,\n    fs,\n};"),
            ["3: domain code imports std::time", "4: domain code imports std::fs"]
        );
        assert_eq!(
            found("use {axum::Json, http};"),
            ["1: domain code imports axum", "1: domain code imports http"]
        );
    }

    #[test]
    fn calls_to_the_outside_are_found() {
        assert_eq!(
            found("fn f() {\n    tracing::info!(\"\");\n}"),
            ["2: domain code calls into tracing"]
        );
        assert_eq!(found("let a = std::env::args();"), ["1: domain code calls into std::env"]);
        assert_eq!(
            found("let at = jiff::Timestamp::now();"),
            ["1: domain code calls Timestamp::now"]
        );
        assert_eq!(found("let id = Uuid::now_v7();"), ["1: domain code calls Uuid::now_v7"]);
    }

    #[test]
    fn waiting_is_found() {
        assert_eq!(
            found("async fn f() {\n    g().await;\n}"),
            ["1: domain code waits", "2: domain code waits"]
        );
    }

    #[test]
    fn only_domain_code_is_checked() {
        let wait = "async fn f() {}";
        let free =
            [("a/src/api.rs", wait), ("a/tests/domain.rs", wait), ("a/src/b/domain.rs", wait)];
        assert!(RULE.findings(&Tree::of(&free)).is_empty());
        for path in ["a/src/domain/slots.rs", "services/a/src/domain.rs"] {
            assert_eq!(RULE.findings(&Tree::of(&[(path, wait)])).len(), 1);
        }
    }
}
