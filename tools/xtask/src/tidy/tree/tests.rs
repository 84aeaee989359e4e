//! Trees in memory for the tests of the checks, and tests of the tree itself.

use super::*;

impl Tree {
    /// A tree of the given files, without crates.
    pub(in crate::tidy) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self::new(files, Vec::new())
    }

    /// Adds a crate; dependencies are given by folder, optional ones with a `?` at the end.
    pub(in crate::tidy) fn with_crate(mut self, folder: &str, needs: &[&str]) -> Self {
        let needed = needs.iter().map(|need| {
            let path = need.trim_end_matches('?');
            Dependency {
                name: path.rsplit('/').next().unwrap_or(path).to_owned(),
                kind: None,
                optional: need.ends_with('?'),
                path: Some(path.to_owned()),
            }
        });
        let manifest_path = format!("{folder}/Cargo.toml");
        self.crates.push(Crate { manifest_path, dependencies: needed.collect() });
        self
    }
}

#[test]
fn folders_have_the_files_below_them() {
    let tree = Tree::of(&[("docs/adr/0001-a.md", ""), ("docs/b.md", ""), ("docs-old.md", "")]);
    assert!(tree.has_file("docs/b.md") && !tree.has_file("docs"));
    assert!(tree.has_folder("docs") && tree.has_folder("docs/adr") && tree.has_folder(""));
    assert!(!tree.has_folder("doc") && !tree.has_folder("docs/b.md"));
    assert_eq!(Vec::from_iter(tree.names_in("docs")), ["adr/0001-a.md", "b.md"]);
}

#[test]
fn tests_are_recognised_by_their_path() {
    let text = "//! A.\n#[cfg(test)]\nmod tests {\n}\n";
    let tree = Tree::of(&[("a/tests/api.rs", text), ("a/src/b/tests.rs", text), ("a/b.rs", text)]);
    let lines: Vec<_> =
        tree.files().map(|file| (file.path.as_str(), file.production_lines)).collect();
    assert_eq!(lines, [("a/b.rs", 1), ("a/src/b/tests.rs", 0), ("a/tests/api.rs", 0)]);
}

#[test]
fn a_name_may_have_an_extension_and_folders() {
    let tree = Tree::of(&[("web/assets/page.min.css", ""), ("LICENSE", "")]);
    let files: Vec<_> = tree.files().collect();
    let [license, page] = files[..] else { panic!("there are two files") };
    assert_eq!((license.name(), license.extension()), ("LICENSE", None));
    assert_eq!((page.name(), page.extension()), ("page.min.css", Some("css")));
    assert!(page.is_in("assets") && page.is_in("web") && !page.is_in("page.min.css"));
}

#[test]
fn crates_are_read_with_their_dependencies_in_the_workspace() {
    let crates = crates(
        r#"{ "packages": [{
            "name": "booking", "manifest_path": "/home/ana/code/services/booking/Cargo.toml",
            "dependencies": [
                { "name": "platform-rest", "kind": null, "optional": false, "path": "/home/ana/code/platform/rest" },
                { "name": "drill", "kind": "dev", "optional": false, "path": "/home/ana/code/tools/drill" },
                { "name": "platform-store", "kind": "build", "optional": true, "path": "/home/ana/code/platform/store" },
                { "name": "serde", "kind": null, "optional": false }
            ]
        }]}"#,
        "/home/ana/code",
    )
    .expect("the answer is well formed");
    let [booking] = &crates[..] else { panic!("there is one crate") };
    assert_eq!(booking.folder(), "services/booking");
    let paths = booking.dependencies.iter().map(|needed| needed.path.as_deref());
    let expected = [Some("platform/rest"), Some("tools/drill"), Some("platform/store"), None];
    assert_eq!(paths.collect::<Vec<_>>(), expected);
}

#[test]
fn unknown_output_of_cargo_is_an_error() {
    assert!(crates("[]", "").is_err());
}

#[test]
fn the_tree_of_this_checkout_loads() {
    let tree = Tree::load().expect("the tests run in a git checkout");
    assert!(tree.has_file("README.md"));
    let xtask = tree.crates.iter().find(|member| member.folder().ends_with("xtask"));
    let xtask = xtask.expect("this crate");
    assert!(tree.has_file(&format!("{}/src/tidy/tree.rs", xtask.folder())));
    assert!(xtask.dependencies.iter().any(|need| need.name == "servers"));
}
