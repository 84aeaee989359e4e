//! `cargo xtask tidy`: the rules of STYLE.md and ARCHITECTURE.md that neither the compiler nor
//! clippy checks. A check is a function from the tree to its findings. It reads no disk, so that its
//! tests use small trees: one that passes and one that fails.

mod code;
mod cycles;
mod docs;
mod edges;
mod layout;
mod names;
mod purity;
mod rule;
mod source;
mod sql;
mod tree;
mod vocabulary;

use servers::Failure;

use self::{
    rule::{Finding, Rule},
    tree::Tree,
};

type Check = fn(&Tree) -> Vec<Finding>;

const CHECKS: &[Check] = &[
    cycles::files_of_a_crate_have_no_circles,
    docs::decisions_are_numbered,
    docs::links_resolve,
    docs::standing_documents_exist,
    edges::crates_depend_downwards,
    layout::services_with_data_are_alike,
    names::public_types_have_their_own_names,
    sql::migrations_have_twins,
];

const RULES: &[&[Rule]] = &[
    code::RULES,
    &[purity::RULE, sql::SQL_STAYS_IN_STORES, sql::NO_STATEMENT_SKIPS_OR_COUNTS_ROWS],
    &[vocabulary::RULE],
];

pub(crate) fn run() -> Result<(), Failure> {
    let tree = Tree::load()?;
    let findings = findings(&tree);
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        let what = format!("tidy has {} findings", findings.len());
        return Err(Failure::new(what, "do what each line above says"));
    }
    let checks = CHECKS.len() + RULES.iter().map(|rules| rules.len()).sum::<usize>();
    println!("tidy: {} files pass {checks} checks", tree.files().count());
    Ok(())
}

fn findings(tree: &Tree) -> Vec<Finding> {
    let checks = CHECKS.iter().flat_map(|check| check(tree));
    let rules = RULES.iter().copied().flatten().flat_map(|rule| rule.findings(tree));
    let mut findings: Vec<_> = checks.chain(rules).collect();
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
        let shown: Vec<_> = findings(&tree)
            .iter()
            .filter(|finding| tree.has_file(&finding.path))
            .map(|finding| format!("{}:{}", finding.path, finding.line))
            .collect();
        assert_eq!(shown, ["a.rs:2", "b.rs:1", "b.rs:1"]);
    }
}
