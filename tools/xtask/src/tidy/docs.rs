//! Documents exist, decisions are numbered, and links resolve.

use super::{rule::Finding, tree::Tree};

const STANDING: [&str; 5] = ["README.md", "ARCHITECTURE.md", "STYLE.md", "CHANGELOG.md", "LICENSE"];

const DECISIONS: &str = "docs/adr";

pub(super) fn standing_documents_exist(tree: &Tree) -> Vec<Finding> {
    let of_the_whole = STANDING.iter().map(|name| (*name).to_owned());
    let of_each_crate = tree.crates.iter().map(|member| format!("{}/README.md", member.folder()));
    of_the_whole
        .chain(of_each_crate)
        .filter(|path| !tree.has_file(path))
        .map(|path| {
            let advice = "write it: a page about what its name says";
            Finding::at(&path, 1, "the document does not exist", advice)
        })
        .collect()
}

pub(super) fn decisions_are_numbered(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut expected = 1;
    for name in tree.names_in(DECISIONS) {
        let number = decision_number(name);
        if number != Some(expected) {
            let what = format!("the next decision is {expected:04}-title.md");
            let advice = "rename it: the number after the one before it in four digits, then \
                          lower-case words with hyphens between them";
            findings.push(Finding::at(&format!("{DECISIONS}/{name}"), 1, what, advice));
        }
        expected = number.map_or(expected, |number| number + 1);
    }
    findings
}

fn decision_number(name: &str) -> Option<u32> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let is_word = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let is_name = number.len() == 4 && title.split('-').all(is_word);
    number.parse().ok().filter(|_| is_name)
}

pub(super) fn links_resolve(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().filter(|file| file.extension() == Some("md")) {
        for (line, link) in links(&file.text).into_iter().filter(|(_, link)| is_file(link)) {
            let target = resolve(&file.path, &link);
            if !target.is_some_and(|path| tree.has_file(&path) || tree.has_folder(&path)) {
                let what = format!("the link to {link} is broken");
                let advice =
                    "correct the path, which starts at the folder of this file, or drop the link";
                findings.push(Finding::at(&file.path, line, what, advice));
            }
        }
    }
    findings
}

/// The targets of `[text](target)`, `[name]: target`, `href="target"` and `src="target"`, with
/// their lines; without those in code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut fence = None;
    for (index, line) in text.lines().enumerate() {
        let begun = ["```", "~~~"].into_iter().find(|mark| line.trim_start().starts_with(mark));
        match (fence, begun) {
            (None, Some(_)) => fence = begun,
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
            (None, None) => {
                let without_code: String = line.split('`').step_by(2).collect();
                links.extend(targets(&without_code).map(|target| (index + 1, target.to_owned())));
            }
        }
    }
    links
}

fn targets(prose: &str) -> impl Iterator<Item = &str> {
    let after = |open: &'static str, close: char| {
        prose.split(open).skip(1).filter_map(move |rest| Some(rest.split_once(close)?.0))
    };
    let defined = prose
        .strip_prefix('[')
        .filter(|rest| !rest.starts_with('^'))
        .and_then(|rest| Some(rest.split_once("]: ")?.1));
    after("](", ')')
        .chain(after("href=\"", '"'))
        .chain(after("src=\"", '"'))
        .chain(defined)
        .map(without_title)
}

/// `target "title"` and `<target>` are `target`.
fn without_title(target: &str) -> &str {
    let target = target.trim().split(' ').next().unwrap_or_default();
    target.trim_start_matches('<').trim_end_matches('>')
}

/// Neither a URL, nor an anchor in the same file, nor an item of a crate.
fn is_file(link: &str) -> bool {
    let elsewhere = link.contains("://") || link.starts_with("mailto:") || link.contains("::");
    !elsewhere && !link.is_empty() && !link.starts_with('#')
}

/// The path, from the root, of a link in the file `from`; none if it is outside of the tree.
fn resolve(from: &str, link: &str) -> Option<String> {
    let link = link.split(['#', '?']).next().unwrap_or_default();
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let start = if link.starts_with('/') { "" } else { folder };
    let mut path: Vec<&str> = Vec::new();
    for part in start.split('/').chain(link.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                path.pop()?;
            }
            name => path.push(name),
        }
    }
    Some(path.join("/"))
}

#[cfg(test)]
mod tests;
