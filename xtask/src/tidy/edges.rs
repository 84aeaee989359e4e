//! The edges between our crates are the ones drawn in ARCHITECTURE.md. What only tests use is free.

use super::{Finding, tree::Tree};

const BELOW_PARTS: &[&str] = &["chassis", "eventing", "resilience", "storage", "contracts"];

/// Who may name whom. A crate that is not yet written may stand here already.
const EDGES: &[(&str, &[&str])] = &[
    (
        "anticorona",
        &[
            "booking",
            "vaccine",
            "injection",
            "mypage",
            "gateway",
            "web",
            "drill",
            "chassis",
            "eventing",
            "resilience",
            "storage",
            "contracts",
        ],
    ),
    // The parts: they never name each other.
    ("booking", BELOW_PARTS),
    ("vaccine", BELOW_PARTS),
    ("injection", BELOW_PARTS),
    ("mypage", BELOW_PARTS),
    ("gateway", BELOW_PARTS),
    ("web", BELOW_PARTS),
    ("eventing", &["chassis", "storage", "contracts"]),
    ("chassis", &["resilience"]),
    ("contracts", &[]),
    ("resilience", &[]),
    ("storage", &[]),
    // It tests like a stranger.
    ("drill", &["contracts", "resilience", "servers"]),
    ("servers", &[]),
    ("xtask", &["drill", "resilience", "servers"]),
];

/// The first thing that a newcomer builds: what it names must not be built with it by default.
const BUILT_FIRST: &str = "xtask";

/// What it may always name: small, and without dependencies of ours.
const BUILT_WITH_IT: &str = "servers";

pub(super) fn edges_are_drawn_in_the_architecture(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in tree.crates() {
        let manifest = format!("{}/Cargo.toml", member.folder);
        let name = &member.name;
        let Some((_, may_name)) = EDGES.iter().find(|(from, _)| from == name) else {
            findings.push(Finding::at(
                &manifest,
                1,
                format!("the crate {name} is not in the table of edges"),
                "draw it in ARCHITECTURE.md and add its row to EDGES in xtask/src/tidy/edges.rs",
            ));
            continue;
        };
        for need in &member.needs {
            let line = line_of(tree, &manifest, &need.name);
            if !may_name.contains(&need.name.as_str()) {
                findings.push(Finding::at(
                    &manifest,
                    line,
                    format!("{name} names {}", need.name),
                    "move what both need into a crate below them, or write an ADR for a new edge",
                ));
            } else if name == BUILT_FIRST && need.name != BUILT_WITH_IT && !need.optional {
                findings.push(Finding::at(
                    &manifest,
                    line,
                    format!("{name} always builds {}", need.name),
                    "make it optional, behind the feature of the binary that needs it",
                ));
            }
        }
    }
    findings
}

/// The line that names a dependency, or the first.
fn line_of(tree: &Tree, manifest: &str, dependency: &str) -> usize {
    let text = tree.text(manifest).unwrap_or_default();
    let names_it = |line: &str| line.split(['=', '.', ' ']).next() == Some(dependency);
    text.lines().position(names_it).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tree: &Tree) -> Vec<String> {
        let findings = edges_are_drawn_in_the_architecture(tree);
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn the_edges_of_the_picture_pass() {
        let mut tree = Tree::of(&[]).with_crate("xtask", &["drill?"]);
        for (from, to) in EDGES.iter().filter(|(from, _)| *from != "xtask") {
            tree = tree.with_crate(from, to);
        }
        assert!(found(&tree).is_empty());
    }

    #[test]
    fn any_other_edge_is_found() {
        for (from, to) in [
            ("booking", "vaccine"),
            ("vaccine", "anticorona"),
            ("gateway", "drill"),
            ("web", "mypage"),
            ("eventing", "booking"),
            ("storage", "contracts"),
            ("chassis", "contracts"),
            ("contracts", "storage"),
            ("resilience", "contracts"),
            ("drill", "booking"),
            ("drill", "anticorona"),
            ("xtask", "contracts"),
        ] {
            let tree = Tree::of(&[]).with_crate(from, &[to]);
            assert_eq!(found(&tree), [format!("{from} names {to}")]);
        }
    }

    #[test]
    fn xtask_builds_the_drill_only_on_request() {
        let tree = Tree::of(&[]).with_crate("xtask", &["drill"]);
        assert_eq!(found(&tree), ["xtask always builds drill"]);
    }

    #[test]
    fn a_crate_that_nobody_drew_is_found() {
        let tree = Tree::of(&[]).with_crate("payments", &[]);
        assert_eq!(found(&tree), ["the crate payments is not in the table of edges"]);
    }

    #[test]
    fn the_finding_points_at_the_line_of_the_manifest() {
        let manifest = "[dependencies]\nvaccine-client = \"1\"\nvaccine.workspace = true\n";
        let tree = Tree::of(&[("web/Cargo.toml", manifest)]).with_crate("web", &["vaccine"]);
        let [finding] = &edges_are_drawn_in_the_architecture(&tree)[..] else {
            panic!("there is one wrong edge")
        };
        assert_eq!((finding.path.as_str(), finding.line), ("web/Cargo.toml", 3));
    }
}
