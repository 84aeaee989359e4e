//! `cargo xtask tidy`: the rules of STYLE.md and ARCHITECTURE.md that neither the compiler nor
//! clippy checks. A check is a function from the tree to its findings. It reads no disk, so that its
//! tests use small trees: one that passes and one that fails.

mod code;
mod cycles;
mod docs;
mod edges;
mod finding;
mod layout;
mod names;
mod purity;
mod source;
mod sql;
mod tree;
mod vocabulary;

use servers::Failure;

use self::{finding::Finding, tree::Tree};

type Check = fn(&Tree) -> Vec<Finding>;

const CHECKS: &[Check] = &[
    code::nothing_is_left_for_later,
    code::refused_code_is_absent,
    cycles::files_of_a_crate_have_no_circles,
    docs::decisions_are_numbered,
    docs::links_resolve,
    docs::standing_documents_exist,
    edges::crates_depend_downwards,
    layout::file_names_say_something,
    layout::files_are_short,
    layout::no_trailing_whitespace,
    layout::rust_files_open_with_a_doc,
    layout::services_with_data_are_alike,
    purity::domain_code_is_pure,
    sql::migrations_have_twins,
    sql::no_statement_skips_or_counts_rows,
    sql::sql_stays_in_stores,
    vocabulary::words_are_standard,
    names::public_types_have_their_own_names,
];

pub(crate) fn run() -> Result<(), Failure> {
    let tree = Tree::load()?;
    let findings = findings(&tree, CHECKS);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        let what = format!("tidy has {} findings", findings.len());
        return Err(Failure::new(what, "do what each line above says"));
    }
    println!("tidy: {} files pass {} checks", tree.files().count(), CHECKS.len());
    Ok(())
}

fn findings(tree: &Tree, checks: &[Check]) -> Vec<Finding> {
    let mut findings: Vec<_> = checks.iter().flat_map(|check| check(tree)).collect();
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
    fn findings_are_sorted_by_file_and_line() {
        let tree = Tree::of(&[("b.rs", "fn b() {} \n"), ("a.rs", "//! A.\n//! \n")]);
        let shown: Vec<_> = findings(&tree, CHECKS)
            .iter()
            .filter(|finding| tree.has_file(&finding.path))
            .map(|finding| format!("{}:{}", finding.path, finding.line))
            .collect();
        assert_eq!(shown, ["a.rs:2", "b.rs:1", "b.rs:1"]);
    }
}
