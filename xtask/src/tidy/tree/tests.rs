//! Trees without a disk, for the tests of the checks, and tests of the tree itself.

use super::*;

impl Tree {
    /// A tree of the given files, without crates.
    pub(in crate::tidy) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self::new(files, Vec::new())
    }

    /// Adds a crate in the folder of its name. A `?` after a needed crate makes it optional.
    pub(in crate::tidy) fn with_crate(mut self, name: &str, needs: &[&str]) -> Self {
        let needs = needs
            .iter()
            .map(|need| Need {
                name: need.trim_end_matches('?').to_owned(),
                optional: need.ends_with('?'),
            })
            .collect();
        self.crates.push(Crate { name: name.to_owned(), folder: name.to_owned(), needs });
        self
    }
}

#[test]
fn folders_hold_what_lies_below_them() {
    let tree = Tree::of(&[("docs/adr/0001-a.md", ""), ("docs/b.md", ""), ("docs-old.md", "")]);
    assert!(tree.has_file("docs/b.md") && !tree.has_file("docs"));
    assert!(tree.has_folder("docs") && tree.has_folder("docs/adr") && tree.has_folder(""));
    assert!(!tree.has_folder("doc") && !tree.has_folder("docs/b.md"));
    assert_eq!(Vec::from_iter(tree.names_in("docs")), ["adr/0001-a.md", "b.md"]);
}

#[test]
fn tests_are_known_by_their_place() {
    let text = "//! A.\n#[cfg(test)]\nmod tests {\n}\n";
    let tree = Tree::of(&[("a/tests/api.rs", text), ("a/src/b/tests.rs", text), ("a/b.rs", text)]);
    let lines: Vec<_> =
        tree.files().map(|file| (file.path.as_str(), file.production_lines())).collect();
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
fn crates_come_from_cargo_with_the_edges_between_ours() {
    let crates = crates(
        r#"{ "workspace_root": "/home/ana/code", "packages": [{
            "name": "booking", "manifest_path": "/home/ana/code/booking/Cargo.toml",
            "dependencies": [
                { "name": "chassis", "kind": null, "optional": false, "path": "/x/chassis" },
                { "name": "drill", "kind": "dev", "optional": false, "path": "/x/drill" },
                { "name": "storage", "kind": "build", "optional": true, "path": "/x/storage" },
                { "name": "serde", "kind": null, "optional": false }
            ]
        }]}"#,
    )
    .expect("the answer is well formed");
    let [Crate { name, folder, needs }] = &crates[..] else { panic!("there is one crate") };
    assert_eq!((name.as_str(), folder.as_str()), ("booking", "booking"));
    let needs: Vec<_> = needs.iter().map(|need| (need.name.as_str(), need.optional)).collect();
    assert_eq!(needs, [("chassis", false), ("storage", true)]);
}

#[test]
fn an_answer_that_cargo_never_gave_is_refused() {
    assert!(crates("[]").is_err());
}

#[test]
fn the_tree_of_this_checkout_loads() {
    let tree = Tree::load().expect("the tests run in a git checkout");
    assert!(tree.has_file("xtask/src/tidy/tree.rs"));
    assert!(tree.crates().iter().any(|member| member.name == "xtask"));
}
