//! The overlays of deploy/kubernetes, rendered.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// A file or folder of deploy/.
pub(crate) fn deploy(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).join(path)
}

/// The objects of an overlay.
pub(crate) fn objects(overlay: &str) -> Vec<Value> {
    objects_in(&deploy(""), overlay)
}

/// The objects of an overlay in a copy of deploy/.
pub(crate) fn objects_in(deploy: &Path, overlay: &str) -> Vec<Value> {
    let script = deploy.join("check/rendered.py");
    let rendered = Command::new("python3").arg(script).arg(overlay).output().unwrap();
    let error = String::from_utf8_lossy(&rendered.stderr).into_owned();
    assert!(
        rendered.status.success(),
        "{overlay} cannot be rendered (`cargo xtask test` installs the tools): {error}"
    );
    serde_json::from_slice(&rendered.stdout).unwrap()
}

pub(crate) fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let matches = |it: &&Value| it["kind"] == kind && it["metadata"]["name"] == name;
    objects.iter().find(matches).unwrap_or_else(|| panic!("there is no {kind} {name}"))
}
