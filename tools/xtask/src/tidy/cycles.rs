//! The files of a crate use each other without circles. A file that uses an item of its parent while
//! the parent uses the file is a circle of two. Tests are left out.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    iter,
};

use super::{
    rule::Finding,
    source::has_word,
    tree::{File, Tree},
};

type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

pub(super) fn files_of_a_crate_have_no_circles(tree: &Tree) -> Vec<Finding> {
    let files = tree.files().filter(|file| !file.is_test());
    let modules: Vec<_> = files.filter_map(|file| Some((module(&file.path)?, file))).collect();
    let edges: Edges<'_> =
        modules.iter().map(|(own, file)| (file.path.as_str(), used(own, file, &modules))).collect();
    let mut known = BTreeSet::new();
    let mut findings = Vec::new();
    for &path in edges.keys() {
        let Some(circle) = circle(path, &edges) else { continue };
        if circle.iter().all(|file| !known.contains(file)) {
            known.extend(circle.iter().copied());
            let what = format!("a circle of files: {} → {path}", circle.join(" → "));
            let advice = "move what they share into a file below them";
            findings.push(Finding::at(path, 1, what, advice));
        }
    }
    findings
}

/// As `a/src::b::c`, with the folder of the crate root in front.
fn module(path: &str) -> Option<String> {
    let (package, inside) = path.split_once("src/")?;
    let parts: Vec<_> = inside.strip_suffix(".rs")?.split('/').collect();
    let root = if parts[0] == "bin" && parts.len() > 2 { 2 } else { 0 };
    let (folder, names) = parts.split_at(root);
    let names = if names == ["lib"] || names == ["main"] { &[] } else { names };
    Some([&[&*[&[package, "src"], folder].concat().concat()], names].concat().join("::"))
}

/// The files that a file names in its imports and paths.
fn used<'a>(own: &str, file: &File, modules: &[(String, &'a File)]) -> BTreeSet<&'a str> {
    let root = own.split("::").next().unwrap_or(own);
    let first = own.split("::").nth(1).map(|name| format!("mod {name}"));
    // Of the roots lib.rs and main.rs of a package, the one that declares the module counts.
    let is_root = |file: &File| first.as_ref().is_none_or(|first| has_word(&file.text, first));
    let find = |path: &str| {
        let mut found = modules.iter().filter(|(module, _)| module == path).map(|(_, file)| *file);
        found.find(|file| path != root || is_root(file))
    };
    let mut used = BTreeSet::new();
    for path in file.production().iter().flat_map(|line| &line.paths).map(|path| &path.name) {
        let (first, rest) = path.split_once("::").unwrap_or((path, ""));
        let mut target = match first {
            "crate" => format!("{root}::{rest}"),
            "self" => format!("{own}::{rest}"),
            "super" => format!("{own}::{path}"),
            child if find(&format!("{own}::{child}")).is_some() => format!("{own}::{path}"),
            _ => continue,
        };
        while let Some((above, below)) = target.split_once("::super") {
            target = format!("{}{below}", above.rsplit_once("::").map_or(above, |(it, _)| it));
        }
        let mut folders = iter::successors(Some(&*target), |this| Some(this.rsplit_once("::")?.0));
        used.extend(folders.find_map(find).map(|file| file.path.as_str()));
    }
    used.remove(file.path.as_str());
    used
}

/// The shortest way from a file back to it.
fn circle<'a>(start: &'a str, edges: &Edges<'a>) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for &next in edges.get(way.last()?)? {
            if next == start {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push_back([&way[..], &[next]].concat());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
