//! Every overlay renders, and whatever comes out is known to Kubernetes and Istio.

mod numbers;
mod settings;

use std::{
    fs::{self, File},
    process::Command,
};

use serde_json::Value;

use crate::{
    checked,
    overlay::{deploy, objects},
};

/// The newest that there are.
const KUBERNETES: [&str; 3] = ["1.35", "1.36", "1.37"];

/// Every overlay there is.
fn overlays() -> Vec<String> {
    let folders = fs::read_dir(deploy("kubernetes/overlays")).unwrap();
    let names = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.collect();
    assert!(names.len() >= 4, "{names:?}");
    names
}

/// Strictly: what Kubernetes does not know is wrong. Objects of others are left out.
fn known_to_kubernetes(version: &str, objects: &[Value]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.yaml");
    let text: Vec<_> = objects.iter().map(Value::to_string).collect();
    fs::write(&file, text.join("\n---\n")).unwrap();
    let mut command = Command::new("kubernetes-validate");
    checked(command.args(["--strict", "--kubernetes-version", version]).arg(&file))
}

fn known_to_istio(objects: &[Value]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.json");
    fs::write(&file, serde_json::to_vec(objects).unwrap()).unwrap();
    let mut command = Command::new("python3");
    checked(command.arg(deploy("check/istio.py")).stdin(File::open(&file).unwrap()))
}

/// The same with that field's name misspelt wherever it stands.
fn misspelt(objects: &[Value], field: &str) -> Vec<Value> {
    let text = serde_json::to_string(objects).unwrap();
    let quoted = format!("\"{field}\":");
    assert!(text.contains(&quoted), "nothing has {field}");
    serde_json::from_str(&text.replace(&quoted, &format!("\"{field}x\":"))).unwrap()
}

#[test]
fn kubernetes_knows_every_object_of_every_overlay() {
    for overlay in overlays() {
        let objects = objects(&overlay);
        for version in KUBERNETES {
            let said = known_to_kubernetes(version, &objects);
            let said = said.unwrap_or_else(|said| panic!("{overlay}, {version}:\n{said}"));
            for unknown in said.lines().filter(|line| line.contains("Couldn't find schema")) {
                assert!(unknown.contains("istio.io/"), "{overlay}, {version}: {unknown}");
            }
        }
    }
}

#[test]
fn a_misspelt_field_of_kubernetes_is_found() {
    let objects = misspelt(&objects("local"), "terminationGracePeriodSeconds");
    for version in KUBERNETES {
        let said = known_to_kubernetes(version, &objects).expect_err("it is misspelt");
        assert!(said.contains("terminationGracePeriodSecondsx"), "{said}");
    }
}

#[test]
fn istio_knows_every_object_of_its_overlay() {
    let objects = objects("istio");
    if let Err(said) = known_to_istio(&objects) {
        panic!("{said}");
    }
    for field in ["baseEjectionTime", "attempts", "mtls"] {
        let said = known_to_istio(&misspelt(&objects, field)).expect_err("it is misspelt");
        assert!(said.contains(&format!("{field}x")), "{said}");
    }
}
