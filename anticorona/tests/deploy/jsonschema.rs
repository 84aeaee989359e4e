//! Pipelines, workflows and the compose file, against the schemas of the tools that run them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{SERVICES, checked, overlay::deploy};

fn check(schema: &str, file: &Path) -> Result<String, String> {
    let mut command = Command::new("check-jsonschema");
    // The schema of Azure's pipelines has patterns that only this regex variant accepts.
    command.args(["--regex-variant", "nonunicode", "--builtin-schema", schema]);
    checked(command.arg(file))
}

/// The file is valid; with the field misspelt it is not, and the error names the field.
fn assert_valid(schema: &str, file: &Path, field: &str) {
    if let Err(error) = check(schema, file) {
        panic!("{} is invalid:\n{error}", file.display());
    }
    let text = fs::read_to_string(file).unwrap();
    let (key, misspelt) = (format!("{field}:"), format!("{field}x:"));
    assert!(text.contains(&key), "{} has no {key}", file.display());
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.yml");
    fs::write(&broken, text.replacen(&key, &misspelt, 1)).unwrap();
    let error = check(schema, &broken).expect_err("a misspelt field is invalid");
    assert!(error.contains(&format!("{field}x")), "{error}");
}

/// The folders of the workspace's own crates, as `name = { path = "folder" }` in its Cargo.toml.
fn crate_folders() -> Vec<(String, String)> {
    let manifest = fs::read_to_string(deploy("../Cargo.toml")).unwrap();
    let folder = |line: &str| {
        let (name, path) = line.split_once(" = { path = \"")?;
        Some((name.to_owned(), path.split_once('"')?.0.to_owned()))
    };
    manifest.lines().filter_map(folder).collect()
}

/// The file of that name in the folder of every service.
fn in_every_service(file: &str) -> impl Iterator<Item = (&'static str, PathBuf)> {
    let folders = crate_folders();
    SERVICES.into_iter().map(move |(service, _)| {
        let (_, folder) = folders.iter().find(|(name, _)| name == service.name).unwrap();
        (service.name, deploy("..").join(folder).join(file))
    })
}

#[test]
fn azure_pipelines_are_valid() {
    assert_valid("vendor.azure-pipelines", &deploy("pipelines/azure.yml"), "displayName");
    for (_, pipeline) in in_every_service("azure-pipelines.yml") {
        assert_valid("vendor.azure-pipelines", &pipeline, "trigger");
    }
}

#[test]
fn cloud_build_pipelines_are_valid() {
    for (_, pipeline) in in_every_service("cloudbuild.yml") {
        assert_valid("vendor.cloudbuild", &pipeline, "entrypoint");
    }
}

#[test]
fn the_workflow_is_valid() {
    assert_valid("vendor.github-workflows", &deploy("../.github/workflows/ci.yml"), "concurrency");
}

#[test]
fn the_compose_file_is_valid() {
    assert_valid("vendor.compose-spec", &deploy("compose.yaml"), "healthcheck");
}

#[test]
fn a_pipeline_runs_for_changes_of_its_own_service_and_what_that_is_built_from() {
    let folders = crate_folders();
    assert!(folders.len() > SERVICES.len(), "{folders:?}");
    for (service, manifest) in in_every_service("Cargo.toml") {
        let text = fs::read_to_string(&manifest).unwrap();
        let dependencies = text.split("[dev-dependencies]").next().unwrap();
        let azure = fs::read_to_string(manifest.with_file_name("azure-pipelines.yml")).unwrap();
        let cloud = fs::read_to_string(manifest.with_file_name("cloudbuild.yml")).unwrap();
        let included: Vec<_> =
            azure.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
        let covers = |folder: &str, changed: &str| {
            changed
                .strip_prefix(folder)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        for (name, folder) in &folders {
            let times = included.iter().filter(|included| covers(included, folder)).count();
            let is_service = SERVICES.iter().any(|(service, _)| service.name == name);
            let is_needed = [service, "anticorona"].contains(&name.as_str())
                || dependencies.contains(&format!("\n{name} = "));
            if is_needed {
                assert_eq!(times, 2, "{service}: {folder}, for pushes and pull requests");
            } else if is_service {
                assert_eq!(times, 0, "{service}: {folder}");
                assert!(!cloud.contains(&format!("{folder}/**")), "{service}: {folder}");
            }
        }
        for folder in included {
            let is_file = deploy("..").join(folder).is_file();
            let pattern = if is_file { folder.to_owned() } else { format!("{folder}/**") };
            assert!(cloud.contains(&pattern), "{service}: {pattern}");
        }
    }
}
