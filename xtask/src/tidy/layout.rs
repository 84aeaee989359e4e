//! Where files are, how they are called, how long they are and how they begin.

use super::{Finding, tree::Tree};

const PRODUCTION_LINES_MAX: usize = 500;

/// Names that say nothing, so that everything ends up in them.
const DRAWERS: [&str; 4] = ["mod.rs", "utils.rs", "helpers.rs", "common.rs"];

/// The parts that own data. Whoever knows one finds their way in the others.
const DATA_PARTS: [&str; 4] = ["booking", "vaccine", "injection", "mypage"];

/// With the README.md that every crate has.
const DATA_PART_FILES: [&str; 10] = [
    "src/api.rs",
    "src/config.rs",
    "src/domain.rs",
    "src/events.rs",
    "src/lib.rs",
    "src/main.rs",
    "src/store.rs",
    "tests/api.rs",
    "tests/domain.rs",
    "tests/store.rs",
];

const DATA_PART_FOLDERS: [&str; 2] = ["migrations/sqlite", "migrations/postgres"];

pub(super) fn rust_files_open_with_a_doc(tree: &Tree) -> Vec<Finding> {
    let advice = "open it with `//!` and a sentence that says what the file is for";
    tree.rust_files()
        .filter(|(file, _)| {
            !file.text.starts_with("//!") && !file.text.starts_with("#![doc = include_str!")
        })
        .map(|(file, _)| Finding::at(&file.path, 1, "the file says nothing about itself", advice))
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

pub(super) fn files_have_telling_names(tree: &Tree) -> Vec<Finding> {
    tree.rust_files()
        .filter(|(file, _)| DRAWERS.contains(&file.name()))
        .map(|(file, _)| {
            Finding::at(
                &file.path,
                1,
                format!("{} says nothing about what is in it", file.name()),
                "name the file after its subject; a module `foo` is foo.rs next to foo/",
            )
        })
        .collect()
}

pub(super) fn parts_that_own_data_are_alike(tree: &Tree) -> Vec<Finding> {
    let written = DATA_PARTS.iter().filter(|part| tree.has_file(&format!("{part}/Cargo.toml")));
    written.flat_map(|part| lacking(tree, part)).collect()
}

fn lacking(tree: &Tree, part: &str) -> Vec<Finding> {
    let below = |name: &&str| format!("{part}/{name}");
    let files = DATA_PART_FILES.iter().map(below).filter(|path| !tree.has_file(path));
    let folders = DATA_PART_FOLDERS.iter().map(below).filter(|path| !tree.has_folder(path));
    files
        .chain(folders)
        .map(|path| {
            let advice = "add it: parts that own data have the same files (booking shows how)";
            Finding::at(&path, 1, format!("{part} lacks it"), advice)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| finding.path.as_str()).collect()
    }

    #[test]
    fn a_doc_in_the_file_or_from_the_readme_opens_it() {
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
    fn drawers_are_found() {
        let fine = [("a/src/model.rs", "//!"), ("a/src/common_cold.rs", "//!"), ("mod.rs.md", "")];
        assert!(files_have_telling_names(&Tree::of(&fine)).is_empty());

        let drawers = ["a/src/b/mod.rs", "a/src/common.rs", "a/tests/helpers.rs", "utils.rs"];
        let tree = Tree::of(&drawers.map(|path| (path, "//!")));
        assert_eq!(paths(&files_have_telling_names(&tree)), drawers);
    }

    #[test]
    fn a_part_that_owns_data_has_every_file() {
        let mut whole: Vec<_> =
            DATA_PART_FILES.iter().map(|name| format!("booking/{name}")).collect();
        whole.push("booking/Cargo.toml".to_owned());
        whole.push("booking/src/prices.rs".to_owned());
        whole.push("booking/migrations/sqlite/0001.sql".to_owned());
        whole.push("booking/migrations/postgres/0001.sql".to_owned());
        let mut files: Vec<_> = whole.iter().map(|path| (path.as_str(), "")).collect();
        assert!(parts_that_own_data_are_alike(&Tree::of(&files)).is_empty());

        files.retain(|(path, _)| !path.ends_with("events.rs") && !path.contains("/migrations/"));
        let findings = parts_that_own_data_are_alike(&Tree::of(&files));
        assert_eq!(
            paths(&findings),
            ["booking/src/events.rs", "booking/migrations/sqlite", "booking/migrations/postgres"]
        );
    }

    #[test]
    fn a_part_that_is_not_written_yet_lacks_nothing() {
        let tree = Tree::of(&[("gateway/Cargo.toml", ""), ("docs/booking/notes.md", "")]);
        assert!(parts_that_own_data_are_alike(&tree).is_empty());
    }
}
