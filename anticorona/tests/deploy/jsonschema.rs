//! Pipelines, workflows and the compose file, against the schemas of those who run them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{checked, overlay::deploy};

const PARTS: [&str; 5] = ["vaccine", "booking", "injection", "mypage", "gateway"];

fn check(schema: &str, file: &Path) -> Result<String, String> {
    let mut command = Command::new("check-jsonschema");
    // The schema of Azure's pipelines has patterns that only this dialect can read.
    command.args(["--regex-variant", "nonunicode", "--builtin-schema", schema]);
    checked(command.arg(file))
}

/// It passes; and with that word misspelt it does not, and the word is named.
fn passes(schema: &str, file: &Path, word: &str) {
    if let Err(said) = check(schema, file) {
        panic!("{} is not what it should be:\n{said}", file.display());
    }
    let text = fs::read_to_string(file).unwrap();
    let (field, misspelt) = (format!("{word}:"), format!("{word}x:"));
    assert!(text.contains(&field), "{} has no {field}", file.display());
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.yml");
    fs::write(&broken, text.replacen(&field, &misspelt, 1)).unwrap();
    let said = check(schema, &broken).expect_err("a misspelt field is found");
    assert!(said.contains(&format!("{word}x")), "{said}");
}

fn of_part(part: &str, file: &str) -> PathBuf {
    deploy("..").join(part).join(file)
}

#[test]
fn the_pipelines_of_azure_are_well_formed() {
    passes("vendor.azure-pipelines", &deploy("pipelines/azure.yml"), "displayName");
    for part in PARTS {
        passes("vendor.azure-pipelines", &of_part(part, "azure-pipelines.yml"), "trigger");
    }
}

#[test]
fn the_pipelines_of_cloud_build_are_well_formed() {
    for part in PARTS {
        passes("vendor.cloudbuild", &of_part(part, "cloudbuild.yml"), "entrypoint");
    }
}

#[test]
fn the_workflow_is_well_formed() {
    passes("vendor.github-workflows", &deploy("../.github/workflows/ci.yml"), "concurrency");
}

#[test]
fn the_compose_file_is_well_formed() {
    passes("vendor.compose-spec", &deploy("compose.yaml"), "healthcheck");
}

/// A pipeline runs for every change of what its part is built from, and for no other part's.
#[test]
fn a_pipeline_runs_for_what_its_part_is_built_from() {
    for part in PARTS {
        let manifest = fs::read_to_string(of_part(part, "Cargo.toml")).unwrap();
        let used = ["chassis", "contracts", "eventing", "resilience", "storage"];
        let used = used.into_iter().filter(|name| manifest.contains(&format!("\n{name} = ")));
        let azure = fs::read_to_string(of_part(part, "azure-pipelines.yml")).unwrap();
        let cloud = fs::read_to_string(of_part(part, "cloudbuild.yml")).unwrap();
        for folder in used.chain([part, "anticorona"]) {
            assert_eq!(azure.matches(&format!("- {folder}\n")).count(), 2, "{part}: {folder}");
            assert!(cloud.contains(&format!("{folder}/**")), "{part}: {folder}");
        }
        for other in PARTS.into_iter().filter(|other| *other != part) {
            assert!(!azure.contains(&format!("- {other}\n")), "{part}: {other}");
            assert!(!cloud.contains(&format!("{other}/**")), "{part}: {other}");
        }
    }
}
