//! What is checked: the files that git tracks or would add, and the crates with their dependencies.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde::Deserialize;
use servers::Failure;

use xtask::child;

use super::source::Source;

/// Extensions of files that people write; vendored and generated files have others.
const WRITTEN_BY_HAND: [&str; 8] = ["rs", "md", "toml", "sql", "yml", "yaml", "sh", "html"];

pub(super) struct Tree {
    files: BTreeMap<String, File>,
    crates: Vec<Crate>,
}

pub(super) struct File {
    /// Relative to the root, with `/` between folders.
    pub(super) path: String,
    pub(super) text: String,
    /// Of Rust files only.
    source: Option<Source>,
}

pub(super) struct Crate {
    /// Relative to the root, as in [`File::path`].
    pub(super) folder: String,
    /// Dependencies within the workspace, without dev-dependencies.
    pub(super) needs: Vec<Need>,
}

pub(super) struct Need {
    pub(super) name: String,
    pub(super) folder: String,
    pub(super) optional: bool,
}

impl Tree {
    /// The checkout that this program was built from.
    pub(super) fn load() -> Result<Self, Failure> {
        let listing = child::printed(
            child::program("git").args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ]),
            "run it in a git checkout",
        )?;
        let metadata = child::printed(
            &mut child::cargo(["metadata", "--no-deps", "--format-version", "1"]),
            "fix the Cargo.toml that cargo names above",
        )?;
        let files = listing.split_terminator('\0').filter_map(|path| {
            // The index of git may have files that were deleted.
            let bytes = fs::read(child::root().join(path)).ok()?;
            Some((path.to_owned(), String::from_utf8_lossy(&bytes).into_owned()))
        });
        Ok(Self::new(files, crates(&metadata)?))
    }

    fn new(files: impl Iterator<Item = (String, String)>, crates: Vec<Crate>) -> Self {
        let files = files.map(|(path, text)| (path.clone(), File::new(path, text))).collect();
        Self { files, crates }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    pub(super) fn rust_files(&self) -> impl Iterator<Item = (&File, &Source)> {
        self.files().filter_map(|file| Some((file, file.source()?)))
    }

    pub(super) fn crates(&self) -> &[Crate] {
        &self.crates
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        Some(&self.files.get(path)?.text)
    }

    pub(super) fn has_file(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(super) fn has_folder(&self, path: &str) -> bool {
        path.is_empty() || !self.names_in(path).is_empty()
    }

    /// The files below a folder, relative to it.
    pub(super) fn names_in(&self, folder: &str) -> BTreeSet<&str> {
        let below = format!("{folder}/");
        self.files.range(below.clone()..).map_while(|(path, _)| path.strip_prefix(&below)).collect()
    }
}

impl File {
    fn new(path: String, text: String) -> Self {
        let is_rust = Path::new(&path).extension().is_some_and(|extension| extension == "rs");
        let source = is_rust.then(|| Source::read(&text));
        Self { path, text, source }
    }

    pub(super) fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub(super) fn extension(&self) -> Option<&str> {
        Some(self.name().rsplit_once('.')?.1)
    }

    pub(super) fn is_written_by_hand(&self) -> bool {
        self.extension().is_none_or(|extension| WRITTEN_BY_HAND.contains(&extension))
    }

    /// Whether one of the folders that it lies in has this name.
    pub(super) fn is_in(&self, folder: &str) -> bool {
        self.path.split('/').rev().skip(1).any(|part| part == folder)
    }

    /// Whether the whole file is for tests; other files may end with a module of tests.
    pub(super) fn is_test(&self) -> bool {
        self.is_in("tests") || self.is_in("benches") || self.name() == "tests.rs"
    }

    /// The number of lines before the module of tests.
    pub(super) fn production_lines(&self) -> usize {
        if self.is_test() {
            return 0;
        }
        self.source.as_ref().map_or(usize::MAX, |source| source.production_lines)
    }
}

/// The part of the answer of `cargo metadata` that is used here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: String,
}

#[derive(Deserialize)]
struct Package {
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    optional: bool,
    /// Of crates of this workspace only.
    path: Option<String>,
}

fn crates(metadata: &str) -> Result<Vec<Crate>, Failure> {
    let Metadata { packages, workspace_root } =
        serde_json::from_str(metadata).map_err(|error| {
            Failure::new(
                format!("`cargo metadata` answered with something unknown: {error}"),
                "use the version of Rust that Cargo.toml names, or adapt src/tidy/tree.rs of xtask",
            )
        })?;
    Ok(packages.into_iter().map(|package| member(package, &workspace_root)).collect())
}

fn member(package: Package, root: &str) -> Crate {
    let Package { manifest_path, dependencies } = package;
    let manifest = manifest_path.strip_prefix(root).unwrap_or(&manifest_path);
    let folder = manifest.trim_end_matches("Cargo.toml").trim_matches('/').to_owned();
    let needs = dependencies
        .into_iter()
        .filter(|needed| needed.kind.as_deref() != Some("dev"))
        .filter_map(|Dependency { name, optional, path, .. }| {
            let folder = path?.strip_prefix(root)?.trim_matches('/').to_owned();
            Some(Need { name, folder, optional })
        })
        .collect();
    Crate { folder, needs }
}

#[cfg(test)]
mod tests;
