//! Every overlay renders to objects that are valid for Kubernetes and Istio.

mod capacity;
mod numbers;
mod pod_security;
mod runbooks;
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

/// The newest versions.
const KUBERNETES: [&str; 3] = ["1.35", "1.36", "1.37"];

fn overlays() -> Vec<String> {
    let folders = fs::read_dir(deploy("kubernetes/overlays")).unwrap();
    let names = folders.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.collect();
    assert!(names.len() >= 4, "{names:?}");
    names
}

/// Unknown fields are errors; custom resources are skipped.
fn validate_kubernetes(version: &str, objects: &[Value]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.yaml");
    let text: Vec<_> = objects.iter().map(Value::to_string).collect();
    fs::write(&file, text.join("\n---\n")).unwrap();
    let mut command = Command::new("kubernetes-validate");
    checked(command.args(["--strict", "--kubernetes-version", version]).arg(&file))
}

fn validate_istio(objects: &[Value]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.json");
    fs::write(&file, serde_json::to_vec(objects).unwrap()).unwrap();
    let mut command = Command::new("python3");
    checked(command.arg(deploy("check/istio.py")).stdin(File::open(&file).unwrap()))
}

/// The same objects with the field misspelt everywhere.
fn misspelt(objects: &[Value], field: &str) -> Vec<Value> {
    let text = serde_json::to_string(objects).unwrap();
    let quoted = format!("\"{field}\":");
    assert!(text.contains(&quoted), "no object has {field}");
    serde_json::from_str(&text.replace(&quoted, &format!("\"{field}x\":"))).unwrap()
}

#[test]
fn every_object_of_every_overlay_is_valid_for_kubernetes() {
    for overlay in overlays() {
        let objects = objects(&overlay);
        for version in KUBERNETES {
            let printed = validate_kubernetes(version, &objects)
                .unwrap_or_else(|error| panic!("{overlay}, {version}:\n{error}"));
            for unknown in printed.lines().filter(|line| line.contains("Couldn't find schema")) {
                assert!(unknown.contains("istio.io/"), "{overlay}, {version}: {unknown}");
            }
        }
    }
}

#[test]
fn a_misspelt_field_of_a_kubernetes_object_is_rejected() {
    let objects = misspelt(&objects("local"), "terminationGracePeriodSeconds");
    for version in KUBERNETES {
        let printed = validate_kubernetes(version, &objects).expect_err("it is misspelt");
        assert!(printed.contains("terminationGracePeriodSecondsx"), "{printed}");
    }
}

#[test]
fn every_object_of_the_istio_overlay_is_valid_for_istio() {
    let objects = objects("istio");
    if let Err(printed) = validate_istio(&objects) {
        panic!("{printed}");
    }
    for field in ["baseEjectionTime", "attempts", "mtls"] {
        let printed = validate_istio(&misspelt(&objects, field)).expect_err("it is misspelt");
        assert!(printed.contains(&format!("{field}x")), "{printed}");
    }
}
