//! Crates depend on each other as drawn in ARCHITECTURE.md. Dev-dependencies are free.

use super::{rule::Finding, tree::Tree};

/// Folders of crates, and the folders that each may depend on; the first row that matches counts.
/// `*` is any name. `?` at the end allows an optional dependency only, since `xtask` is the first
/// crate that a newcomer builds.
const EDGES: &[(&str, &[&str])] = &[
    ("anticorona", &["services/*", "contracts", "platform/*", "tools/drill"]),
    ("services/*", &["contracts", "platform/*"]),
    ("contracts", &[]),
    ("platform/service", &["platform/*"]),
    (
        "platform/events",
        &[
            "contracts",
            "platform/rest",
            "platform/store",
            "platform/resilience",
            "platform/telemetry",
        ],
    ),
    ("platform/rest", &["platform/store", "platform/resilience", "platform/telemetry"]),
    ("platform/store", &["platform/telemetry"]),
    ("platform/*", &[]),
    ("tools/servers", &[]),
    ("tools/testkit", &["contracts", "platform/*", "tools/servers"]),
    ("tools/drill", &["tools/servers"]),
    ("tools/xtask", &["tools/servers", "tools/drill?"]),
];

pub(super) fn crates_depend_downwards(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &tree.crates {
        let folder = member.folder();
        let manifest = format!("{folder}/Cargo.toml");
        let Some((_, allowed)) = EDGES.iter().find(|(from, _)| matches(from, folder)) else {
            let advice = "move it below services/, platform/ or tools/, or draw it in \
                          ARCHITECTURE.md and add a row to EDGES in xtask/src/tidy/edges.rs";
            let what = format!("{folder} is not in the table of edges");
            findings.push(Finding::at(&manifest, 1, what, advice));
            continue;
        };
        for needed in &member.dependencies {
            let Some(path) = needed.path.as_deref() else { continue };
            let is_allowed = needed.kind.as_deref() == Some("dev")
                || allowed.iter().any(|to| match to.strip_suffix('?') {
                    Some(to) => needed.optional && matches(to, path),
                    None => matches(to, path),
                });
            if !is_allowed {
                let text = tree.text(&manifest).unwrap_or_default();
                let names_it =
                    |line: &str| line.split(['=', '.', ' ']).next() == Some(&needed.name);
                let line = text.lines().position(names_it).map_or(1, |index| index + 1);
                let what = format!("{folder} depends on {path}");
                let advice = "move what both need into a crate below them, or write an ADR for a \
                              new edge; xtask may depend on tools/drill optionally";
                findings.push(Finding::at(&manifest, line, what, advice));
            }
        }
    }
    findings
}

fn matches(pattern: &str, folder: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == folder, |parent| {
        folder.strip_prefix(parent).is_some_and(|name| !name.contains('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tree: &Tree) -> Vec<String> {
        crates_depend_downwards(tree).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn the_edges_of_the_architecture_pass() {
        let mut tree = Tree::of(&[]);
        for (from, to) in [
            ("anticorona", "services/booking"),
            ("anticorona", "tools/drill"),
            ("services/booking", "contracts"),
            ("services/booking", "platform/service"),
            ("platform/service", "platform/events"),
            ("platform/events", "platform/rest"),
            ("platform/events", "contracts"),
            ("platform/rest", "platform/resilience"),
            ("tools/testkit", "platform/store"),
            ("tools/drill", "tools/servers"),
            ("tools/xtask", "tools/servers"),
            ("tools/xtask", "tools/drill?"),
        ] {
            tree = tree.with_crate(from, &[to]);
        }
        assert!(found(&tree).is_empty(), "{:?}", found(&tree));
    }

    #[test]
    fn any_other_edge_is_found() {
        for (from, to) in [
            ("services/booking", "services/vaccine"),
            ("services/vaccine", "anticorona"),
            ("services/gateway", "tools/drill"),
            ("platform/events", "services/booking"),
            ("platform/store", "contracts"),
            ("platform/rest", "contracts"),
            ("platform/rest", "platform/events"),
            ("platform/resilience", "platform/telemetry"),
            ("contracts", "platform/store"),
            ("tools/drill", "services/booking"),
            ("tools/drill", "platform/resilience"),
            ("tools/xtask", "contracts"),
            ("tools/xtask", "tools/drill"),
        ] {
            let tree = Tree::of(&[]).with_crate(from, &[to]);
            assert_eq!(found(&tree), [format!("{from} depends on {to}")]);
        }
    }

    #[test]
    fn a_dev_dependency_is_free() {
        let mut tree = Tree::of(&[]).with_crate("contracts", &["tools/drill"]);
        tree.crates[0].dependencies[0].kind = Some("dev".to_owned());
        assert!(found(&tree).is_empty());
    }

    #[test]
    fn a_crate_in_another_folder_is_found() {
        let tree = Tree::of(&[]).with_crate("payments", &[]);
        assert_eq!(found(&tree), ["payments is not in the table of edges"]);
    }

    #[test]
    fn the_finding_has_the_line_of_the_dependency() {
        let manifest = "[dependencies]\nvaccine-client = \"1\"\nvaccine.workspace = true\n";
        let tree = Tree::of(&[("services/web/Cargo.toml", manifest)])
            .with_crate("services/web", &["services/vaccine"]);
        let [finding] = &crates_depend_downwards(&tree)[..] else { panic!("one wrong edge") };
        assert_eq!((finding.path.as_str(), finding.line), ("services/web/Cargo.toml", 3));
    }
}
