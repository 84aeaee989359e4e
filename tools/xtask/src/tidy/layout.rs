//! The files of the tree: names, lengths, beginnings, and which must exist.

use std::collections::BTreeSet;

use super::{finding::Finding, tree::Tree};

const PRODUCTION_LINES_MAX: usize = 500;

/// File names that fit any content. clippy refuses none of them.
const EMPTY_NAMES: [&str; 4] = ["mod.rs", "utils.rs", "helpers.rs", "common.rs"];

/// Below this folder, each folder is a service.
const SERVICES: &str = "services";

/// The files of every service with a folder `migrations`.
const DATA_SERVICE_FILES: [&str; 8] = [
    "src/api.rs",
    "src/config.rs",
    "src/domain.rs",
    "src/events.rs",
    "src/lib.rs",
    "src/store.rs",
    "migrations/sqlite/",
    "migrations/postgres/",
];

/// The tests of such a service, each a file or a folder.
const DATA_SERVICE_TESTS: [&str; 3] = ["tests/api", "tests/domain", "tests/store"];

pub(super) fn rust_files_open_with_a_doc(tree: &Tree) -> Vec<Finding> {
    let advice = "open it with `//!` and a sentence that says what the file is for";
    tree.rust_files()
        .filter(|(file, _)| {
            !file.text.starts_with("//!") && !file.text.starts_with("#![doc = include_str!")
        })
        .map(|(file, _)| Finding::at(&file.path, 1, "the file has no documentation", advice))
        .collect()
}

pub(super) fn files_are_short(tree: &Tree) -> Vec<Finding> {
    tree.rust_files()
        .filter(|(file, _)| file.production_lines() > PRODUCTION_LINES_MAX)
        .map(|(file, _)| {
            Finding::at(
                &file.path,
                PRODUCTION_LINES_MAX + 1,
                format!("{} lines before the tests", file.production_lines()),
                "move one of its subjects into a file of its own, below 500 lines",
            )
        })
        .collect()
}

pub(super) fn file_names_say_something(tree: &Tree) -> Vec<Finding> {
    tree.rust_files()
        .filter(|(file, _)| EMPTY_NAMES.contains(&file.name()))
        .map(|(file, _)| {
            let advice = "name the file after its subject; a module `foo` is foo.rs next to foo/";
            Finding::at(&file.path, 1, format!("the name {} fits any file", file.name()), advice)
        })
        .collect()
}

/// rustfmt checks Rust files only.
pub(super) fn no_trailing_whitespace(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().filter(|file| file.is_written_by_hand()) {
        for (index, line) in file.text.split('\n').enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                let advice = "delete it; an editor can do so when it saves";
                findings.push(Finding::at(&file.path, index + 1, "trailing whitespace", advice));
            }
        }
    }
    findings
}

pub(super) fn services_with_data_are_alike(tree: &Tree) -> Vec<Finding> {
    let names = tree.names_in(SERVICES);
    let services: BTreeSet<_> =
        names.iter().filter_map(|name| name.split_once("/migrations/")).map(|(it, _)| it).collect();
    let exists = |path: &str| match path.strip_suffix('/') {
        Some(folder) => tree.has_folder(folder),
        None => tree.has_file(path),
    };
    let mut findings = Vec::new();
    for service in services {
        let path = |name: &&str| format!("{SERVICES}/{service}/{name}");
        let files = DATA_SERVICE_FILES.iter().map(path).filter(|path| !exists(path));
        let tests = DATA_SERVICE_TESTS.iter().map(path).map(|test| format!("{test}.rs"));
        findings.extend(files.chain(tests.filter(|test| !tree.has_file(test))).map(|path| {
            let advice = "add it: services with data have the same files (booking is an example)";
            Finding::at(&path, 1, format!("{service} lacks it"), advice)
        }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(findings: &[Finding]) -> Vec<(&str, usize)> {
        findings.iter().map(|finding| (finding.path.as_str(), finding.line)).collect()
    }

    fn paths(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| finding.path.as_str()).collect()
    }

    #[test]
    fn a_file_opens_with_a_doc_or_with_the_readme() {
        let readme = "#![doc = include_str!(\"../README.md\")]\n";
        let tree = Tree::of(&[("a/src/lib.rs", readme), ("a/tests/b.rs", "//! B.\n")]);
        assert!(rust_files_open_with_a_doc(&tree).is_empty());

        let tree = Tree::of(&[("a.rs", "use b;\n//! A.\n"), ("b.rs", ""), ("c.md", "")]);
        assert_eq!(paths(&rust_files_open_with_a_doc(&tree)), ["a.rs", "b.rs"]);
    }

    #[test]
    fn only_lines_before_the_tests_count() {
        let tests = format!("//! A.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "// a\n".repeat(900));
        let long = "//!\n".repeat(PRODUCTION_LINES_MAX + 1);
        let longest = "//!\n".repeat(PRODUCTION_LINES_MAX);
        let tree = Tree::of(&[("a.rs", &tests), ("a/tests/b.rs", &long), ("c.rs", &longest)]);
        assert!(files_are_short(&tree).is_empty());

        let tree = Tree::of(&[("a.rs", &long)]);
        assert_eq!(paths(&files_are_short(&tree)), ["a.rs"]);
    }

    #[test]
    fn names_that_fit_any_file_are_found() {
        let fine = [("a/src/model.rs", "//!"), ("a/src/common_cold.rs", "//!"), ("mod.rs.md", "")];
        assert!(file_names_say_something(&Tree::of(&fine)).is_empty());

        let empty = ["a/src/b/mod.rs", "a/src/common.rs", "a/tests/helpers.rs", "utils.rs"];
        let tree = Tree::of(&empty.map(|path| (path, "//!")));
        assert_eq!(paths(&file_names_say_something(&tree)), empty);
    }

    #[test]
    fn trailing_whitespace_is_found_except_in_files_of_others() {
        let tree = Tree::of(&[("a.rs", "//! A.\n\nfn a() {}\n"), ("b.md", "# B\n")]);
        assert_eq!(no_trailing_whitespace(&tree), []);
        let tree = Tree::of(&[
            (".ci/run", " "),
            ("a.rs", "//! A. \nb\n"),
            ("b.md", "c\nd\t\ne\r\n"),
            ("web/assets/swagger.css", "a \n"),
            ("docs/openapi/a.json", "{} \n"),
        ]);
        let findings = no_trailing_whitespace(&tree);
        assert_eq!(places(&findings), [(".ci/run", 1), ("a.rs", 1), ("b.md", 2), ("b.md", 3)]);
    }

    #[test]
    fn a_service_with_data_has_every_file() {
        let mut whole: Vec<_> = DATA_SERVICE_FILES.map(|name| format!("services/a/{name}")).into();
        whole.extend(DATA_SERVICE_TESTS.map(|name| format!("services/a/{name}.rs")));
        for path in whole.iter_mut().filter(|path| path.ends_with('/')) {
            path.push_str("0001.sql");
        }
        let mut files: Vec<_> = whole.iter().map(|path| (path.as_str(), "")).collect();
        assert!(services_with_data_are_alike(&Tree::of(&files)).is_empty());

        files.retain(|(path, _)| !path.ends_with("events.rs") && !path.contains("/sqlite/"));
        files.retain(|(path, _)| !path.ends_with("tests/api.rs"));
        assert_eq!(
            paths(&services_with_data_are_alike(&Tree::of(&files))),
            [
                "services/a/src/events.rs",
                "services/a/migrations/sqlite/",
                "services/a/tests/api.rs"
            ]
        );
    }

    #[test]
    fn a_service_without_data_may_have_other_files() {
        let tree = Tree::of(&[("services/gateway/src/lib.rs", ""), ("docs/a/migrations/b.md", "")]);
        assert!(services_with_data_are_alike(&tree).is_empty());
    }
}
