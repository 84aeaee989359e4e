//! Files with and without circles.

use super::*;

fn found(files: &[(&str, &str)]) -> Vec<String> {
    let findings = files_of_a_crate_have_no_circles(&Tree::of(files));
    findings.into_iter().map(|finding| finding.what).collect()
}

#[test]
fn files_that_use_each_other_in_one_direction_pass() {
    let found = found(&[
        ("a/src/lib.rs", "mod b;\nmod c;\npub use self::b::B;\nmod tests;"),
        ("a/src/main.rs", "mod d;\nfn main() { d::run() }"),
        ("a/src/b.rs", "mod e;\nuse crate::c::C;\nuse e::E;\nuse std::{c::X, b::Y};"),
        ("a/src/b/e.rs", "use crate::c;\n#[cfg(test)]\nmod tests {\n    use super::super::B;\n}"),
        ("a/src/c.rs", "// crate::b\nconst B: &str = \"crate::b\";"),
        ("a/src/d.rs", "use a::b;"),
        ("a/src/tests.rs", "use super::*;"),
    ]);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn circles_are_found_once() {
    let shown = found(&[
        ("a/src/b.rs", "use crate::{\n    c::{self, C},\n};"),
        ("a/src/c.rs", "fn c() { super::d::d() }"),
        ("a/src/d.rs", "use crate::b::B;"),
        ("a/src/lib.rs", "mod b;\nmod c;\nmod d;"),
    ]);
    let expected = "a circle of files: a/src/b.rs → a/src/c.rs → a/src/d.rs → a/src/b.rs";
    assert_eq!(shown, [expected]);
}

#[test]
fn a_file_and_its_parent_may_be_a_circle() {
    for (parent, child) in [
        ("mod e;\nuse self::e::E;", "use super::B;"),
        ("mod e;\nfn b() { e::e() }", "use super::*;"),
        ("mod e;\nfn b(e: e::E) {}", "fn e() { crate::b::b() }"),
    ] {
        let (b, e) = ("a/src/bin/x/b.rs", "a/src/bin/x/b/e.rs");
        let files = [("a/src/bin/x/main.rs", "mod b;"), (b, parent), (e, child)];
        assert_eq!(found(&files), [format!("a circle of files: {b} → {e} → {b}")]);
    }
    let root = ("a/src/lib.rs", "mod b;\npub use b::B;\npub struct A;");
    let expected = "a circle of files: a/src/b.rs → a/src/lib.rs → a/src/b.rs";
    assert_eq!(found(&[root, ("a/src/b.rs", "use crate::A;")]), [expected]);
}
