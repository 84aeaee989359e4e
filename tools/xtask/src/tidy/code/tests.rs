//! Code where it is allowed, and where it is refused.

use super::*;

fn places(findings: &[Finding]) -> Vec<(&str, usize)> {
    findings.iter().map(|finding| (finding.path.as_str(), finding.line)).collect()
}

fn lines(check: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
    check(&Tree::of(&[(path, text)])).iter().map(|finding| finding.line).collect()
}

#[test]
fn the_environment_may_be_read_in_config_tools_and_tests() {
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
    assert_eq!(refused_code_is_absent(&tree), []);
}

#[test]
fn the_environment_read_elsewhere_is_found() {
    for reading in [
        "let port = env::var(\"PORT\");",
        "let port = std::env::var_os(\"PORT\");",
        "use std::env::vars;",
        "let filter = EnvFilter::from_env(\"LOG\");",
        "let filter = EnvFilter::try_from_default_env();",
        "let port = env.required(\"PORT\");",
        "let port = env.or(",
    ] {
        let found = lines(refused_code_is_absent, "booking/src/api.rs", reading);
        assert_eq!(found, [1], "{reading}");
    }
}

#[test]
fn an_inner_allow_attribute_is_found() {
    let check = refused_code_is_absent;
    let expects = "#![expect(x, reason = \"y\")]\n// not #![allow(x)]\nlet a = \"#![allow(x)]\";";
    assert!(lines(check, "a.rs", expects).is_empty());
    assert_eq!(lines(check, "a.rs", "//!\n#![allow(x)]\nfn f() {}"), [2]);
}

#[test]
fn a_fixme_outside_of_prose_is_found() {
    let check = nothing_is_left_for_later;
    assert!(lines(check, "a.rs", "// TODO(#12): more\nlet a = \"FIXME\"; // FIXMES").is_empty());
    assert!(lines(check, "STYLE.md", "no FIXME").is_empty());
    assert!(lines(check, "web/assets/vendored.js", "// FIXME").is_empty());
    assert_eq!(lines(check, "a.rs", "//!\nf(); // FIXME: off by one"), [2]);
    assert_eq!(lines(check, "deploy/a.yaml", "a: b\n# FIXME"), [2]);
}

#[test]
fn a_test_that_does_not_run_or_accepts_any_panic_is_found() {
    let check = refused_code_is_absent;
    assert!(lines(check, "a.rs", "#[test]\nfn ignored_words_in_a_name() {}\n").is_empty());
    assert_eq!(lines(check, "a.rs", "#[ignore = \"slow\"]\n#[ignore]\n"), [1, 2]);
    assert_eq!(lines(check, "a.rs", "#[should_panic(expected = \"a\")]\n"), [1]);
}

#[test]
fn a_test_that_sleeps_is_found_and_production_is_not() {
    let check = refused_code_is_absent;
    let pause = "thread::sleep(a);\ntokio::time::sleep(b).await;\nuse tokio::time::sleep;\n";
    let in_tests = format!("//!\n{pause}#[cfg(test)]\nmod tests {{\n{pause}}}\n");
    let tree =
        Tree::of(&[("a/src/b.rs", pause), ("a/src/c.rs", &in_tests), ("a/tests/d.rs", pause)]);
    let found = check(&tree);
    assert_eq!(
        places(&found),
        [
            ("a/src/c.rs", 7),
            ("a/src/c.rs", 8),
            ("a/src/c.rs", 9),
            ("a/tests/d.rs", 1),
            ("a/tests/d.rs", 2),
            ("a/tests/d.rs", 3),
        ]
    );
    assert!(lines(check, "a/tests/b.rs", "let asleep = sleeper(); // never sleep(a)").is_empty());
}

#[test]
fn a_test_may_be_paced_for_a_reason() {
    let check = refused_code_is_absent;
    let path = "a/tests/b.rs";
    assert!(lines(check, path, "sleep(a); // tidy: paced, the rate is the subject").is_empty());
    assert!(lines(check, path, "// tidy: paced, the rate is the subject\nsleep(a);").is_empty());
    assert_eq!(lines(check, path, "sleep(a); // tidy: paced"), [1]);
    assert_eq!(lines(check, path, "// tidy: paced, so it is\n\nsleep(a);"), [3]);
}
