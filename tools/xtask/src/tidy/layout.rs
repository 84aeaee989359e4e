//! The files that a service has.

use std::collections::BTreeSet;

use super::{rule::Finding, tree::Tree};

/// Below this folder, each folder is a service.
const SERVICES: &str = "services";

/// What every service with a folder `migrations` has.
const DATA_SERVICE_FILES: [&str; 10] = [
    "src/api.rs",
    "src/domain.rs",
    "src/events.rs",
    "src/lib.rs",
    "src/store.rs",
    "migrations/sqlite/",
    "migrations/postgres/",
    "tests/api.rs",
    "tests/domain.rs",
    "tests/store.rs",
];

pub(super) fn services_with_data_are_alike(tree: &Tree) -> Vec<Finding> {
    let names = tree.names_in(SERVICES);
    let services: BTreeSet<_> =
        names.iter().filter_map(|name| Some(name.split_once("/migrations/")?.0)).collect();
    let mut findings = Vec::new();
    for service in services {
        let paths = DATA_SERVICE_FILES.map(|name| format!("{SERVICES}/{service}/{name}"));
        let missing = paths.iter().filter(|path| match path.strip_suffix('/') {
            Some(folder) => !tree.has_folder(folder),
            None => !tree.has_file(path),
        });
        findings.extend(missing.map(|path| {
            let advice = "add it: services with data have the same files (booking is an example)";
            Finding::at(path, 1, format!("{service} lacks it"), advice)
        }));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| finding.path.as_str()).collect()
    }

    #[test]
    fn a_service_with_data_has_every_file() {
        let mut whole: Vec<_> = DATA_SERVICE_FILES.map(|name| format!("services/a/{name}")).into();
        for path in whole.iter_mut().filter(|path| path.ends_with('/')) {
            path.push_str("0001.sql");
        }
        let mut files: Vec<_> = whole.iter().map(|path| (path.as_str(), "")).collect();
        assert!(services_with_data_are_alike(&Tree::of(&files)).is_empty());

        files.retain(|(path, _)| !path.ends_with("events.rs") && !path.contains("/sqlite/"));
        files.retain(|(path, _)| !path.ends_with("tests/api.rs"));
        assert_eq!(
            paths(&services_with_data_are_alike(&Tree::of(&files))),
            [
                "services/a/src/events.rs",
                "services/a/migrations/sqlite/",
                "services/a/tests/api.rs"
            ]
        );
    }

    #[test]
    fn a_service_without_data_may_have_other_files() {
        let tree = Tree::of(&[("services/gateway/src/lib.rs", ""), ("docs/a/migrations/b.md", "")]);
        assert!(services_with_data_are_alike(&tree).is_empty());
    }
}
