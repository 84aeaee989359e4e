//! A public type has a name of its own in the workspace, so that a reader need not ask which one is meant.

use std::collections::BTreeMap;

use super::{
    rule::Finding,
    source::is_of_name,
    tree::{File, Tree},
};

const KINDS: [&str; 4] = ["pub struct ", "pub enum ", "pub trait ", "pub type "];

/// Every service has these.
const OF_EACH_SERVICE: [&str; 5] = ["Command", "Config", "Queries", "Refusal", "Reply"];

pub(super) fn public_types_have_their_own_names(tree: &Tree) -> Vec<Finding> {
    let mut first: BTreeMap<&str, &File> = BTreeMap::new();
    let mut findings = Vec::new();
    for (file, line) in
        tree.files().flat_map(|file| file.production().iter().map(move |it| (file, it)))
    {
        let code = line.code.trim_start();
        let Some(rest) = KINDS.iter().find_map(|kind| code.strip_prefix(kind)) else { continue };
        let name = rest.split(|c| !is_of_name(c)).next().unwrap_or_default();
        if file.path.starts_with("services/") && OF_EACH_SERVICE.contains(&name) {
            continue;
        }
        if let Some(other) = first.get(name) {
            let what = format!("{} has a public type {name} too", other.path);
            let advice = "name one of them after what distinguishes it, or make one private";
            findings.push(Finding::at(&file.path, line.number, what, advice));
        } else {
            first.insert(name, file);
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_public_type_of_a_name_is_found() {
        let files = [
            (
                "a/src/lib.rs",
                "pub struct Row<T>(T);\npub(crate) enum Cell {}\n// pub struct Key;\n",
            ),
            ("b/src/lib.rs", "pub struct Cell;\nstruct Row;\npub trait Key {}\n"),
            ("services/c/src/domain.rs", "pub enum Reply {}\n"),
            ("services/d/src/domain.rs", "pub enum Reply {}\n    pub type Row = u8;\n"),
            ("e/tests/api.rs", "pub struct Row;\n"),
        ];
        let findings = public_types_have_their_own_names(&Tree::of(&files));
        let [Finding { path, line, what, .. }] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!((path.as_str(), *line), ("services/d/src/domain.rs", 2));
        assert_eq!(what, "a/src/lib.rs has a public type Row too");
    }
}
