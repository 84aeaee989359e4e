//! Domain code decides from values: it does no I/O, does not wait, reads no clock and uses no random
//! numbers.

use super::{
    finding::Finding,
    source::{has_word, is_of_name},
    tree::{File, Tree},
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

pub(super) fn domain_code_is_pure(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.rust_files().filter(|(file, _)| is_domain(file)) {
        let mut found = |line, what: String| {
            findings.push(Finding::at(
                &file.path,
                line,
                what,
                "take the value as an argument (a duration as core::time::Duration); \
                 what waits, reads or sends belongs to api.rs, store.rs or lib.rs",
            ));
        };
        let production = file.production_lines();
        for (line, path) in source.imports().into_iter().filter(|(line, _)| *line <= production) {
            if let Some(outside) = OUTSIDE.iter().find(|outside| leads_to(&path, outside)) {
                found(line, format!("domain code imports {outside}"));
            }
        }
        for (line, parts) in source.numbered().take(production) {
            let code = parts.code.as_str();
            for outside in OUTSIDE.iter().filter(|outside| calls_into(code, outside)) {
                found(line, format!("domain code calls into {outside}"));
            }
            for call in IMPURE_CALLS.iter().filter(|call| has_word(code, call)) {
                found(line, format!("domain code calls {call}"));
            }
            if has_word(code, "async") || has_word(code, "await") {
                found(line, "domain code waits".to_owned());
            }
        }
    }
    findings
}

fn is_domain(file: &File) -> bool {
    let path: Vec<_> = file.path.split('/').collect();
    match &path[..] {
        [.., "src", "domain.rs"] => true,
        path => path.windows(2).any(|pair| pair == ["src", "domain"]),
    }
}

/// `path` is `outside` itself, below it, or another name for it.
fn leads_to(path: &str, outside: &str) -> bool {
    path.strip_prefix(outside).is_some_and(|rest| !rest.starts_with(is_of_name))
}

/// A path in code other than an import; imports may be nested and are checked as a whole.
fn calls_into(code: &str, outside: &str) -> bool {
    let is_import = code.contains("use ");
    let begins_a_path = |at| !code[..at].ends_with(|c| is_of_name(c) || c == ':');
    !is_import && code.match_indices(&format!("{outside}::")).any(|(at, _)| begins_a_path(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(domain: &str) -> Vec<String> {
        let findings = domain_code_is_pure(&Tree::of(&[("booking/src/domain.rs", domain)]));
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
            ["1: domain code imports std::time", "1: domain code imports std::fs"]
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
        assert!(domain_code_is_pure(&Tree::of(&free)).is_empty());
        for path in ["a/src/domain/slots.rs", "services/a/src/domain.rs"] {
            assert_eq!(domain_code_is_pure(&Tree::of(&[(path, wait)])).len(), 1);
        }
    }
}
