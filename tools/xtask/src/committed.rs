//! Files that a task generates and the repository holds: written, or compared with the committed ones.

use std::{
    fs,
    path::{Path, PathBuf},
};

use servers::Failure;

use xtask::child;

pub(crate) struct Generated {
    /// From the root of the repository.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Writes them, or if `check` is set, fails at the first that differs from the committed file.
pub(crate) fn update(task: &str, files: &[Generated], check: bool) -> Result<(), Failure> {
    update_below(child::root(), task, files, check)
}

fn update_below(root: &Path, task: &str, files: &[Generated], check: bool) -> Result<(), Failure> {
    for Generated { path, text } in files {
        let (shown, path) = (path.display(), root.join(path));
        let committed = fs::read_to_string(&path).unwrap_or_default();
        if committed == *text {
            continue;
        }
        if check {
            let state = if committed.is_empty() { "does not exist" } else { "is out of date" };
            return Err(Failure::new(
                format!("{shown} {state}"),
                format!("run `cargo xtask {task}`, read the difference, and commit it"),
            ));
        }
        let folder = path.parent().unwrap_or(root);
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)).map_err(|error| {
            Failure::new(
                format!("{shown} could not be written: {error}"),
                "free some space, or make the folder writable",
            )
        })?;
        println!("{task}: wrote {shown}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_fails_until_the_generated_file_is_committed() {
        let root = tempfile::tempdir().expect("a folder");
        let update = |text: &str, check| {
            let file = Generated { path: "docs/openapi.json".into(), text: text.to_owned() };
            update_below(root.path(), "openapi", &[file], check)
        };
        let missing = update("{}\n", true).expect_err("it does not exist");
        assert!(missing.what.contains("docs/openapi.json does not exist"), "{missing}");
        assert_eq!(update("{}\n", false), Ok(()));
        assert_eq!(update("{}\n", true), Ok(()));
        let old = update("[]\n", true).expect_err("it differs");
        assert!(old.what.contains("is out of date"), "{old}");
        assert!(old.do_this.contains("`cargo xtask openapi`"), "{old}");
    }
}
