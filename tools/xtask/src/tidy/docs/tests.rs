//! Documents, decisions and links, in order and out of order.

use super::*;

fn dead(files: &[(&str, &str)]) -> Vec<String> {
    let findings = links_resolve(&Tree::of(files));
    findings.into_iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
}

fn misnumbered(names: &[&str]) -> Vec<String> {
    let paths: Vec<_> = names.iter().map(|name| format!("docs/adr/{name}")).collect();
    let files: Vec<_> = paths.iter().map(|path| (path.as_str(), "")).collect();
    decisions_are_numbered(&Tree::of(&files)).into_iter().map(|finding| finding.path).collect()
}

#[test]
fn standing_documents_and_a_readme_for_each_crate_are_enough() {
    let mut files = STANDING.map(|name| (name, "")).to_vec();
    files.push(("booking/README.md", ""));
    let whole = Tree::of(&files).with_crate("booking", &[]);
    assert_eq!(standing_documents_exist(&whole), []);

    files.retain(|(path, _)| !path.ends_with("README.md"));
    let findings = standing_documents_exist(&Tree::of(&files).with_crate("booking", &[]));
    let paths: Vec<_> = findings.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["README.md", "booking/README.md"]);
}

#[test]
fn decisions_count_up_from_one() {
    assert!(misnumbered(&[]).is_empty());
    assert!(misnumbered(&["0001-group-commit.md", "0002-no-orm.md", "0003-h2c.md"]).is_empty());
}

#[test]
fn a_gap_a_double_and_a_late_start_are_found() {
    assert_eq!(misnumbered(&["0001-a.md", "0003-c.md", "0004-d.md"]), ["docs/adr/0003-c.md"]);
    assert_eq!(misnumbered(&["0001-a.md", "0001-b.md"]), ["docs/adr/0001-b.md"]);
    assert_eq!(misnumbered(&["0002-b.md"]), ["docs/adr/0002-b.md"]);
}

#[test]
fn a_decision_without_number_or_title_is_found() {
    for name in
        ["README.md", "1-a.md", "0001.md", "0001-.md", "0001-A.md", "0001-a.txt", "00a1-a.md"]
    {
        assert_eq!(misnumbered(&[name]), [format!("docs/adr/{name}")]);
    }
}

#[test]
fn links_to_files_folders_and_elsewhere_pass() {
    let text = "[a](../README.md#one) ![b](b.svg \"B\") [c](.) [d](/docs/) [`e`](<b.svg>)\n\
        [f](https://example.org/x) [g](#here) [h](mailto:a@example.org) [i](crate::Config)\n\
        <a href=\"b.svg\"><img src=\"../docs/b.svg\"></a>\n\
        [j]: b.svg\n[^1]: A note.\n\
        `[k](nowhere.md)`\n```\n[l](nowhere.md)\n~~~\n[m](nowhere.md)\n```\n";
    assert!(dead(&[("README.md", ""), ("docs/a.md", text), ("docs/b.svg", "")]).is_empty());
}

#[test]
fn links_to_nowhere_are_found_with_their_lines() {
    let text = "A.\n[a](b.md) and [b](docs/c.md)\n```\n```\n[d]: ../e.md\n<img src=\"f.svg\">\n";
    assert_eq!(
        dead(&[("docs/a.md", text), ("docs/c.md", "")]),
        [
            "2: the link to b.md is broken",
            "2: the link to docs/c.md is broken",
            "5: the link to ../e.md is broken",
            "6: the link to f.svg is broken",
        ]
    );
}

#[test]
fn a_link_out_of_the_tree_is_found() {
    assert_eq!(dead(&[("a.md", "[b](../b.md)")]), ["1: the link to ../b.md is broken"]);
}
