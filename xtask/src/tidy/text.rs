//! Characters that one cannot see.

use super::{
    Finding,
    tree::{File, Tree},
};

pub(super) fn no_trailing_whitespace(tree: &Tree) -> Vec<Finding> {
    let advice = "delete it; an editor can do so whenever it saves";
    let trails = |line: &str| line.ends_with([' ', '\t', '\r']);
    lines(tree.files().filter(|file| file.is_written_by_hand()), trails)
        .map(|(path, line)| Finding::at(path, line, "space at the end of the line", advice))
        .collect()
}

pub(super) fn no_tabs(tree: &Tree) -> Vec<Finding> {
    let advice = "indent with spaces (cargo fmt does), write \\t inside of a string";
    lines(tree.rust_files().map(|(file, _)| file), |line| line.contains('\t'))
        .map(|(path, line)| Finding::at(path, line, "a tab", advice))
        .collect()
}

fn lines<'a>(
    files: impl Iterator<Item = &'a File>,
    is_wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (&'a str, usize)> {
    files.flat_map(move |file| {
        let numbers = file.text.split('\n').enumerate();
        let wanted = numbers.filter(|(_, line)| is_wanted(line)).map(|(index, _)| index + 1);
        wanted.map(|line| (file.path.as_str(), line)).collect::<Vec<_>>()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(findings: &[Finding]) -> Vec<(&str, usize)> {
        findings.iter().map(|finding| (finding.path.as_str(), finding.line)).collect()
    }

    #[test]
    fn clean_lines_pass() {
        let tree = Tree::of(&[("a.rs", "//! A.\n\nfn a() {}\n"), ("b.md", "# B\n")]);
        assert_eq!(no_trailing_whitespace(&tree), []);
        assert_eq!(no_tabs(&tree), []);
    }

    #[test]
    fn space_at_the_end_of_a_line_is_found() {
        let tree =
            Tree::of(&[("a.rs", "//! A. \nb\n"), ("b.md", "c\nd\t\ne\r\n"), (".ci/run", " ")]);
        let findings = no_trailing_whitespace(&tree);
        assert_eq!(places(&findings), [(".ci/run", 1), ("a.rs", 1), ("b.md", 2), ("b.md", 3)]);
    }

    #[test]
    fn what_others_wrote_is_left_as_it_came() {
        let tree =
            Tree::of(&[("web/assets/swagger.css", "a \n"), ("docs/openapi/a.json", "{} \n")]);
        assert_eq!(no_trailing_whitespace(&tree), []);
    }

    #[test]
    fn a_tab_is_found_in_rust_only() {
        let tree = Tree::of(&[("a.rs", "//! A.\n\tb\n"), ("Makefile.md", "\ta\n")]);
        assert_eq!(places(&no_tabs(&tree)), [("a.rs", 2)]);
    }
}
