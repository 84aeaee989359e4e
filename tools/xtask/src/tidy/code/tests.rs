//! Code where it is allowed, and where it is refused.

use super::*;

use crate::tidy::{rule::Finding, tree::Tree};

/// The places of what one of the rules finds.
fn found(tree: &Tree, what: &str) -> Vec<(String, usize)> {
    let findings = RULES.iter().flat_map(|rule| rule.findings(tree));
    let places = |Finding { path, line, what: found, .. }| (found == what).then_some((path, line));
    findings.filter_map(places).collect()
}

fn lines(what: &str, path: &str, text: &str) -> Vec<usize> {
    found(&Tree::of(&[(path, text)]), what).into_iter().map(|(_, line)| line).collect()
}

fn places<const N: usize>(places: [(&str, usize); N]) -> Vec<(String, usize)> {
    places.map(|(path, line)| (path.to_owned(), line)).to_vec()
}

#[test]
fn the_environment_may_be_read_in_config_tools_and_tests() {
    let what = "the environment is read here";
    let reading = "//!\nlet port = std::env::var(\"PORT\");\n";
    let in_tests = format!("//!\n#[cfg(test)]\nmod tests {{\n{reading}}}\n");
    let tree = Tree::of(&[
        ("booking/src/config.rs", reading),
        ("anticorona/build.rs", reading),
        ("tools/testkit/src/lib.rs", reading),
        ("tools/xtask/src/tools.rs", reading),
        ("booking/tests/api.rs", reading),
        ("booking/src/api.rs", &in_tests),
        ("booking/src/main.rs", "fn main() { service::main(Config::from_env, serve) } // env::var"),
        ("booking/src/lib.rs", "let own = env.clone(); let port = Env::of(vec![]);"),
    ]);
    assert_eq!(found(&tree, what), places([]));
}

#[test]
fn the_environment_read_elsewhere_is_found() {
    let what = "the environment is read here";
    for reading in [
        "let port = env::var(\"PORT\");",
        "let port = std::env::var_os(\"PORT\");",
        "use std::env::vars;",
        "let filter = EnvFilter::from_env(\"LOG\");",
        "let filter = EnvFilter::try_from_default_env();",
        "let port = env.required(\"PORT\");",
        "let port = env.or(\n\"PORT\")",
    ] {
        let found = lines(what, "booking/src/api.rs", reading);
        assert_eq!(found, [1], "{reading}");
    }
}

#[test]
fn an_inner_allow_attribute_is_found() {
    let what = "a lint is switched off for good";
    let expects = "#![expect(x, reason = \"y\")]\n// not #![allow(x)]\nlet a = \"#![allow(x)]\";";
    assert!(lines(what, "a.rs", expects).is_empty());
    assert_eq!(lines(what, "a.rs", "//!\n#![allow(x)]\nfn f() {}"), [2]);
}

#[test]
fn a_fixme_outside_of_prose_is_found() {
    let what = "a known defect";
    assert!(lines(what, "a.rs", "// TODO(#12): more\nlet a = \"FIXME\"; // FIXMES").is_empty());
    assert!(lines(what, "STYLE.md", "no FIXME").is_empty());
    assert!(lines(what, "web/assets/vendored.js", "// FIXME").is_empty());
    assert_eq!(lines(what, "a.rs", "//!\nf(); // FIXME: off by one"), [2]);
    assert_eq!(lines(what, "deploy/a.yaml", "a: b\n# FIXME"), [2]);
}

#[test]
fn a_test_that_does_not_run_or_accepts_any_panic_is_found() {
    let what = "a test that does not run";
    assert!(lines(what, "a.rs", "#[test]\nfn ignored_words_in_a_name() {}\n").is_empty());
    assert_eq!(lines(what, "a.rs", "#[ignore = \"slow\"]\n#[ignore]\n"), [1, 2]);
    let what = "a test that passes with any panic";
    assert_eq!(lines(what, "a.rs", "#[should_panic(expected = \"a\")]\n"), [1]);
}

#[test]
fn a_test_that_sleeps_is_found_and_production_is_not() {
    let what = "a test that sleeps";
    let pause = "thread::sleep(a);\ntokio::time::sleep(b).await;\nuse tokio::time::sleep;\n";
    let in_tests = format!("//!\n{pause}#[cfg(test)]\nmod tests {{\n{pause}}}\n");
    let tree =
        Tree::of(&[("a/src/b.rs", pause), ("a/src/c.rs", &in_tests), ("a/tests/d.rs", pause)]);
    assert_eq!(
        found(&tree, what),
        places([
            ("a/src/c.rs", 7),
            ("a/src/c.rs", 8),
            ("a/src/c.rs", 9),
            ("a/tests/d.rs", 1),
            ("a/tests/d.rs", 2),
            ("a/tests/d.rs", 3),
        ])
    );
    assert!(lines(what, "a/tests/b.rs", "let asleep = sleeper(); // never sleep(a)").is_empty());
}

#[test]
fn a_test_may_be_paced_for_a_reason() {
    let what = "a test that sleeps";
    let path = "a/tests/b.rs";
    assert!(lines(what, path, "sleep(a); // tidy: paced, the rate is the subject").is_empty());
    assert!(lines(what, path, "// tidy: paced, the rate is the subject\nsleep(a);").is_empty());
    assert_eq!(lines(what, path, "sleep(a); // tidy: paced"), [1]);
    assert_eq!(lines(what, path, "// tidy: paced, so it is\n\nsleep(a);"), [3]);
}

#[test]
fn a_file_opens_with_a_doc_or_with_the_readme() {
    let what = "the file has no documentation";
    let readme = "#![doc = include_str!(\"../README.md\")]\n";
    let tree = Tree::of(&[("a/src/lib.rs", readme), ("a/tests/b.rs", "//! B.\n")]);
    assert!(found(&tree, what).is_empty());

    let tree = Tree::of(&[("a.rs", "use b;\n//! A.\n"), ("b.rs", ""), ("c.md", "")]);
    assert_eq!(found(&tree, what), places([("a.rs", 1), ("b.rs", 1)]));
}

#[test]
fn only_lines_before_the_tests_count() {
    let what = "more than 500 lines before the tests";
    let tests = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "// a\n".repeat(900));
    let long = "//!\n".repeat(PRODUCTION_LINES_MAX + 1);
    let longest = "//!\n".repeat(PRODUCTION_LINES_MAX);
    let tree = Tree::of(&[("a.rs", &tests), ("a/tests/b.rs", &long), ("c.rs", &longest)]);
    assert!(found(&tree, what).is_empty());

    let tree = Tree::of(&[("a.rs", &long)]);
    assert_eq!(found(&tree, what), places([("a.rs", 501)]));
}

#[test]
fn names_that_fit_any_file_are_found() {
    let what = "the name of the file fits any file";
    let fine = [("a/src/model.rs", "//!"), ("a/src/common_cold.rs", "//!"), ("mod.rs.md", "")];
    assert!(found(&Tree::of(&fine), what).is_empty());

    let empty = ["a/src/b/mod.rs", "a/src/common.rs", "a/tests/helpers.rs", "utils.rs"];
    let tree = Tree::of(&empty.map(|path| (path, "//!")));
    assert_eq!(found(&tree, what), places(empty.map(|path| (path, 1))));
}

#[test]
fn trailing_whitespace_is_found_except_in_files_of_others() {
    let what = "trailing whitespace";
    let tree = Tree::of(&[("a.rs", "//! A.\n\nfn a() {}\n"), ("b.md", "# B\n")]);
    assert_eq!(found(&tree, what), places([]));
    let tree = Tree::of(&[
        (".ci/run", " "),
        ("a.rs", "//! A. \nb\n"),
        ("b.md", "c\nd\t\ne\r\n"),
        ("web/assets/swagger.css", "a \n"),
        ("docs/openapi/a.json", "{} \n"),
    ]);
    let expected = [(".ci/run", 1), ("a.rs", 1), ("b.md", 2), ("b.md", 3)];
    assert_eq!(found(&tree, what), places(expected));
}
