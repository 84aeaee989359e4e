//! What is checked: the files that git tracks or would add, and the crates with their dependencies.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use serde::Deserialize;
use servers::Failure;

use xtask::child;

use super::source::{self, Line};

/// Extensions of files that people write; vendored and generated files have others.
const WRITTEN_BY_HAND: [&str; 8] = ["rs", "md", "toml", "sql", "yml", "yaml", "sh", "html"];

pub(super) struct Tree {
    files: BTreeMap<String, File>,
    pub(super) crates: Vec<Crate>,
}

pub(super) struct File {
    /// Relative to the root, with `/` between folders.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) lines: Vec<Line>,
    /// How many lines stand before those for tests.
    pub(super) production_lines: usize,
}

/// As `cargo metadata` prints it, with paths relative to the root.
#[derive(Deserialize)]
pub(super) struct Crate {
    manifest_path: String,
    pub(super) dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) kind: Option<String>,
    pub(super) optional: bool,
    /// The folder of a crate of this workspace.
    pub(super) path: Option<String>,
}

impl Tree {
    /// The checkout that this program was built from.
    pub(super) fn load() -> Result<Self, Failure> {
        let mut git = child::program("git");
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listing = child::printed(&mut git, "run it in a git checkout")?;
        let metadata = child::printed(
            &mut child::cargo(["metadata", "--no-deps", "--format-version", "1"]),
            "fix the Cargo.toml that cargo names above",
        )?;
        let files = listing.split_terminator('\0').filter_map(|path| {
            // The index of git may have files that were deleted.
            let bytes = fs::read(child::root().join(path)).ok()?;
            Some((path.to_owned(), String::from_utf8_lossy(&bytes).into_owned()))
        });
        Ok(Self::new(files, crates(&metadata, &child::root().to_string_lossy())?))
    }

    fn new(files: impl Iterator<Item = (String, String)>, crates: Vec<Crate>) -> Self {
        let files = files.map(|(path, text)| (path.clone(), File::new(path, text))).collect();
        Self { files, crates }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &File> {
        self.files.values()
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
        let mut file = Self { path, text, lines: Vec::new(), production_lines: 0 };
        file.lines = source::read(&file.text, file.is_rust());
        if !file.is_test() {
            let all = file.text.lines().count();
            file.production_lines = source::production_lines(&file.lines).unwrap_or(all);
        }
        file
    }

    /// The lines before those for tests.
    pub(super) fn production(&self) -> &[Line] {
        &self.lines[..self.production_lines]
    }

    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    pub(super) fn extension(&self) -> Option<&str> {
        Some(self.name().rsplit_once('.')?.1)
    }

    pub(super) fn is_rust(&self) -> bool {
        self.extension() == Some("rs")
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
}

impl Crate {
    pub(super) fn folder(&self) -> &str {
        self.manifest_path.trim_end_matches("/Cargo.toml")
    }
}

fn crates(metadata: &str, root: &str) -> Result<Vec<Crate>, Failure> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Crate>,
    }
    let relative = metadata.replace(&format!("{root}/"), "");
    let metadata: Metadata = serde_json::from_str(&relative).map_err(|error| {
        Failure::new(
            format!("`cargo metadata` answered with something unknown: {error}"),
            "use the version of Rust that Cargo.toml names, or adapt src/tidy/tree.rs of xtask",
        )
    })?;
    Ok(metadata.packages)
}

#[cfg(test)]
mod tests;
