//! `cargo xtask tidy`: the rules of STYLE.md and ARCHITECTURE.md that neither the compiler nor
//! clippy knows. A check is a function from the tree to its findings; it sees no disk, so that
//! its tests show it small trees, one that passes and one that fails.

mod docs;
mod edges;
mod layout;
mod purity;
mod source;
mod sql;
mod text;
mod tree;
mod words;

use std::fmt;

use servers::Failure;

use crate::tidy::tree::Tree;

type Check = fn(&Tree) -> Vec<Finding>;

/// Every check there is.
const CHECKS: &[Check] = &[
    docs::decisions_are_numbered,
    docs::links_resolve,
    docs::standing_documents_exist,
    edges::edges_are_drawn_in_the_architecture,
    layout::files_are_short,
    layout::files_have_telling_names,
    layout::parts_that_own_data_are_alike,
    layout::rust_files_open_with_a_doc,
    purity::domain_code_is_pure,
    sql::migrations_have_twins,
    sql::pages_begin_at_a_known_place,
    sql::sql_stays_in_its_place,
    text::no_tabs,
    text::no_trailing_whitespace,
    words::environment_is_read_in_one_place,
    words::lints_are_expected_not_allowed,
    words::nothing_is_left_for_later,
    words::tests_always_run_and_never_wait,
];

/// One place where the tree breaks a rule, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    what: String,
    do_this: &'static str,
}

impl Finding {
    fn at(path: &str, line: usize, what: impl Into<String>, do_this: &'static str) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), do_this }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, do_this } = self;
        write!(formatter, "{path}:{line}: {what}\n    what to do: {do_this}")
    }
}

pub(crate) fn run() -> Result<(), Failure> {
    let tree = Tree::load()?;
    let findings = findings(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        let what = format!("{} places are not tidy", findings.len());
        return Err(Failure::new(what, "do what each line above says"));
    }
    println!("tidy: {} files pass {} checks", tree.files().count(), CHECKS.len());
    Ok(())
}

fn findings(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<_> = CHECKS.iter().flat_map(|check| check(tree)).collect();
    findings.sort_unstable();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_tree_is_tidy() {
        if let Err(failure) = run() {
            panic!("{failure}");
        }
    }

    #[test]
    fn findings_come_in_the_order_of_the_files() {
        let tree = Tree::of(&[("b.rs", "fn b() {}\t\n"), ("a.rs", "//! A.\n//! \n")]);
        let shown: Vec<_> = findings(&tree)
            .iter()
            .filter(|finding| tree.has_file(&finding.path))
            .map(|finding| format!("{}:{}", finding.path, finding.line))
            .collect();
        assert_eq!(shown, ["a.rs:2", "b.rs:1", "b.rs:1", "b.rs:1"]);
    }

    #[test]
    fn a_finding_reads_as_a_place_a_rule_and_an_advice() {
        let finding = Finding::at("a.rs", 3, "a tab", "indent with spaces");
        assert_eq!(finding.to_string(), "a.rs:3: a tab\n    what to do: indent with spaces");
    }
}
